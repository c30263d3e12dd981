// Accumulator: an exact sum of many amounts, each times a coefficient.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flopcore/checked.hpp"
#include "flopcore/expr.hpp"

namespace flopcore {

// Sum of coefficient x amount, where constant amounts (the common case) are added as 128-bit integers in units of
// 1 / denominator, and equal symbolic amounts are gathered before they meet the store.
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
        if (symbolic_.empty()) return exprs.constant(make_rational(constant_, denominator));
        std::vector<std::pair<ExprRef, Rational>> parts{{ExprRef::small(1), make_rational(constant_, denominator)}};
        for (const auto& [bits, coefficient] : symbolic_)
            parts.emplace_back(ExprRef::stored(static_cast<std::uint32_t>(bits >> 1)),
                               make_rational(coefficient, denominator));
        return exprs.combine(parts);
    }

  private:
    void add_slow(const ExprStore& exprs, ExprRef amount, Int128 numerator) {
        if (const auto integer = exprs.as_integer(amount)) {
            constant_ = checked_add(constant_, checked_mul(numerator, *integer));
        } else {
            Int128& coefficient = symbolic_[amount.bits()];
            coefficient = checked_add(coefficient, numerator);
        }
    }

    Int128 constant_ = 0;
    std::unordered_map<std::int64_t, Int128> symbolic_;
};

}  // namespace flopcore
