#include "flopcore/onnx_names.hpp"

#include <functional>
#include <limits>

#include "flopcore/error.hpp"

namespace flopcore {

namespace {

std::uint32_t hash_of(std::string_view name) { return static_cast<std::uint32_t>(std::hash<std::string_view>{}(name)); }

}  // namespace

OnnxNames::OnnxNames() : slots_(1024) { intern(""); }

std::size_t OnnxNames::slot_of(std::string_view name, std::uint32_t hash) const {
    std::size_t slot = hash & (slots_.size() - 1);
    for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
        const std::uint32_t id = slots_[slot] - 1;
        if (hashes_[id] == hash && (*this)[OnnxId{id}] == name) break;
    }
    return slot;
}

std::optional<OnnxId> OnnxNames::find(std::string_view name) const {
    const std::uint32_t at = slots_[slot_of(name, hash_of(name))];
    return at == 0 ? std::nullopt : std::optional(OnnxId{at - 1});
}

OnnxId OnnxNames::intern(std::string_view name) {
    const std::uint32_t hash = hash_of(name);
    const std::size_t slot = slot_of(name, hash);
    if (slots_[slot] != 0) return OnnxId{slots_[slot] - 1};
    if (ends_.size() >= std::numeric_limits<std::uint32_t>::max() - 1) throw DataError("more than 2^32 names");
    const auto id = static_cast<std::uint32_t>(ends_.size());
    text_ += name;
    ends_.push_back(text_.size());
    hashes_.push_back(hash);
    slots_[slot] = id + 1;
    if (2 * ends_.size() > slots_.size()) grow();
    return OnnxId{id};
}

std::string_view OnnxNames::operator[](OnnxId id) const {
    const auto i = static_cast<std::uint32_t>(id);
    const std::uint64_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
}

void OnnxNames::grow() {
    slots_.assign(2 * slots_.size(), 0);
    for (std::uint32_t id = 0; id < hashes_.size(); ++id) {
        std::size_t slot = hashes_[id] & (slots_.size() - 1);
        while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
        slots_[slot] = id + 1;
    }
}

}  // namespace flopcore
