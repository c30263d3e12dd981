// Accumulator: an exact sum of many amounts, each times a coefficient.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "flopcore/checked.hpp"
#include "flopcore/expr.hpp"
#include "flopcore/expr_numbers.hpp"

namespace flopcore {

// Sum of coefficient x amount, where constant amounts (the common case) are added as 128-bit integers in units of
// 1 / denominator, and amounts of one monomial are gathered before they meet the store.
class Accumulator {
  public:
    // plain: the numerator fits 62 bits, so that a product with a small amount fits 126.
    void add(const ExprStore& exprs, ExprRef amount, Int128 numerator, bool plain) {
        if (amount.is_small() && plain)
            constant_ =
                checked_add(constant_, static_cast<Int128>(static_cast<std::int64_t>(numerator)) * amount.value());
        else
            add_slow(exprs, amount, numerator);
    }
    [[nodiscard]] ExprRef total(ExprStore& exprs, Int128 denominator) const {
        if (sums_.empty()) return exprs.constant(make_rational(constant_, denominator));
        std::vector<std::pair<ExprRef, Rational>> parts{{ExprRef::small(1), make_rational(constant_, denominator)}};
        for (std::size_t i = 0; i < sums_.size(); ++i)
            parts.emplace_back(symbolic_.all()[i], make_rational(sums_[i], denominator));
        return exprs.combine(parts);
    }

  private:
    void add_slow(const ExprStore& exprs, ExprRef amount, Int128 numerator) {
        if (amount.is_term())
            add_symbolic(ExprRef::term(amount.monomial(), 1), checked_mul(numerator, amount.coefficient()));
        else if (const auto integer = exprs.as_integer(amount))
            constant_ = checked_add(constant_, checked_mul(numerator, *integer));
        else
            add_symbolic(amount, numerator);
    }
    void add_symbolic(ExprRef amount, Int128 coefficient) {
        const std::uint32_t number = symbolic_.number(amount);
        if (number == sums_.size()) sums_.push_back(0);
        sums_[number] = checked_add(sums_[number], coefficient);
    }

    Int128 constant_ = 0;
    ExprNumbers symbolic_;
    std::vector<Int128> sums_;  // of the coefficients of each
};

}  // namespace flopcore
