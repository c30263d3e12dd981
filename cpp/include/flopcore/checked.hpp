// Exact integer arithmetic that never wraps: 128-bit integers and rationals whose overflow is an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flopcore/error.hpp"

namespace flopcore {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

[[noreturn]] void throw_overflow(const char* operation);

[[nodiscard]] inline Int128 checked_add(Int128 a, Int128 b) {
    Int128 result;
    if (__builtin_add_overflow(a, b, &result)) throw_overflow("addition");
    return result;
}
[[nodiscard]] inline Int128 checked_sub(Int128 a, Int128 b) {
    Int128 result;
    if (__builtin_sub_overflow(a, b, &result)) throw_overflow("subtraction");
    return result;
}
[[nodiscard]] inline Int128 checked_mul(Int128 a, Int128 b) {
    Int128 result;
    if (__builtin_mul_overflow(a, b, &result)) throw_overflow("multiplication");
    return result;
}
// Division rounded down (up); the divisor must be positive.
[[nodiscard]] constexpr Int128 floor_div(Int128 a, Int128 b) { return a / b - ((a % b != 0 && a < 0) ? 1 : 0); }
[[nodiscard]] constexpr Int128 ceil_div(Int128 a, Int128 b) { return a / b + ((a % b != 0 && a > 0) ? 1 : 0); }

// Decimal text of a 128-bit integer, and back; parsing throws DataError on anything but [-]digits that fit.
[[nodiscard]] std::string to_decimal(Int128 value);
[[nodiscard]] Int128 parse_decimal(std::string_view text);

// A fraction in lowest terms with a positive denominator.
struct Rational {
    Int128 num = 0;
    Int128 den = 1;
    friend bool operator==(const Rational&, const Rational&) = default;
    [[nodiscard]] bool is_integer() const { return den == 1; }
};
[[nodiscard]] Rational make_rational(Int128 num, Int128 den);
// -1, 0, 1 as a is less than, equal to, greater than b; never overflows.
[[nodiscard]] int compare(Rational a, Rational b);
[[nodiscard]] UInt128 magnitude(Int128 value);
[[nodiscard]] UInt128 gcd(UInt128 a, UInt128 b);
[[nodiscard]] Rational add(Rational a, Rational b);
[[nodiscard]] Rational mul(Rational a, Rational b);

}  // namespace flopcore
