// Interval bounds and divisibility of expressions. Bounds are outer: an end that would overflow is dropped, or, on
// the far side, held at the largest magnitude there is.
#include <algorithm>
#include <limits>

#include "expr_arena.hpp"

namespace flopcore {
namespace {

constexpr Int128 kLargest = static_cast<Int128>(~UInt128{0} >> 1);

// One end of an interval: a fraction, or infinite (infinity = -1 or 1).
struct End {
    int infinity = 0;
    Rational value;
};

int sign_of(const End& end) {
    if (end.infinity != 0) return end.infinity;
    return end.value.num == 0 ? 0 : (end.value.num < 0 ? -1 : 1);
}

bool less(const End& a, const End& b) {
    if (a.infinity != 0 || b.infinity != 0) return a.infinity < b.infinity;
    return compare(a.value, b.value) < 0;
}

// Overflow reads as infinite; range() brings it back to the safe side.
End product(const End& a, const End& b) {
    const int sign = sign_of(a) * sign_of(b);
    if (sign == 0) return {};
    if (a.infinity != 0 || b.infinity != 0) return {sign, {}};
    Int128 num;
    Int128 den;
    if (a.value.den == 1 && b.value.den == 1)
        return __builtin_mul_overflow(a.value.num, b.value.num, &num) ? End{sign, {}} : End{0, {num, 1}};
    const Rational left = make_rational(a.value.num, b.value.den);
    const Rational right = make_rational(b.value.num, a.value.den);
    if (__builtin_mul_overflow(left.num, right.num, &num) || __builtin_mul_overflow(left.den, right.den, &den))
        return {sign, {}};
    return {0, {num, den}};
}

// The caller says to which side an overflow may fall.
End plus(const End& a, const End& b, int overflow) {
    if (a.infinity != 0) return a;
    if (b.infinity != 0) return b;
    Int128 left;
    Int128 right;
    Int128 num;
    Int128 den;
    if (a.value.den == 1 && b.value.den == 1)
        return __builtin_add_overflow(a.value.num, b.value.num, &num) ? End{overflow, {}} : End{0, {num, 1}};
    if (__builtin_mul_overflow(a.value.num, b.value.den, &left) ||
        __builtin_mul_overflow(b.value.num, a.value.den, &right) || __builtin_add_overflow(left, right, &num) ||
        __builtin_mul_overflow(a.value.den, b.value.den, &den))
        return {overflow, {}};
    return {0, make_rational(num, den)};
}

struct Range {
    End low;
    End high;
};

Range range(const Interval& interval) {
    return {interval.low ? End{0, *interval.low} : End{-1, {}}, interval.high ? End{0, *interval.high} : End{1, {}}};
}

Interval interval(const Range& range) {
    Interval result;
    if (range.low.infinity == 0) result.low = range.low.value;
    if (range.low.infinity > 0) result.low = Rational{kLargest, 1};
    if (range.high.infinity == 0) result.high = range.high.value;
    if (range.high.infinity < 0) result.high = Rational{-kLargest, 1};
    return result;
}

Range product(const Range& a, const Range& b) {
    const End ends[] = {product(a.low, b.low), product(a.low, b.high), product(a.high, b.low), product(a.high, b.high)};
    return {*std::ranges::min_element(ends, less), *std::ranges::max_element(ends, less)};
}

Range power(const Range& base, std::uint32_t exponent) {
    const bool straddles = sign_of(base.low) < 0 && sign_of(base.high) > 0;
    Range ends{{0, {1, 1}}, {0, {1, 1}}};
    for (std::uint32_t i = 0; i < exponent; ++i) {
        ends.low = product(ends.low, base.low);
        ends.high = product(ends.high, base.high);
    }
    if (exponent % 2 == 1) return ends;
    const End greatest = less(ends.low, ends.high) ? ends.high : ends.low;
    if (straddles) return {{}, greatest};
    return {less(ends.low, ends.high) ? ends.low : ends.high, greatest};
}

}  // namespace

std::int64_t floor_in_64_bits(const std::optional<Rational>& low) {
    constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();
    if (!low) return kNone;
    return static_cast<std::int64_t>(
        std::clamp<Int128>(floor_of(*low), kNone, std::numeric_limits<std::int64_t>::max()));
}

Interval ExprStore::Arena::product_bounds(std::span<const Factor> product_of) const {
    if (product_of.size() == 1 && product_of[0].exponent == 1) return atoms[product_of[0].atom].bounds;
    Range result{{0, {1, 1}}, {0, {1, 1}}};
    for (const Factor& factor : product_of) {
        const Range base = range(atoms[factor.atom].bounds);
        // Back through Interval, so that an overflow is on the safe side before it is multiplied again.
        result = range(interval(product(result, range(interval(power(base, factor.exponent))))));
    }
    return interval(result);
}

Interval ExprStore::Arena::bounds(std::span<const Term> polynomial) const {
    Range total{{0, {0, 1}}, {0, {0, 1}}};
    for (const Term& term : polynomial) {
        const End factor{0, coef_value(term.coef)};
        const Range own = range(interval(product(range(monomials[term.monomial].bounds), {factor, factor})));
        total.low = plus(total.low, own.low, -1);
        total.high = plus(total.high, own.high, 1);
    }
    return interval(total);
}

Interval ExprStore::Arena::bounds(ExprRef a) const {
    Term room{};
    return bounds(terms_of(a, &room));
}

Interval ExprStore::Arena::difference_bounds(ExprRef a, ExprRef b) const {
    Term left_room{};
    Term right_room{};
    const auto left = terms_of(a, &left_room);
    const auto right = terms_of(b, &right_room);
    Range total{{0, {0, 1}}, {0, {0, 1}}};
    const auto accumulate = [&](std::uint32_t monomial, const End& coef) {
        const Range own = range(interval(product(range(monomials[monomial].bounds), {coef, coef})));
        total.low = plus(total.low, own.low, -1);
        total.high = plus(total.high, own.high, 1);
    };
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < left.size() || j < right.size()) {
        const int order = i == left.size()    ? 1
                          : j == right.size() ? -1
                                              : compare_monomials(left[i].monomial, right[j].monomial);
        const std::uint32_t monomial = order <= 0 ? left[i].monomial : right[j].monomial;
        Rational coef{0, 1};
        if (order <= 0) coef = coef_value(left[i++].coef);
        if (order >= 0) {
            const Rational other = coef_value(right[j++].coef);
            try {
                coef = flopcore::add(coef, {checked_sub(0, other.num), other.den});
            } catch (const OverflowError_&) {
                return {};
            }
        }
        accumulate(monomial, {0, coef});
    }
    return interval(total);
}

Interval ExprStore::Arena::quotient_bounds(const Interval& num, const Interval& den) const {
    // 1/den lies in (0, 1/low], or from 1/high on; den is positive wherever the quotient has a value.
    Range inverse{{0, {0, 1}}, {1, {}}};
    if (den.low && den.low->num > 0) inverse.high = {0, {den.low->den, den.low->num}};
    if (den.high && den.high->num > 0) inverse.low = {0, {den.high->den, den.high->num}};
    return interval(product(range(num), inverse));
}

Interval ExprStore::Arena::sum_bounds(ExprRef body, ExprRef low, ExprRef high) const {
    // (number of steps) * (bounds of one step)
    Range steps = range(difference_bounds(high, low));
    for (End* end : {&steps.low, &steps.high})
        if (sign_of(*end) < 0) *end = {};
    return interval(product(steps, range(bounds(body))));
}

Divisibility ExprStore::Arena::divisibility(std::span<const Term> polynomial) const {
    Divisibility result;
    for (const Term& term : polynomial) {
        const Monomial& monomial = monomials[term.monomial];
        const Rational coef = coef_value(term.coef);
        const auto common =
            static_cast<Int128>(gcd(static_cast<UInt128>(coef.den), static_cast<UInt128>(monomial.multiple)));
        if (!monomial.integer || common != coef.den) return {false, 1};
        // |coef.num| * (multiple / den) divides the term; on overflow the coefficient alone does.
        const UInt128 size = magnitude(coef.num);
        const auto factor = static_cast<UInt128>(monomial.multiple / common);
        UInt128 whole;
        if (__builtin_mul_overflow(size, factor, &whole)) whole = size;
        const UInt128 divisor = gcd(magnitude(result.multiple), whole);
        result.multiple = divisor > static_cast<UInt128>(kLargest) ? 1 : static_cast<Int128>(divisor);
    }
    return result;
}

Divisibility ExprStore::Arena::divisibility(ExprRef a) const {
    Term room{};
    return divisibility(terms_of(a, &room));
}

}  // namespace flopcore
