#include "check.hpp"
#include "wide.hpp"

using namespace flopcore;

namespace {

constexpr Int128 kMax = static_cast<Int128>(~UInt128{0} >> 1);
constexpr Int128 kMin = ~kMax;

// A small generator, so that failures repeat.
std::uint64_t state = 88172645463325252U;
std::uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
Int128 random_int() {
    const auto bits = static_cast<int>(next() % 127);
    const auto value = static_cast<Int128>(((UInt128{next()} << 64) | next()) >> (127 - bits)) & kMax;
    return next() % 2 == 0 ? value : -value;
}

void wide_products_cancel() {
    for (const Int128 x : {kMax, kMin, Int128{-1}, Int128{1} << 100}) {
        Wide left(x);
        Wide right(x);
        CHECK(left.multiply(kMax) && right.multiply(-kMax) && left.add(right));
        CHECK(left.as_int128() == Int128{0});
    }
    Wide sum(kMin);
    CHECK(sum.as_int128() == kMin);
    CHECK(sum.add(Wide(kMin)) && !sum.as_int128());
}

void wide_overflow_is_reported() {
    Wide value(kMax);
    CHECK(value.multiply(kMax));
    CHECK(!value.multiply(8));
    Wide edge(Int128{1} << 126);
    CHECK(edge.multiply(Int128{1} << 126) && edge.multiply(8));
    Wide twice = edge;
    CHECK(!twice.add(edge));
    CHECK(edge.remainder(7) == (1U << (255 % 3)));  // 2^255 mod 7
    CHECK(edge.divide(1ULL << 63) == 0 && edge.divide(1ULL << 63) == 0 && edge.divide(1ULL << 63) == 0);
    CHECK(edge.as_int128() == Int128{1} << 66);
}

void wide_agrees_with_big() {
    for (int i = 0; i < 20000; ++i) {
        const Int128 a = random_int();
        const Int128 b = random_int();
        const Int128 c = random_int();
        const Int128 d = random_int();
        Wide left(a);
        Wide right(c);
        const bool fits = left.multiply(b) && right.multiply(d) && left.add(right);
        CHECK(fits);
        CHECK(left.as_int128() == (BigInt(a) * BigInt(b) + BigInt(c) * BigInt(d)).as_int128());
    }
}

void big_division_is_exact() {
    for (int i = 0; i < 20000; ++i) {
        BigInt a = BigInt(random_int()) * BigInt(random_int()) + BigInt(random_int());
        if (i % 3 == 0) a = a * BigInt(random_int());
        BigInt b = BigInt(random_int());
        if (i % 2 == 0) b = b * BigInt(random_int()) + BigInt(1);
        if (b.is_zero()) continue;
        if (b.is_negative()) b = b.negated();
        BigInt rest;
        const BigInt quotient = BigInt::floor_divide(a, b, &rest);
        CHECK(!rest.is_negative() && BigInt::compare(rest, b) < 0);
        CHECK(BigInt::compare(quotient * b + rest, a) == 0);
    }
}

void big_numbers_are_bounded() {
    BigInt value(kMax);
    CHECK_THROWS(OverflowError_, [&] {
        for (int i = 0; i < 40; ++i) value = value * value;
        return 0;
    }());
    CHECK(BigInt::compare(BigInt::gcd(BigInt(kMax) * BigInt(kMax), BigInt(kMax) * BigInt(6)), BigInt(kMax)) >= 0);
}

void big_fractions_reduce() {
    const BigRational third = BigRational::make(BigInt(-2), BigInt(6));
    CHECK((third.as_rational() == Rational{-1, 3}));
    CHECK((add(third, BigRational{BigInt(1), BigInt(3)}).as_rational() == Rational{0, 1}));
    CHECK(compare(third, BigRational{BigInt(-1), BigInt(2)}) == 1);
    CHECK(floor(third).as_int128() == Int128{-1});
}

}  // namespace

int main() {
    wide_products_cancel();
    wide_overflow_is_reported();
    wide_agrees_with_big();
    big_division_is_exact();
    big_numbers_are_bounded();
    big_fractions_reduce();
}
