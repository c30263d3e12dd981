#include "check.hpp"
#include "flopcore/checked.hpp"

using namespace flopcore;

namespace {

constexpr Int128 kMax = static_cast<Int128>(~UInt128{0} >> 1);
constexpr Int128 kMin = ~kMax;

void overflow_is_an_error() {
    CHECK(checked_add(kMax - 1, 1) == kMax);
    CHECK_THROWS(OverflowError_, checked_add(kMax, 1));
    CHECK_THROWS(OverflowError_, checked_sub(kMin, 1));
    CHECK_THROWS(OverflowError_, checked_mul(kMax, 2));
    CHECK(checked_mul(Int128{1} << 63, Int128{1} << 63) == Int128{1} << 126);
}

void division_rounds_down_and_up() {
    CHECK(floor_div(7, 2) == 3 && floor_div(-7, 2) == -4 && floor_div(-8, 2) == -4);
    CHECK(ceil_div(7, 2) == 4 && ceil_div(-7, 2) == -3 && ceil_div(8, 2) == 4);
}

void decimal_text_round_trips() {
    for (const Int128 value : {Int128{0}, Int128{-1}, kMax, kMin, Int128{1} << 64})
        CHECK(parse_decimal(to_decimal(value)) == value);
    CHECK(to_decimal(kMin) == "-170141183460469231731687303715884105728");
    CHECK_THROWS(DataError, parse_decimal("12a"));
    CHECK_THROWS(DataError, parse_decimal("-"));
    CHECK_THROWS(OverflowError_, parse_decimal("170141183460469231731687303715884105728"));
}

void fractions_are_in_lowest_terms() {
    CHECK((make_rational(6, -4) == Rational{-3, 2}));
    CHECK((add(Rational{1, 3}, Rational{1, 6}) == Rational{1, 2}));
    CHECK((mul(Rational{kMax, 3}, Rational{3, kMax}) == Rational{1, 1}));
    CHECK_THROWS(DataError, make_rational(1, 0));
}

void comparison_never_overflows() {
    CHECK(compare({1, 2}, {1, 3}) == 1 && compare({-1, 2}, {-1, 3}) == -1 && compare({2, 1}, {2, 1}) == 0);
    CHECK(compare({kMax, kMax - 1}, {kMax - 1, kMax - 2}) == -1);
    CHECK(compare({kMin, 1}, {kMin, kMax}) == -1);
    CHECK(compare({kMax - 1, kMax}, {1, 1}) == -1);
    CHECK(gcd(UInt128{1} << 100, UInt128{3} << 70) == UInt128{1} << 70);
}

}  // namespace

int main() {
    overflow_is_an_error();
    division_rounds_down_and_up();
    decimal_text_round_trips();
    fractions_are_in_lowest_terms();
    comparison_never_overflows();
}
