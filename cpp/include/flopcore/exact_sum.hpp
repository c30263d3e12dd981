// Sums of float64 numbers and of their products without any rounding: the same for every order and partition.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace flopcore {

// A fixed-point number: limb k counts 2^(32 k - 1074). Limbs are signed and hold carries until normalised.
class ExactSum {
  public:
    static constexpr std::size_t kLimbs = 68;
    using Limbs = std::array<std::int64_t, kLimbs>;

    // x must be finite; at most 2^30 additions between two calls of normalise().
    void add(double x);
    // x y, exactly where it does not underflow; |x y| must be below 2^1000.
    void add_product(double x, double y);
    // The sum of x[i] y[i], or of x[i] where y is null, over any number of places; all below 2^501.
    void add_products(const double* x, const double* y, std::size_t n);
    // Limbs in [0, 2^32) but for the last: equal sums have equal limbs.
    void normalise();
    [[nodiscard]] const Limbs& limbs() const { return limbs_; }

  private:
    Limbs limbs_{};
    std::size_t pending_ = 0;  // additions of add_products since the limbs were normalised
};

// Sums of products of the pairs of columns, [pair]; n_columns stands for a column of ones. Throws DataError when a
// value is not finite or beyond 2^500.
void exact_sums(std::span<const double> columns, std::size_t n_columns, std::span<const std::uint32_t> pairs,
                std::span<ExactSum> sums);

}  // namespace flopcore
