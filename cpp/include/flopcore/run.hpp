// Run: what a node that runs blocks holds (a call, a loop or scan, the arms of an if, a recomputation), whether its
// arguments fit the block, and which shapes it returns.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "flopcore/expr.hpp"
#include "flopcore/ids.hpp"
#include "flopcore/op.hpp"
#include "flopcore/rule.hpp"

namespace flopcore {

// One block that a node runs; an if has one for each of its arms, side by side.
//
// The inputs of a loop are: state, which the first outputs replace from run to run; slices, cut from their tensor along
// an axis of `times` entries, one for each run; and what stays the same. Its outputs are the state, then results that
// are stacked along an axis. A loop may have an index, a symbol that is 0 in the first run and that shapes inside may
// depend on.
struct Run {
    BlockId block = 0;
    Params params = Params::kPerCall;
    ExprRef times = ExprRef::small(1);
    ExprRef index{};            // a symbol, or 0: none
    std::uint32_t n_state = 0;  // loops only, as what follows
    std::vector<std::uint8_t> slice_axes{}, stack_axes{};
    std::optional<Rational> probability{};  // of an arm
};

// A run with the shapes around it: a short-lived view.
struct RunView {
    Op op;
    const Run& run;
    std::string_view block;  // name
    std::span<const TensorView> arguments;
    std::span<const TensorView> inputs, outputs;  // of the block
};

// Writes what a node returns that holds these runs (several: arms, which must return the same shapes). Throws
// ShapeError or GraphError if an argument does not fit.
void infer_runs(ExprStore& exprs, std::span<const RunView> runs, ShapeWriter& out);

}  // namespace flopcore
