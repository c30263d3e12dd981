// Sobol' points and exact sums over arrays.
#include <pybind11/numpy.h>

#include "bind.hpp"
#include "exact_bytes.hpp"
#include "flopcore/error.hpp"
#include "flopcore/exact_sum.hpp"
#include "flopcore/sobol.hpp"
#include "owned_array.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// One row of 32 direction numbers a dimension; without seeds the points are not scrambled.
py::array sobol_points(const Array<std::uint32_t>& directions, std::uint32_t first, std::size_t n,
                       const Array<std::uint32_t>& seeds) {
    if (directions.ndim() != 2 || directions.shape(1) != 32) throw DataError("directions are not dimensions x 32");
    const auto n_dims = static_cast<std::size_t>(directions.shape(0));
    if (seeds.size() != 0 && static_cast<std::size_t>(seeds.size()) != n_dims) {
        throw DataError("expected a seed for each dimension");
    }
    if (n > (std::size_t{1} << 32) - first) throw DataError("points are numbered below 2^32");
    std::vector<std::uint32_t> words(n_dims * n);
    for (std::size_t d = 0; d < n_dims; ++d) {
        const std::span<std::uint32_t> row(words.data() + d * n, n);
        sobol_words({directions.data() + 32 * d, 32}, first, row);
        if (seeds.size() != 0) owen_scramble(row, seeds.data()[d]);
    }
    return to_array(std::move(words), {static_cast<py::ssize_t>(n_dims), static_cast<py::ssize_t>(n)});
}

py::array sums(const Array<double>& columns, const Array<std::uint32_t>& pairs) {
    if (columns.ndim() != 2 || pairs.ndim() != 2 || pairs.shape(1) != 2) {
        throw DataError("expected columns x values and pairs x 2");
    }
    const auto n_columns = static_cast<std::size_t>(columns.shape(0));
    const std::span<const std::uint32_t> wanted(pairs.data(), static_cast<std::size_t>(pairs.size()));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (wanted[i] >= n_columns + i % 2) throw DataError("no such column");
    }
    std::vector<ExactSum> found(wanted.size() / 2);
    const std::span<const double> values(columns.data(), static_cast<std::size_t>(columns.size()));
    {
        // Safe without the GIL: the arrays are held by the caller and the sums are ours.
        const py::gil_scoped_release nogil;
        exact_sums(values, n_columns, wanted, found);
    }
    return exact_bytes(found);
}

}  // namespace

void bind_sensitivity(py::module_& m) {
    m.def("sobol_points", &sobol_points, py::arg("directions"), py::arg("first"), py::arg("n"), py::arg("seeds"));
    m.def("exact_sums", &sums, py::arg("columns"), py::arg("pairs"));
}

}  // namespace flopcore::bind
