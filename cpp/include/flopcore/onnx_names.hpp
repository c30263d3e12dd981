// The names of an ONNX file, each held once: open addressing over one text arena.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flopcore {

enum class OnnxId : std::uint32_t {};  // an interned name; equal names have equal ids; id 0 is the empty name

class OnnxNames {
  public:
    OnnxNames();
    OnnxId intern(std::string_view name);
    [[nodiscard]] std::optional<OnnxId> find(std::string_view name) const;
    [[nodiscard]] std::string_view operator[](OnnxId id) const;
    [[nodiscard]] std::size_t size() const { return ends_.size(); }

  private:
    // The slot of a name: where its id is, or the free one where it belongs.
    [[nodiscard]] std::size_t slot_of(std::string_view name, std::uint32_t hash) const;
    void grow();

    std::string text_;
    std::vector<std::uint64_t> ends_;    // where each name ends in text_
    std::vector<std::uint32_t> hashes_;  // per name
    std::vector<std::uint32_t> slots_;   // 1 + id, or 0; a power of two of them
};

}  // namespace flopcore
