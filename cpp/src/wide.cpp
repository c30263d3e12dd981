#include "wide.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace flopcore {
namespace {

std::optional<Int128> signed_value(UInt128 size, bool negative) {
    constexpr UInt128 kHalf = UInt128{1} << 127;
    if (negative) {
        if (size > kHalf) return std::nullopt;
        return static_cast<Int128>(~size + 1);
    }
    if (size >= kHalf) return std::nullopt;
    return static_cast<Int128>(size);
}

}  // namespace

bool Wide::multiply(Int128 factor) {
    const UInt128 size = magnitude(factor);
    const std::uint64_t low = static_cast<std::uint64_t>(size);
    const std::uint64_t high = static_cast<std::uint64_t>(size >> 64);
    std::array<std::uint64_t, 4> product{};
    UInt128 carry = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        carry += UInt128{limbs_[i]} * low;
        product[i] = static_cast<std::uint64_t>(carry);
        carry >>= 64;
    }
    if (carry != 0) return false;
    if (high != 0) {
        for (std::size_t i = 0; i < 3; ++i) {
            carry += UInt128{limbs_[i]} * high + product[i + 1];  // < 2^128: (2^64-1)^2 + 2 (2^64-1)
            product[i + 1] = static_cast<std::uint64_t>(carry);
            carry >>= 64;
        }
        if (carry != 0 || limbs_[3] != 0) return false;
    }
    limbs_ = product;
    negative_ = negative_ != (factor < 0);
    return true;
}

bool Wide::add(const Wide& other) {
    if (negative_ == other.negative_) {
        UInt128 carry = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            carry += UInt128{limbs_[i]} + other.limbs_[i];
            limbs_[i] = static_cast<std::uint64_t>(carry);
            carry >>= 64;
        }
        return carry == 0;
    }
    const bool smaller =
        std::lexicographical_compare(limbs_.rbegin(), limbs_.rend(), other.limbs_.rbegin(), other.limbs_.rend());
    const auto& large = smaller ? other.limbs_ : limbs_;
    const auto& little = smaller ? limbs_ : other.limbs_;
    std::array<std::uint64_t, 4> difference{};
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const UInt128 step = UInt128{large[i]} - little[i] - borrow;
        difference[i] = static_cast<std::uint64_t>(step);
        borrow = static_cast<std::uint64_t>(step >> 64) & 1U;
    }
    limbs_ = difference;
    if (smaller) negative_ = other.negative_;
    return true;
}

std::optional<Int128> Wide::as_int128() const {
    if (limbs_[2] != 0 || limbs_[3] != 0) return std::nullopt;
    return signed_value((UInt128{limbs_[1]} << 64) | limbs_[0], negative_);
}

std::uint64_t Wide::divide(std::uint64_t divisor) {
    UInt128 rest = 0;
    for (std::size_t i = 4; i-- > 0;) {
        rest = (rest << 64) | limbs_[i];
        limbs_[i] = static_cast<std::uint64_t>(rest / divisor);
        rest %= divisor;
    }
    return static_cast<std::uint64_t>(rest);
}

std::uint64_t Wide::remainder(std::uint64_t divisor) const {
    Wide copy = *this;
    return copy.divide(divisor);
}

BigInt::BigInt(Int128 value) : negative_(value < 0) {
    for (UInt128 size = magnitude(value); size != 0; size >>= 32) limbs_.push_back(static_cast<std::uint32_t>(size));
}

BigInt BigInt::make(Limbs limbs, bool negative) {
    while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
    if (limbs.size() > kMaxBits / 32) throw_overflow("intermediate result beyond 131072 bits");
    BigInt result;
    result.negative_ = negative && !limbs.empty();
    result.limbs_ = std::move(limbs);
    return result;
}

std::optional<Int128> BigInt::as_int128() const {
    if (limbs_.size() > 4) return std::nullopt;
    UInt128 size = 0;
    for (std::size_t i = limbs_.size(); i-- > 0;) size = (size << 32) | limbs_[i];
    return signed_value(size, negative_);
}

BigInt BigInt::negated() const {
    BigInt result = *this;
    result.negative_ = !negative_ && !limbs_.empty();
    return result;
}

int BigInt::compare_limbs(const Limbs& a, const Limbs& b) {
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    for (std::size_t i = a.size(); i-- > 0;)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

BigInt::Limbs BigInt::add_limbs(const Limbs& a, const Limbs& b) {
    const Limbs& longer = a.size() < b.size() ? b : a;
    const Limbs& shorter = a.size() < b.size() ? a : b;
    Limbs sum(longer.size() + 1);
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < longer.size(); ++i) {
        carry += std::uint64_t{longer[i]} + (i < shorter.size() ? shorter[i] : 0U);
        sum[i] = static_cast<std::uint32_t>(carry);
        carry >>= 32;
    }
    sum.back() = static_cast<std::uint32_t>(carry);
    return sum;
}

BigInt::Limbs BigInt::subtract_limbs(const Limbs& a, const Limbs& b) {
    Limbs difference(a.size());
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const std::uint64_t step = std::uint64_t{a[i]} - (i < b.size() ? b[i] : 0U) - borrow;
        difference[i] = static_cast<std::uint32_t>(step);
        borrow = (step >> 32) & 1U;
    }
    return difference;
}

// Schoolbook long division (Knuth, The Art of Computer Programming vol. 2, algorithm D), base 2^32.
void BigInt::divide_limbs(const Limbs& a, const Limbs& b, Limbs& quotient, Limbs& rest) {
    quotient.clear();
    if (compare_limbs(a, b) < 0) {
        rest = a;
        return;
    }
    if (b.size() == 1) {
        quotient.resize(a.size());
        std::uint64_t remaining = 0;
        for (std::size_t i = a.size(); i-- > 0;) {
            remaining = (remaining << 32) | a[i];
            quotient[i] = static_cast<std::uint32_t>(remaining / b[0]);
            remaining %= b[0];
        }
        rest.assign(1, static_cast<std::uint32_t>(remaining));
        return;
    }
    const int shift = std::countl_zero(b.back());
    const auto shifted = [shift](const Limbs& limbs) {
        Limbs result(limbs.size() + 1);
        std::uint64_t carry = 0;
        for (std::size_t i = 0; i < limbs.size(); ++i) {
            carry |= std::uint64_t{limbs[i]} << shift;
            result[i] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        result.back() = static_cast<std::uint32_t>(carry);
        return result;
    };
    Limbs u = shifted(a);
    const Limbs v = shifted(b);
    const std::size_t n = b.size();
    quotient.resize(a.size() - n + 1);
    for (std::size_t j = quotient.size(); j-- > 0;) {
        const std::uint64_t top = (std::uint64_t{u[j + n]} << 32) | u[j + n - 1];
        std::uint64_t digit = top / v[n - 1];
        std::uint64_t left = top % v[n - 1];
        while (digit >> 32 != 0 || digit * v[n - 2] > ((left << 32) | u[j + n - 2])) {
            --digit;
            left += v[n - 1];
            if (left >> 32 != 0) break;
        }
        std::uint64_t carry = 0;
        std::uint64_t borrow = 0;
        for (std::size_t i = 0; i < n; ++i) {
            carry += digit * v[i];
            const std::uint64_t step = std::uint64_t{u[i + j]} - (carry & 0xffffffffU) - borrow;
            u[i + j] = static_cast<std::uint32_t>(step);
            borrow = (step >> 32) & 1U;
            carry >>= 32;
        }
        const std::uint64_t step = std::uint64_t{u[j + n]} - carry - borrow;
        u[j + n] = static_cast<std::uint32_t>(step);
        if ((step >> 32) & 1U) {  // the digit was one too large: add the divisor back
            --digit;
            std::uint64_t back = 0;
            for (std::size_t i = 0; i < n; ++i) {
                back += std::uint64_t{u[i + j]} + v[i];
                u[i + j] = static_cast<std::uint32_t>(back);
                back >>= 32;
            }
            u[j + n] += static_cast<std::uint32_t>(back);
        }
        quotient[j] = static_cast<std::uint32_t>(digit);
    }
    rest.assign(n, 0);
    for (std::size_t i = 0; i < n; ++i)
        rest[i] = static_cast<std::uint32_t>(((std::uint64_t{u[i + 1]} << 32) | u[i]) >> shift);
}

BigInt operator+(const BigInt& a, const BigInt& b) {
    if (a.negative_ == b.negative_) return BigInt::make(BigInt::add_limbs(a.limbs_, b.limbs_), a.negative_);
    if (BigInt::compare_limbs(a.limbs_, b.limbs_) >= 0)
        return BigInt::make(BigInt::subtract_limbs(a.limbs_, b.limbs_), a.negative_);
    return BigInt::make(BigInt::subtract_limbs(b.limbs_, a.limbs_), b.negative_);
}

BigInt operator*(const BigInt& a, const BigInt& b) {
    if (a.limbs_.size() + b.limbs_.size() > BigInt::kMaxBits / 32 + 1)
        throw_overflow("intermediate result beyond 131072 bits");
    BigInt::Limbs product(a.limbs_.size() + b.limbs_.size());
    for (std::size_t i = 0; i < a.limbs_.size(); ++i) {
        std::uint64_t carry = 0;
        for (std::size_t j = 0; j < b.limbs_.size(); ++j) {
            carry += std::uint64_t{a.limbs_[i]} * b.limbs_[j] + product[i + j];
            product[i + j] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        product[i + b.limbs_.size()] = static_cast<std::uint32_t>(carry);
    }
    return BigInt::make(std::move(product), a.negative_ != b.negative_);
}

BigInt BigInt::floor_divide(const BigInt& a, const BigInt& divisor, BigInt* rest) {
    FLOPCORE_ASSERT(!divisor.is_zero() && !divisor.negative_);
    Limbs quotient_limbs;
    Limbs rest_limbs;
    divide_limbs(a.limbs_, divisor.limbs_, quotient_limbs, rest_limbs);
    BigInt quotient = make(std::move(quotient_limbs), a.negative_);
    BigInt left = make(std::move(rest_limbs), a.negative_);
    if (left.negative_) {
        quotient = quotient + BigInt(-1);
        left = left + divisor;
    }
    if (rest != nullptr) *rest = std::move(left);
    return quotient;
}

int BigInt::compare(const BigInt& a, const BigInt& b) {
    if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
    const int size = compare_limbs(a.limbs_, b.limbs_);
    return a.negative_ ? -size : size;
}

BigInt BigInt::gcd(BigInt a, BigInt b) {
    a.negative_ = false;
    b.negative_ = false;
    while (!b.is_zero()) {
        BigInt rest;
        static_cast<void>(floor_divide(a, b, &rest));
        a = std::move(b);
        b = std::move(rest);
    }
    return a;
}

BigRational BigRational::make(BigInt num, BigInt den) {
    if (den.is_one()) return {std::move(num), std::move(den)};
    const BigInt common = BigInt::gcd(num, den);
    if (common.is_one()) return {std::move(num), std::move(den)};
    return {BigInt::floor_divide(num, common), BigInt::floor_divide(den, common)};
}

std::optional<Rational> BigRational::as_rational() const {
    const std::optional<Int128> top = num.as_int128();
    const std::optional<Int128> bottom = den.as_int128();
    if (!top || !bottom) return std::nullopt;
    return Rational{*top, *bottom};
}

BigRational add(const BigRational& a, const BigRational& b) {
    if (a.den.is_one() && b.den.is_one()) return {a.num + b.num, BigInt(1)};
    return BigRational::make(a.num * b.den + b.num * a.den, a.den * b.den);
}

BigRational mul(const BigRational& a, const BigRational& b) { return BigRational::make(a.num * b.num, a.den * b.den); }

int compare(const BigRational& a, const BigRational& b) { return BigInt::compare(a.num * b.den, b.num * a.den); }

BigInt floor(const BigRational& a) { return BigInt::floor_divide(a.num, a.den); }

}  // namespace flopcore
