#include "flopcore/checked.hpp"

#include <algorithm>

namespace flopcore {

UInt128 magnitude(Int128 value) { return value < 0 ? ~static_cast<UInt128>(value) + 1 : static_cast<UInt128>(value); }

UInt128 gcd(UInt128 a, UInt128 b) {
    while ((a >> 64) != 0 || (b >> 64) != 0) {  // a 128-bit remainder costs ten times a 64-bit one
        if (b == 0) return a;
        const UInt128 r = a % b;
        a = b;
        b = r;
    }
    auto x = static_cast<std::uint64_t>(a);
    auto y = static_cast<std::uint64_t>(b);
    while (y != 0) {
        const std::uint64_t r = x % y;
        x = y;
        y = r;
    }
    return x;
}

void throw_overflow(const char* operation) {
    throw OverflowError_(std::string("count does not fit 127 bits (in a ") + operation +
                         "); counts are exact and never wrap: split the model or reduce its dims");
}

std::string to_decimal(Int128 value) {
    UInt128 rest = magnitude(value);
    std::string digits;
    do {
        digits.push_back(static_cast<char>('0' + static_cast<int>(rest % 10)));
        rest /= 10;
    } while (rest != 0);
    if (value < 0) digits.push_back('-');
    std::reverse(digits.begin(), digits.end());
    return digits;
}

Int128 parse_decimal(std::string_view text) {
    const bool negative = text.starts_with('-');
    const std::string_view digits = negative ? text.substr(1) : text;
    if (digits.empty()) throw DataError("not an integer: '" + std::string(text) + "'");
    Int128 value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') throw DataError("not an integer: '" + std::string(text) + "'");
        value = checked_sub(checked_mul(value, 10), c - '0');  // negative side, so that the minimum parses
    }
    return negative ? value : checked_sub(0, value);
}

Rational make_rational(Int128 num, Int128 den) {
    if (den == 0) throw DataError("division by zero in an exact fraction");
    if (den < 0) {
        num = checked_sub(0, num);
        den = checked_sub(0, den);
    }
    const UInt128 divisor = gcd(magnitude(num), static_cast<UInt128>(den));
    if (divisor > 1) {
        num /= static_cast<Int128>(divisor);
        den /= static_cast<Int128>(divisor);
    }
    return {num, den};
}

int compare(Rational a, Rational b) {
    // Compare as continued fractions: whole parts, then the reciprocals of what is left, the other way round.
    for (int sign = 1;; sign = -sign) {
        if (a.den == b.den) return a.num == b.num ? 0 : (a.num < b.num ? -sign : sign);
        const Int128 left = floor_div(a.num, a.den);
        const Int128 right = floor_div(b.num, b.den);
        if (left != right) return left < right ? -sign : sign;
        const Int128 left_rest = a.num - left * a.den;
        const Int128 right_rest = b.num - right * b.den;
        if (left_rest == 0 || right_rest == 0) return left_rest == right_rest ? 0 : (left_rest == 0 ? -sign : sign);
        a = {a.den, left_rest};
        b = {b.den, right_rest};
    }
}

Rational add(Rational a, Rational b) {
    if (a.den == 1 && b.den == 1) return {checked_add(a.num, b.num), 1};
    const auto common = static_cast<Int128>(gcd(static_cast<UInt128>(a.den), static_cast<UInt128>(b.den)));
    const Int128 left = checked_mul(a.num, b.den / common);
    const Int128 right = checked_mul(b.num, a.den / common);
    return make_rational(checked_add(left, right), checked_mul(a.den, b.den / common));
}

Rational mul(Rational a, Rational b) {
    const Rational left = make_rational(a.num, b.den);  // cancel crosswise first: fewer overflows
    const Rational right = make_rational(b.num, a.den);
    return {checked_mul(left.num, right.num), checked_mul(left.den, right.den)};
}

}  // namespace flopcore
