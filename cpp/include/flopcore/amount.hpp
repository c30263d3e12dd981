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

struct Amount {
    Feature feature;
    std::uint32_t extent;  // 0: none, else 1 + index into the extents of the node
    ExprRef base;
};

}  // namespace flopcore
