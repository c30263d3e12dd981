// NumPy arrays of plans and results, to and from the core's vectors.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <span>
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
    if (kind > static_cast<std::uint8_t>(Term::Kind::table)) throw DataError("unknown term kind");
    return static_cast<Term::Kind>(kind);
}

// Tables one after another: words hold the number of rows and their starts, fields those of the rows.
inline std::vector<std::shared_ptr<const QuantileTable>> to_tables(const Array<std::uint64_t>& words,
                                                                   const Array<double>& fields) {
    constexpr std::size_t n_fields = sizeof(simd::QuantileRow) / sizeof(double);
    const std::span<const std::uint64_t> starts(words.data(), static_cast<std::size_t>(words.size()));
    const std::span<const double> rows(fields.data(), static_cast<std::size_t>(fields.size()));
    std::vector<std::shared_ptr<const QuantileTable>> tables;
    std::size_t row = 0;
    for (std::size_t i = 0; i < starts.size();) {
        const std::uint64_t n = starts[i++];
        if (n > starts.size() - i || (row + n) * n_fields > rows.size()) throw DataError("tables are cut short");
        tables.push_back(
            std::make_shared<const QuantileTable>(starts.subspan(i, n), rows.subspan(row * n_fields, n * n_fields)));
        i += n;
        row += n;
    }
    return tables;
}

// half is the number of its table for a term that has one.
inline std::vector<Term> to_terms(const Array<std::uint64_t>& stream, const Array<std::uint8_t>& kind,
                                  const Array<double>& scale, const Array<double>& half,
                                  const Array<std::uint64_t>& table_words, const Array<double>& table_fields) {
    const py::ssize_t n = stream.size();
    if (kind.size() != n || scale.size() != n || half.size() != n) throw DataError("term columns differ in length");
    const std::vector<std::shared_ptr<const QuantileTable>> tables = to_tables(table_words, table_fields);
    std::vector<Term> terms(static_cast<std::size_t>(n));
    for (py::ssize_t i = 0; i < n; ++i) {
        Term& term = terms[static_cast<std::size_t>(i)];
        term = {stream.data()[i], to_kind(kind.data()[i]), scale.data()[i], half.data()[i]};
        if (term.kind != Term::Kind::table) continue;
        if (!(term.half >= 0.0 && term.half < static_cast<double>(tables.size()))) throw DataError("no such table");
        term.table = tables[static_cast<std::size_t>(term.half)];
        term.half = 0.0;
    }
    return terms;
}

using TermColumns = std::tuple<Array<std::uint64_t>, Array<std::uint8_t>, Array<double>, Array<double>,
                               Array<std::uint64_t>, Array<double>>;

}  // namespace flopcore::bind
