// Series and continued fractions of Abramowitz and Stegun 6.5.29, 6.5.31 and 26.5.8; the fractions by the method of
// Lentz (Thompson and Barnett, "Coulomb and Bessel functions of complex arguments and order", J. Comput. Phys. 64,
// 1986).
#include "flopcore/incomplete.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flopcore/isa.hpp"

namespace flopcore {
namespace {

constexpr int kMostTerms = 20000;
constexpr int kMostSteps = 2000;
constexpr double kTiny = 1e-300;
constexpr double kUlp = std::numeric_limits<double>::epsilon();

double exp_of(double x) {
    double out = 0.0;
    simd::kernels().exp(&x, 1, &out);
    return out;
}

double log_of(double x) {
    double out = 0.0;
    simd::kernels().log(&x, 1, &out);
    return out;
}

struct Term {
    double a, b;
};

// first + a1 / (b1 + a2 / (b2 + ...))
template <class Terms>
double fraction(double first, Terms term) {
    double value = first == 0.0 ? kTiny : first, c = value, d = 0.0;
    for (int k = 1; k < kMostTerms; ++k) {
        const auto [a, b] = term(static_cast<double>(k));
        d = b + a * d;
        d = 1.0 / (d == 0.0 ? kTiny : d);
        c = b + a / c;
        c = c == 0.0 ? kTiny : c;
        const double change = c * d;
        value *= change;
        if (std::abs(change - 1.0) <= kUlp) break;
    }
    return value;
}

double beta_fraction(double a, double b, double x) {
    return fraction(1.0, [&](double k) -> Term {
        const double half = std::floor(k / 2.0);
        const double step = 2.0 * half == k
                                ? half * (b - half) / ((a + 2.0 * half - 1.0) * (a + 2.0 * half))
                                : -(a + half) * (a + b + half) / ((a + 2.0 * half) * (a + 2.0 * half + 1.0));
        return {step * x, 1.0};
    });
}

struct Slope {
    double value, derivative;
};

// The t where ln of an increasing function is ln p: Newton's method, kept in a bracket that shrinks.
template <class Function>
double solve(Function function, double p, double low, double high) {
    const double goal = log_of(p);
    double t = low + (high - low) / 2.0;
    for (int step = 0; step < kMostSteps; ++step) {
        const Slope at = function(t);
        const double error = at.value > 0.0 ? log_of(at.value) - goal : -1.0;
        if (error == 0.0) break;
        (error < 0.0 ? low : high) = t;
        double next = at.value > 0.0 && at.derivative > 0.0 ? t - error * at.value / at.derivative : low;
        if (!(next > low && next < high)) next = low + (high - low) / 2.0;
        const bool settled = std::abs(next - t) <= kUlp * std::abs(t) || next <= low || next >= high;
        t = next;
        if (settled) break;
    }
    return t;
}

}  // namespace

Tails gamma_tails(const GammaShape& gamma, double x) {
    const double density = exp_of(gamma.shape * log_of(x) - x - gamma.log_gamma);
    if (x < gamma.shape + 1.0) {
        double term = 1.0 / gamma.shape, total = term;
        for (int k = 1; k < kMostTerms && term > kUlp / 4.0 * total; ++k) {
            term *= x / (gamma.shape + k);
            total += term;
        }
        const double lower = std::min(density * total, 1.0);
        return {lower, 1.0 - lower, density};
    }
    const double upper = density / fraction(x + 1.0 - gamma.shape, [&](double k) -> Term {
                             return {-k * (k - gamma.shape), x + 2.0 * k + 1.0 - gamma.shape};
                         });
    return {1.0 - upper, upper, density};
}

Tails beta_tails(const BetaShape& beta, double x, double y) {
    const double density = exp_of(beta.a * log_of(x) + beta.b * log_of(y) - beta.log_beta);
    if (x * (beta.a + beta.b + 2.0) < beta.a + 1.0) {
        const double lower = std::min(density / (beta.a * beta_fraction(beta.a, beta.b, x)), 1.0);
        return {lower, 1.0 - lower, density};
    }
    const double upper = std::min(density / (beta.b * beta_fraction(beta.b, beta.a, y)), 1.0);
    return {1.0 - upper, upper, density};
}

void gamma_quantiles(const GammaShape& gamma, std::span<const double> tails, bool upper, std::span<double> x) {
    const double top = log_of(2.0 * (gamma.shape + 40.0) + 80.0);  // the quantile at 1 - 2^-54 lies below
    for (std::size_t i = 0; i < tails.size(); ++i) {
        if (upper) {
            const auto above = [&](double t) -> Slope {
                const Tails at = gamma_tails(gamma, exp_of(-t));
                return {at.upper, at.density};
            };
            x[i] = exp_of(-solve(above, tails[i], -top, 740.0));
        } else {
            const auto below = [&](double t) -> Slope {
                const Tails at = gamma_tails(gamma, exp_of(t));
                return {at.lower, at.density};
            };
            x[i] = exp_of(solve(below, tails[i], -740.0, top));
        }
    }
}

void beta_quantiles(const BetaShape& beta, std::span<const double> tails, bool upper, std::span<double> x,
                    std::span<double> y) {
    // The variable is ln(x / (1 - x)).
    const auto sides = [](double t, double& u, double& v) {
        const double odds = exp_of(-std::abs(t));
        const double small = odds / (1.0 + odds), large = 1.0 / (1.0 + odds);
        u = t < 0.0 ? small : large;
        v = t < 0.0 ? large : small;
    };
    const BetaShape mirrored{beta.b, beta.a, beta.log_beta};
    const BetaShape& side = upper ? mirrored : beta;
    for (std::size_t i = 0; i < tails.size(); ++i) {
        const auto below = [&](double t) -> Slope {
            double u = 0.0, v = 0.0;
            sides(t, u, v);
            const Tails at = beta_tails(side, u, v);
            return {at.lower, at.density};
        };
        const double t = solve(below, tails[i], -740.0, 740.0);
        upper ? sides(t, y[i], x[i]) : sides(t, x[i], y[i]);
    }
}

}  // namespace flopcore
