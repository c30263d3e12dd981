// Amounts of features, with the extents a convention may count as nominal or as used: what a rule emits.
#pragma once

#include <cstdint>

#include "flopcore/expr.hpp"
#include "flopcore/feature.hpp"

namespace flopcore {

// nominal and used size of what may be left out: the amount is base x one of them.
struct Extent {
    ExtentKind kind;
    Grade grade;
    ExprRef nominal;
    ExprRef used;
};

// Number of an extent among those of its node, from 1.
using ExtentId = std::uint8_t;
inline constexpr ExtentId kNoExtent = 0;

// What one amount of a node is of.
struct AmountTag {
    Feature feature;
    ExtentId extent;
    friend bool operator==(const AmountTag&, const AmountTag&) = default;
};

// Part of the base of a row: the node's amount at `position`, times `scale` (bytes of so many elements, two
// multiplications per element). Rows may share an amount.
struct RowPart {
    std::uint32_t position, scale;
    friend bool operator==(const RowPart&, const RowPart&) = default;
};

// A row of a node, among others of its kind: its base is the sum of the kind's parts [begin, end).
struct RowTag {
    Feature feature;
    ExtentId extent;
    std::uint16_t begin, end;
    friend bool operator==(const RowTag&, const RowTag&) = default;
};

}  // namespace flopcore
