// The protocol-buffer wire format: a cursor over the fields of one message. Every length is bounded by the enclosing
// message, and a payload is a span, so that skipping a field touches none of its bytes.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace flopcore {

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

// How a known field is encoded; a repeated scalar may come packed (bytes) or one by one.
enum class WireKind : std::uint8_t { unread, varint, bytes, fixed32, varints, fixed32s };

struct WireFieldSpec {
    std::uint8_t number = 0;
    const char* name = "";
    WireKind kind = WireKind::unread;
};

// The fields of a message that are read; all others are skipped whatever they hold.
class WireMessage {
  public:
    consteval WireMessage(const char* name, std::initializer_list<WireFieldSpec> fields) : name_(name) {
        for (const WireFieldSpec& field : fields) fields_.at(field.number) = field;
    }
    [[nodiscard]] constexpr const char* name() const { return name_; }
    [[nodiscard]] constexpr WireFieldSpec field(std::uint32_t number) const {
        return number < fields_.size() ? fields_[number] : WireFieldSpec{};
    }

  private:
    const char* name_;
    std::array<WireFieldSpec, 32> fields_{};
};

// A stretch of the file, and where it lies in it.
struct WireBytes {
    std::span<const std::uint8_t> data;
    std::uint64_t offset = 0;
};

struct WireField {
    std::uint32_t number = 0;
    WireType type = WireType::varint;
    std::uint64_t value = 0;  // of a varint, fixed64 or fixed32
    WireBytes payload;        // of bytes; of any other type its offset alone
};

// A short-lived view of one message. Malformed input is a DataError that names the byte, the field and what to do.
class WireReader {
  public:
    WireReader(const WireMessage& message, WireBytes bytes) : message_(&message), bytes_(bytes) {}

    // The next field that the message reads; false at its end. Fields it does not read are skipped.
    [[nodiscard]] bool next(WireField& field);

    // Decodes the values of a repeated varint (or fixed32) field, packed or not; `take` returns false to stop early.
    template <class Take>
    void each_varint(const WireField& field, Take take) const {
        if (field.type == WireType::varint) {
            take(field.value);
            return;
        }
        for (std::size_t at = 0; at < field.payload.data.size();)
            if (!take(packed_varint(field.payload, at))) return;
    }
    template <class Take>
    void each_fixed32(const WireField& field, Take take) const {
        if (field.type == WireType::fixed32) {
            take(static_cast<std::uint32_t>(field.value));
            return;
        }
        for (std::size_t at = 0; at < field.payload.data.size();)
            if (!take(packed_fixed32(field.payload, at))) return;
    }
    // The text of a string field; DataError unless it is UTF-8.
    [[nodiscard]] std::string_view text(const WireField& field) const;

    // Throws a DataError about this message: "ONNX byte 12: MESSAGE.FIELD: WHAT".
    [[noreturn]] void fail(std::uint64_t offset, std::uint32_t number, std::string_view what) const;

  private:
    [[nodiscard]] std::uint64_t varint(std::uint32_t number);
    [[nodiscard]] std::uint64_t fixed(std::uint32_t number, std::size_t width);
    [[nodiscard]] std::uint64_t packed_varint(WireBytes packed, std::size_t& at) const;
    [[nodiscard]] std::uint32_t packed_fixed32(WireBytes packed, std::size_t& at) const;
    [[noreturn]] void too_short(std::uint64_t offset, std::uint32_t number, std::uint64_t missing) const;

    const WireMessage* message_;
    WireBytes bytes_;
    std::size_t at_ = 0;
};

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace flopcore
