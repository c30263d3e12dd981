// The walk: one pass over a graph, shape rule and op rule per node, into a Tally.
#pragma once

#include <span>

#include "flopcore/graph.hpp"
#include "flopcore/tally.hpp"

namespace flopcore {

// bindings replace dims before anything is counted: all shapes are inferred again from the bound leaves, so that a
// fully bound graph is walked in plain integers. Values are small integers; a name the
// graph does not have, or a value outside the dim's bounds, is a DataError.
[[nodiscard]] Tally walk(const Graph& graph, std::span<const Binding> bindings = {});

}  // namespace flopcore
