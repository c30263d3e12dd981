// NumPy arrays of plans and results, to and from the core's vectors.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <tuple>
#include <utility>
#include <vector>

#include "flopcore/error.hpp"
#include "flopcore/sweep.hpp"

namespace flopcore::bind {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::vector<T> to_vector(const Array<T>& array) {
    return std::vector<T>(array.data(), array.data() + array.size());
}

inline Term::Kind to_kind(std::uint8_t kind) {
    if (kind > static_cast<std::uint8_t>(Term::Kind::log_linear)) throw DataError("unknown term kind");
    return static_cast<Term::Kind>(kind);
}

inline std::vector<Term> to_terms(const Array<std::uint64_t>& stream, const Array<std::uint8_t>& kind,
                                  const Array<double>& scale, const Array<double>& half) {
    const py::ssize_t n = stream.size();
    if (kind.size() != n || scale.size() != n || half.size() != n) throw DataError("term columns differ in length");
    std::vector<Term> terms(static_cast<std::size_t>(n));
    for (py::ssize_t i = 0; i < n; ++i) {
        terms[static_cast<std::size_t>(i)] = {stream.data()[i], to_kind(kind.data()[i]), scale.data()[i],
                                              half.data()[i]};
    }
    return terms;
}

using TermColumns = std::tuple<Array<std::uint64_t>, Array<std::uint8_t>, Array<double>, Array<double>>;

}  // namespace flopcore::bind
