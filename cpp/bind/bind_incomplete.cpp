// Gamma and beta probabilities and quantiles over arrays.
#include <pybind11/numpy.h>

#include "bind.hpp"
#include "flopcore/error.hpp"
#include "flopcore/incomplete.hpp"
#include "owned_array.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

using Values = py::array_t<double, py::array::c_style>;

std::span<const double> span_of(const Values& values) {
    return {values.data(), static_cast<std::size_t>(values.size())};
}

std::vector<py::ssize_t> shape_of(const Values& values) { return {values.shape(), values.shape() + values.ndim()}; }

// Lower tail, upper tail and density at each of n points.
template <class At>
py::tuple tails(std::size_t n, const std::vector<py::ssize_t>& shape, At at) {
    std::vector<double> lower(n), upper(n), density(n);
    for (std::size_t i = 0; i < n; ++i) {
        const Tails found = at(i);
        lower[i] = found.lower;
        upper[i] = found.upper;
        density[i] = found.density;
    }
    return py::make_tuple(to_array(std::move(lower), shape), to_array(std::move(upper), shape),
                          to_array(std::move(density), shape));
}

}  // namespace

void bind_incomplete(py::module_& m) {
    m.def(
        "gamma_tails",
        [](double shape, double log_gamma, const Values& x) {
            const auto points = span_of(x);
            return tails(points.size(), shape_of(x),
                         [&](std::size_t i) { return gamma_tails({shape, log_gamma}, points[i]); });
        },
        py::arg("shape"), py::arg("log_gamma"), py::arg("x"));
    m.def(
        "beta_tails",
        [](double a, double b, double log_beta, const Values& x, const Values& y) {
            const auto points = span_of(x), rests = span_of(y);
            if (points.size() != rests.size()) throw DataError("x and y differ in length");
            return tails(points.size(), shape_of(x),
                         [&](std::size_t i) { return beta_tails({a, b, log_beta}, points[i], rests[i]); });
        },
        py::arg("a"), py::arg("b"), py::arg("log_beta"), py::arg("x"), py::arg("y"));
    m.def(
        "gamma_quantiles",
        [](double shape, double log_gamma, const Values& p, bool upper) {
            std::vector<double> x(span_of(p).size());
            gamma_quantiles({shape, log_gamma}, span_of(p), upper, x);
            return to_array(std::move(x), shape_of(p));
        },
        py::arg("shape"), py::arg("log_gamma"), py::arg("p"), py::arg("upper"));
    m.def(
        "beta_quantiles",
        [](double a, double b, double log_beta, const Values& p, bool upper) {
            std::vector<double> x(span_of(p).size()), y(x.size());
            beta_quantiles({a, b, log_beta}, span_of(p), upper, x, y);
            return py::make_tuple(to_array(std::move(x), shape_of(p)), to_array(std::move(y), shape_of(p)));
        },
        py::arg("a"), py::arg("b"), py::arg("log_beta"), py::arg("p"), py::arg("upper"));
}

}  // namespace flopcore::bind
