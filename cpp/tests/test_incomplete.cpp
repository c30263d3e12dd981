#include <array>
#include <cmath>
#include <vector>

#include "check.hpp"
#include "flopcore/incomplete.hpp"

using namespace flopcore;

namespace {

constexpr double kError = 1e-10;  // ten times the bound, for the closed forms of libm beside it

bool close(double found, double exact) { return std::abs(found - exact) <= kError * std::abs(exact); }

GammaShape gamma_of(double shape) { return {shape, std::lgamma(shape)}; }
BetaShape beta_of(double a, double b) { return {a, b, std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b)}; }

void gamma_tails_have_their_closed_forms() {
    for (const double x : {1e-8, 1e-3, 0.2, 0.9, 1.0, 1.7, 5.0, 30.0, 200.0}) {
        const Tails exponential = gamma_tails(gamma_of(1.0), x);
        CHECK(close(exponential.upper, std::exp(-x)));
        CHECK(close(exponential.lower, -std::expm1(-x)));
        CHECK(close(exponential.density, x * std::exp(-x)));
        const Tails half = gamma_tails(gamma_of(0.5), x);  // of a squared normal
        CHECK(close(half.lower, std::erf(std::sqrt(x))) && close(half.upper, std::erfc(std::sqrt(x))));
        const Tails third = gamma_tails(gamma_of(3.0), x);  // the third event of a Poisson process
        CHECK(close(third.upper, std::exp(-x) * (1.0 + x + x * x / 2.0)));
    }
}

void beta_tails_have_their_closed_forms() {
    for (const double x : {1e-6, 0.01, 0.3, 0.5, 0.8, 0.999}) {
        const double y = 1.0 - x;
        const Tails uniform = beta_tails(beta_of(1.0, 1.0), x, y);
        CHECK(close(uniform.lower, x) && close(uniform.upper, y) && close(uniform.density, x * y));
        CHECK(close(beta_tails(beta_of(3.0, 1.0), x, y).lower, x * x * x));
        CHECK(close(beta_tails(beta_of(1.0, 4.0), x, y).upper, y * y * y * y));
        const double arcsine = 2.0 / 3.14159265358979323846 * std::asin(std::sqrt(x));
        CHECK(close(beta_tails(beta_of(0.5, 0.5), x, y).lower, arcsine));
        for (const double a : {0.01, 0.7, 5.0, 300.0}) {
            const Tails one = beta_tails(beta_of(a, 2.5), x, y), other = beta_tails(beta_of(2.5, a), y, x);
            CHECK(close(one.lower, other.upper) && close(one.upper, other.lower));
            CHECK(std::abs(one.lower + one.upper - 1.0) < 1e-12);
        }
    }
}

void quantiles_invert_tails() {
    const std::vector<double> tails{1e-16, 1e-9, 1e-4, 0.03, 0.25, 0.5};
    std::vector<double> x(tails.size()), y(tails.size());
    for (const double shape : {0.001, 0.05, 0.9, 1.0, 2.5, 80.0, 1e4}) {
        for (const bool upper : {false, true}) {
            const GammaShape gamma = gamma_of(shape);
            gamma_quantiles(gamma, tails, upper, x);
            for (std::size_t i = 0; i < tails.size(); ++i) {
                if (x[i] < 1e-300) continue;  // a small shape's lower quantiles leave float64
                const Tails found = gamma_tails(gamma, x[i]);
                CHECK(std::abs((upper ? found.upper : found.lower) / tails[i] - 1.0) < 1e-9);
            }
            const BetaShape beta = beta_of(shape, 3.0);
            beta_quantiles(beta, tails, upper, x, y);
            for (std::size_t i = 0; i < tails.size(); ++i) {
                if (x[i] < 1e-300 || y[i] < 1e-300) continue;
                const Tails found = beta_tails(beta, x[i], y[i]);
                CHECK(std::abs((upper ? found.upper : found.lower) / tails[i] - 1.0) < 1e-9);
            }
        }
    }
}

}  // namespace

int main() {
    gamma_tails_have_their_closed_forms();
    beta_tails_have_their_closed_forms();
    quantiles_invert_tails();
}
