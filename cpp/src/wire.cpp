#include "flopcore/wire.hpp"

#include <bit>
#include <cstring>
#include <string>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

constexpr int kMaxVarintBytes = 10;

bool fits(WireKind kind, WireType type) {
    switch (kind) {
        case WireKind::unread:
            return true;
        case WireKind::varint:
            return type == WireType::varint;
        case WireKind::bytes:
            return type == WireType::bytes;
        case WireKind::fixed32:
            return type == WireType::fixed32;
        case WireKind::varints:
            return type == WireType::varint || type == WireType::bytes;
        case WireKind::fixed32s:
            return type == WireType::fixed32 || type == WireType::bytes;
    }
    return false;
}

std::uint64_t little_endian(const std::uint8_t* bytes, std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
    return value;
}

}  // namespace

void WireReader::fail(std::uint64_t offset, std::uint32_t number, std::string_view what) const {
    std::string text = "byte " + std::to_string(offset) + ": " + message_->name();
    if (number != 0) {
        const WireFieldSpec spec = message_->field(number);
        text += spec.kind == WireKind::unread ? ", field " + std::to_string(number) : std::string(".") + spec.name;
    }
    throw DataError(text.append(": ").append(what));
}

void WireReader::too_short(std::uint64_t offset, std::uint32_t number, std::uint64_t missing) const {
    const std::uint64_t end = bytes_.offset + bytes_.data.size();
    if (bytes_.offset == 0)
        fail(offset, number,
             "the file is truncated at byte " + std::to_string(end) + ", " + std::to_string(missing) +
                 " bytes early; download it again");
    fail(offset, number,
         "needs " + std::to_string(missing) + " bytes more than its message, which ends at byte " +
             std::to_string(end) + "; the file is corrupt, download it again");
}

std::uint64_t WireReader::varint(std::uint32_t number) {
    const std::uint64_t start = bytes_.offset + at_;
    std::uint64_t value = 0;
    for (int i = 0; i < kMaxVarintBytes; ++i) {
        if (at_ == bytes_.data.size()) too_short(start, number, 1);
        const std::uint8_t byte = bytes_.data[at_++];
        value |= std::uint64_t{byte & 0x7FU} << (7 * i);
        if ((byte & 0x80U) == 0) {
            if (i == kMaxVarintBytes - 1 && byte > 1) break;
            return value;
        }
    }
    fail(start, number, "an integer of more than 64 bits; the file is corrupt or not ONNX");
}

std::uint64_t WireReader::fixed(std::uint32_t number, std::size_t width) {
    const std::size_t left = bytes_.data.size() - at_;
    if (left < width) too_short(bytes_.offset + at_, number, width - left);
    const std::uint64_t value = little_endian(bytes_.data.data() + at_, width);
    at_ += width;
    return value;
}

bool WireReader::next(WireField& field) {
    while (at_ < bytes_.data.size()) {
        const std::uint64_t start = bytes_.offset + at_;
        const std::uint64_t key = varint(0);
        const std::uint64_t number = key >> 3;
        constexpr std::uint64_t kMaxNumber = (1U << 29) - 1;
        if (number == 0 || number > kMaxNumber) fail(start, 0, "a field number out of range; this is not ONNX");
        field.number = static_cast<std::uint32_t>(number);
        const std::uint64_t type = key & 7U;
        if (type != 0 && type != 1 && type != 2 && type != 5)
            fail(start, field.number,
                 "wire type " + std::to_string(type) + " does not occur in ONNX; this is not ONNX");
        field.type = static_cast<WireType>(type);
        field.payload = {{}, start};
        switch (field.type) {
            case WireType::varint:
                field.value = varint(field.number);
                break;
            case WireType::fixed64:
                field.value = fixed(field.number, 8);
                break;
            case WireType::fixed32:
                field.value = fixed(field.number, 4);
                break;
            case WireType::bytes: {
                const std::uint64_t length = varint(field.number);
                const std::size_t left = bytes_.data.size() - at_;
                if (length > left) too_short(start, field.number, length - left);
                field.payload = {bytes_.data.subspan(at_, static_cast<std::size_t>(length)), bytes_.offset + at_};
                at_ += static_cast<std::size_t>(length);
                break;
            }
        }
        const WireKind kind = message_->field(field.number).kind;
        if (kind == WireKind::unread) continue;
        if (!fits(kind, field.type))
            fail(start, field.number,
                 "wire type " + std::to_string(type) + " where ONNX has another; the file is corrupt or not ONNX");
        return true;
    }
    return false;
}

std::uint64_t WireReader::packed_varint(WireBytes packed, std::size_t& at) const {
    WireReader values(*message_, {packed.data.subspan(at), packed.offset + at});
    const std::uint64_t value = values.varint(0);
    at += values.at_;
    return value;
}

std::uint32_t WireReader::packed_fixed32(WireBytes packed, std::size_t& at) const {
    WireReader values(*message_, {packed.data.subspan(at), packed.offset + at});
    const std::uint64_t value = values.fixed(0, 4);
    at += values.at_;
    return static_cast<std::uint32_t>(value);
}

std::string_view WireReader::text(const WireField& field) const {
    const std::string_view text(reinterpret_cast<const char*>(field.payload.data.data()), field.payload.data.size());
    if (!is_utf8(text)) fail(field.payload.offset, field.number, "a name that is not UTF-8; the file is corrupt");
    return text;
}

bool is_utf8(std::string_view text) {
    const std::size_t size = text.size();
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    for (std::size_t i = 0; i < size;) {
        const std::uint8_t lead = byte(i);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        // The first continuation byte is narrower after E0, ED, F0, F4 (overlong forms, surrogates, > U+10FFFF).
        const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (lead < 0xC2 || lead > 0xF4 || size - i < length) return false;
        const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (byte(i + 1) < low || byte(i + 1) > high) return false;
        for (std::size_t k = 2; k < length; ++k)
            if ((byte(i + k) & 0xC0U) != 0x80U) return false;
        i += length;
    }
    return true;
}

}  // namespace flopcore
