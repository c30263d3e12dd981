// Attributes and conditions that rules of several families share.
#pragma once

#include "flopcore/rule.hpp"

namespace flopcore::ops {

constexpr std::uint32_t slots(std::initializer_list<unsigned> list) {
    std::uint32_t mask = 0;
    for (const unsigned slot : list) mask |= 1U << slot;
    return mask;
}

constexpr When given(std::uint8_t input) { return {When::Kind::kGiven, input}; }
constexpr When choice_is(AttrKey key, std::uint8_t value) {
    return {When::Kind::kChoice, static_cast<std::uint8_t>(key), value};
}
constexpr When choice_is_not(AttrKey key, std::uint8_t value) {
    return {When::Kind::kNotChoice, static_cast<std::uint8_t>(key), value};
}

inline constexpr DTypeRules kAlike{.alike = 0xFF};
inline constexpr DTypeRules kAlikeIntegers{.alike = 0xFF, .integers = 0xFF};
inline constexpr DTypeRules kAnyIntegers{.integers = 0xFF};

inline constexpr std::int64_t kReductionNone = 2;  // position of none among the reductions of a loss
inline constexpr std::string_view kModeChoices[] = {"eval", "train"};
inline constexpr AttrSpec kMode[] = {{AttrKey::kMode, AttrKind::kChoice, false, 0, kModeChoices}};
inline constexpr When kTraining = choice_is(AttrKey::kMode, 1);
inline constexpr AttrSpec kCast[] = {{AttrKey::kDtype, AttrKind::kDtype, true}};

}  // namespace flopcore::ops
