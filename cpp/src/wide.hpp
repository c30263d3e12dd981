// Integers wider than 127 bits, for sums whose terms cancel: Wide is 256 bits plus a sign and lives in registers,
// BigInt grows as it must (bounded by kMaxBits) and is the slow path behind it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "flopcore/checked.hpp"

namespace flopcore {

class Wide {
  public:
    Wide() = default;
    explicit Wide(Int128 value) : negative_(value < 0) {
        const UInt128 size = magnitude(value);
        limbs_[0] = static_cast<std::uint64_t>(size);
        limbs_[1] = static_cast<std::uint64_t>(size >> 64);
    }

    // False when the result needs more than 256 bits; the value is then unspecified.
    [[nodiscard]] bool multiply(Int128 factor);
    [[nodiscard]] bool add(const Wide& other);

    [[nodiscard]] std::optional<Int128> as_int128() const;
    // Divides by a positive number, exactly when the remainder returned is 0 (the value is unspecified otherwise).
    [[nodiscard]] std::uint64_t divide(std::uint64_t divisor);
    // The magnitude modulo a positive number.
    [[nodiscard]] std::uint64_t remainder(std::uint64_t divisor) const;

  private:
    std::array<std::uint64_t, 4> limbs_{};  // magnitude, least significant first
    bool negative_ = false;
};

class BigInt {
  public:
    static constexpr std::size_t kMaxBits = std::size_t{1} << 17;

    BigInt() = default;
    explicit BigInt(Int128 value);

    [[nodiscard]] bool is_zero() const { return limbs_.empty(); }
    [[nodiscard]] bool is_negative() const { return negative_; }
    [[nodiscard]] bool is_one() const { return !negative_ && limbs_.size() == 1 && limbs_[0] == 1; }
    [[nodiscard]] std::optional<Int128> as_int128() const;
    [[nodiscard]] BigInt negated() const;

    friend BigInt operator+(const BigInt& a, const BigInt& b);
    friend BigInt operator*(const BigInt& a, const BigInt& b);
    // Quotient rounded down; divisor > 0. The remainder (never negative) goes to *rest if given.
    [[nodiscard]] static BigInt floor_divide(const BigInt& a, const BigInt& divisor, BigInt* rest = nullptr);
    [[nodiscard]] static int compare(const BigInt& a, const BigInt& b);
    [[nodiscard]] static BigInt gcd(BigInt a, BigInt b);

  private:
    using Limbs = std::vector<std::uint32_t>;  // magnitude, least significant first, no leading zeros
    [[nodiscard]] static int compare_limbs(const Limbs& a, const Limbs& b);
    [[nodiscard]] static Limbs add_limbs(const Limbs& a, const Limbs& b);
    [[nodiscard]] static Limbs subtract_limbs(const Limbs& a, const Limbs& b);  // a >= b
    static void divide_limbs(const Limbs& a, const Limbs& b, Limbs& quotient, Limbs& rest);
    [[nodiscard]] static BigInt make(Limbs limbs, bool negative);

    Limbs limbs_;
    bool negative_ = false;
};

// A fraction of BigInts in lowest terms with a positive denominator.
struct BigRational {
    BigInt num;
    BigInt den{1};

    [[nodiscard]] static BigRational make(BigInt num, BigInt den);
    [[nodiscard]] std::optional<Rational> as_rational() const;
};
[[nodiscard]] BigRational add(const BigRational& a, const BigRational& b);
[[nodiscard]] BigRational mul(const BigRational& a, const BigRational& b);
[[nodiscard]] int compare(const BigRational& a, const BigRational& b);
[[nodiscard]] BigInt floor(const BigRational& a);

}  // namespace flopcore
