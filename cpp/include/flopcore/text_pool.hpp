// Names: text appended once and held by 32-bit id; id 0 is the empty text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flopcore {

class TextPool {
  public:
    // Always a new id (node names: mostly distinct, never looked up).
    std::uint32_t append(std::string_view text) {
        if (text.empty()) return 0;
        chars_.append(text);
        ends_.push_back(chars_.size());
        return static_cast<std::uint32_t>(ends_.size() - 1);
    }
    // The same id for the same text (scopes, origins).
    std::uint32_t intern(std::string_view text) {
        if (text.empty()) return 0;
        const auto known = known_.find(std::string(text));
        if (known != known_.end()) return known->second;
        const std::uint32_t id = append(text);
        known_.emplace(text, id);
        return id;
    }
    [[nodiscard]] std::string_view operator[](std::uint32_t id) const {
        if (id == 0) return {};
        const std::size_t begin = ends_[id - 1];
        return std::string_view(chars_).substr(begin, ends_[id] - begin);
    }
    [[nodiscard]] std::size_t size() const { return ends_.size(); }

  private:
    std::string chars_;
    std::vector<std::size_t> ends_{0};
    std::unordered_map<std::string, std::uint32_t> known_;
};

}  // namespace flopcore
