// Basis: a tally folded into few columns, of which the price under each of some conventions is a linear form.
#pragma once

#include <span>
#include <vector>

#include "flopcore/convention.hpp"
#include "flopcore/expr.hpp"
#include "flopcore/tally.hpp"

namespace flopcore {

inline constexpr std::size_t kMaxColumns = 64;

// price(choice c) = sum over j of weights[c][j] columns[j], exactly. A column is the sum of the amounts that all
// choices weigh in one proportion; when there are more than kMaxColumns proportions, the columns are the prices under
// some of the choices, as many as are linearly independent.
struct Basis {
    ExprStore exprs;
    std::vector<ExprRef> columns;
    std::vector<std::vector<Rational>> weights;
};

// Throws ConventionError as price() does, and when more than kMaxColumns columns are needed.
[[nodiscard]] Basis make_basis(const Tally& tally, std::span<const Convention* const> choices);

}  // namespace flopcore
