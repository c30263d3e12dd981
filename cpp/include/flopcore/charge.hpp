// Charges: the rows of a rule's count as data. Most ops cost so many operations per element of some size of the node;
// one shared function turns such rows into amounts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "flopcore/feature.hpp"

namespace flopcore {

// What a charge is proportional to: a tensor of the node, or a size that the rule's `measure` works out.
enum class Per : std::uint8_t {
    kOutput,  // elements of the output
    kJoin,    // elements of the output x (inputs - 1): operations that join n tensors
    kInput,   // elements of the first input
    kRow,     // rows of a reduction
    kTap,     // elements of all windows
};
inline constexpr std::size_t kPerCount = 5;

// When a charge or flag holds.
struct When {
    enum class Kind : std::uint8_t { kAlways, kGiven, kChoice, kNotChoice } kind = Kind::kAlways;
    std::uint8_t which = 0;  // the input, or the AttrKey
    std::uint8_t value = 0;  // position of the choice; 1 is true
};

struct Charge {
    Feature feature = Feature::kMove;
    std::int8_t count = 1;
    Per per = Per::kOutput;
    When when{};
};

struct Flag {
    Variant variant{};
    When when{};
};

// A short list that can stand in a constexpr table.
template <class T, std::size_t N>
class ShortList {
  public:
    constexpr ShortList() = default;
    constexpr ShortList(std::initializer_list<T> items) {
        for (const T& item : items) items_[size_++] = item;  // past the end is no constant expression
    }
    [[nodiscard]] constexpr std::span<const T> span() const { return {items_.data(), size_}; }

  private:
    std::array<T, N> items_{};
    std::uint8_t size_ = 0;
};
using Charges = ShortList<Charge, 12>;
using Flags = ShortList<Flag, 3>;

}  // namespace flopcore
