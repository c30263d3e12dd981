// Incomplete gamma and beta functions and their inverses, by the kernels' exp and log: the same bits on every machine.
#pragma once

#include <span>

namespace flopcore {

struct Tails {
    double lower, upper;
    double density;  // times x, or times x (1 - x)
};

// Of a gamma variable of scale 1 at x > 0. log_gamma is ln gamma(shape); shape is between 1e-3 and 1e4. The smaller
// tail has a relative error of 1e-11.
struct GammaShape {
    double shape, log_gamma;
};
[[nodiscard]] Tails gamma_tails(const GammaShape& gamma, double x);

// Of a beta variable at x, y = 1 - x > 0. log_beta is ln B(a, b); shapes and error as above.
struct BetaShape {
    double a, b, log_beta;
};
[[nodiscard]] Tails beta_tails(const BetaShape& beta, double x, double y);

// Quantiles at tail probabilities in (0, 1/2].
void gamma_quantiles(const GammaShape& gamma, std::span<const double> tails, bool upper, std::span<double> x);
void beta_quantiles(const BetaShape& beta, std::span<const double> tails, bool upper, std::span<double> x,
                    std::span<double> y);

}  // namespace flopcore
