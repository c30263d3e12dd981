#include "flopcore/exact_sum.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kBetweenCarries = std::size_t{1} << 20, kMostPending = std::size_t{1} << 29;

// What x y misses after rounding (Dekker, after Veltkamp's split at 27 bits): no fused instruction is needed.
double product_rest(double x, double y, double product) {
    constexpr double splitter = 134217729.0;
    const double tx = splitter * x, ty = splitter * y;
    const double xh = tx - (tx - x), yh = ty - (ty - y);
    const double xl = x - xh, yl = y - yh;
    return ((xh * yh - product) + xh * yl + xl * yh) + xl * yl;
}

}  // namespace

void ExactSum::add(double x) {
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    const std::uint64_t exponent = bits >> 52 & 0x7ff;
    std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
    if (exponent != 0) fraction |= std::uint64_t{1} << 52;
    const std::uint64_t place = exponent == 0 ? 0 : exponent - 1;
    const std::size_t limb = place / 32;
    const unsigned shift = place % 32;
    const std::uint64_t low = (fraction & 0xffffffffu) << shift, high = (fraction >> 32) << shift;
    const std::int64_t sign = bits >> 63 != 0 ? -1 : 1;
    limbs_[limb] += sign * static_cast<std::int64_t>(low & 0xffffffffu);
    limbs_[limb + 1] += sign * static_cast<std::int64_t>((low >> 32) + (high & 0xffffffffu));
    limbs_[limb + 2] += sign * static_cast<std::int64_t>(high >> 32);
}

void ExactSum::add_product(double x, double y) {
    const double product = x * y;
    add(product);
    add(product_rest(x, y, product));
}

void ExactSum::add_products(const double* x, const double* y, std::size_t n) {
    for (std::size_t start = 0; start < n; start += kBetweenCarries) {
        const std::size_t end = std::min(start + kBetweenCarries, n);
        if (pending_ + 2 * (end - start) > kMostPending) normalise();
        pending_ += 2 * (end - start);
        if (y == nullptr) {
            for (std::size_t i = start; i < end; ++i) add(x[i]);
        } else {
            for (std::size_t i = start; i < end; ++i) add_product(x[i], y[i]);
        }
    }
}

void ExactSum::normalise() {
    pending_ = 0;
    std::int64_t carry = 0;
    for (std::size_t k = 0; k + 1 < kLimbs; ++k) {
        const std::int64_t total = limbs_[k] + carry;
        carry = total >> 32;
        limbs_[k] = total & 0xffffffff;
    }
    limbs_[kLimbs - 1] += carry;
}

void exact_sums(std::span<const double> columns, std::size_t n_columns, std::span<const std::uint32_t> pairs,
                std::span<ExactSum> sums) {
    const std::size_t n = n_columns == 0 ? 0 : columns.size() / n_columns;
    // 2^500 each: no product, and no step of its splitting, overflows.
    constexpr double largest = 0x1p500;
    for (const double x : columns) {
        if (!(std::abs(x) < largest)) throw DataError("exact sums: a value is not finite or beyond 2^500");
    }
    for (std::size_t k = 0; k < sums.size(); ++k) {
        const double* y = pairs[2 * k + 1] == n_columns ? nullptr : columns.data() + n * pairs[2 * k + 1];
        sums[k].add_products(columns.data() + n * pairs[2 * k], y, n);
        sums[k].normalise();
    }
}

}  // namespace flopcore
