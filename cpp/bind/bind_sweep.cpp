// Plans, counts, and the elementwise functions behind the distributions.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <utility>

#include "bind.hpp"
#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/stream.hpp"
#include "flopcore/sweep.hpp"
#include "owned_array.hpp"
#include "sweep_arrays.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

SweepPlan make_plan(std::array<std::uint32_t, 2> key, bool single, const TermColumns& shared, const TermColumns& own,
                    const Array<std::uint64_t>& own_begin, const Array<std::uint32_t>& use_terms,
                    const Array<double>& use_factors, const Array<std::uint64_t>& uses_begin,
                    const Array<double>& thresholds) {
    if (thresholds.ndim() != 2) throw DataError("thresholds are not entities x thresholds");
    if (use_terms.size() != use_factors.size()) throw DataError("columns of shared uses differ in length");
    SweepInputs inputs;
    inputs.key = key;
    inputs.precision = single ? Precision::single : Precision::dual;
    inputs.n_entities = static_cast<std::size_t>(thresholds.shape(0));
    inputs.n_thresholds = static_cast<std::size_t>(thresholds.shape(1));
    inputs.shared = std::apply(to_terms, shared);
    inputs.own = std::apply(to_terms, own);
    inputs.own_begin.assign(own_begin.data(), own_begin.data() + own_begin.size());
    inputs.uses_begin.assign(uses_begin.data(), uses_begin.data() + uses_begin.size());
    for (py::ssize_t i = 0; i < use_terms.size(); ++i) {
        inputs.uses.push_back({use_terms.data()[i], use_factors.data()[i]});
    }
    inputs.thresholds = to_vector(thresholds);
    const py::gil_scoped_release nogil;
    return SweepPlan(std::move(inputs));
}

py::tuple evaluate(const SweepPlan& plan, std::uint64_t begin, std::uint64_t end, unsigned threads) {
    SweepCounts counts;
    bool finished = false;
    {
        // Safe without the GIL: the plan is immutable and `counts` is ours; the poll takes the GIL for itself.
        const py::gil_scoped_release nogil;
        finished = plan.evaluate(
            begin, end, threads,
            [] {
                const py::gil_scoped_acquire gil;
                return PyErr_CheckSignals() != 0;
            },
            counts);
    }
    if (!finished) throw py::error_already_set();
    const auto entities = static_cast<py::ssize_t>(plan.n_entities());
    const auto thresholds = static_cast<py::ssize_t>(plan.n_thresholds());
    return py::make_tuple(to_array(std::move(counts.exceeded), {entities, thresholds}),
                          to_array(std::move(counts.histogram), {thresholds, entities + 1}));
}

using Elementwise = void (*simd::Kernels::*)(const double*, std::size_t, double*);

void add_elementwise(py::module_& m, const char* name, Elementwise kernel) {
    m.def(
        name,
        [kernel](const Array<double>& x) {
            std::vector<double> out(static_cast<std::size_t>(x.size()));
            (simd::kernels().*kernel)(x.data(), out.size(), out.data());
            return to_array(std::move(out), std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
        },
        py::arg("x"));
}

// Whole blocks in the order of the draws.
py::array philox_words(std::array<std::uint32_t, 2> key, std::uint64_t stream, std::uint64_t first,
                       std::size_t n_blocks, std::uint32_t attempt) {
    if (attempt > 0xffff || first + n_blocks > (std::uint64_t{1} << 48)) throw DataError("address out of range");
    std::vector<std::uint32_t> slots(4 * n_blocks), words(4 * n_blocks);
    const simd::Address address{{key[0], key[1]}, stream, attempt};
    simd::kernels().philox(&address, first, n_blocks, slots.data());
    for (std::size_t b = 0; b < n_blocks; ++b) {
        for (std::size_t j = 0; j < 4; ++j) words[4 * b + j] = slots[j * n_blocks + b];
    }
    return to_array(std::move(words), {static_cast<py::ssize_t>(n_blocks), 4});
}

}  // namespace

void bind_sweep(py::module_& m) {
    m.attr("stream_version") = kStreamVersion;
    m.def("stream_hash", &stream_hash, py::arg("purpose"), py::arg("variable"), py::arg("entity"));
    m.def("philox_words", &philox_words, py::arg("key"), py::arg("stream"), py::arg("first"), py::arg("n_blocks"),
          py::arg("attempt") = 0);
    add_elementwise(m, "norm_ppf", &simd::Kernels::norm_ppf);
    add_elementwise(m, "norm_cdf", &simd::Kernels::norm_cdf);
    add_elementwise(m, "exp", &simd::Kernels::exp);
    add_elementwise(m, "log", &simd::Kernels::log);
    m.def(
        "term_values",
        [](std::uint8_t kind, double scale, double half, bool single, const Array<std::uint64_t>& words) {
            const Term term{0, to_kind(kind), scale, half};
            std::vector<double> values = term_values(term, single ? Precision::single : Precision::dual,
                                                     std::span(words.data(), static_cast<std::size_t>(words.size())));
            const auto n = static_cast<py::ssize_t>(values.size());
            return to_array(std::move(values), {n});
        },
        py::arg("kind"), py::arg("scale"), py::arg("half"), py::arg("single"), py::arg("words"));
    m.def(
        "words_of_scores",
        [](const Array<double>& scores, bool single) {
            const auto n = static_cast<std::size_t>(scores.size());
            std::vector<std::uint64_t> words(n);
            if (single) {
                const std::vector<float> narrow(scores.data(), scores.data() + n);
                std::vector<std::uint32_t> found(n);
                simd::kernels().words_of_scores_f32(narrow.data(), n, found.data());
                words.assign(found.begin(), found.end());
            } else {
                simd::kernels().words_of_scores_f64(scores.data(), n, words.data());
            }
            return to_array(std::move(words), {static_cast<py::ssize_t>(n)});
        },
        py::arg("scores"), py::arg("single"));
    m.def(
        "quantile_values",
        [](const Array<std::uint64_t>& table_words, const Array<double>& table_fields, bool single,
           const Array<std::uint64_t>& words) {
            const auto tables = to_tables(table_words, table_fields);
            if (tables.size() != 1) throw DataError("expected one table");
            const Term term{0, Term::Kind::table, 1.0, 0.0, tables[0]};
            std::vector<double> values = term_values(term, single ? Precision::single : Precision::dual,
                                                     std::span(words.data(), static_cast<std::size_t>(words.size())));
            const auto n = static_cast<py::ssize_t>(values.size());
            return to_array(std::move(values), {n});
        },
        py::arg("table_words"), py::arg("table_fields"), py::arg("single"), py::arg("words"));
    py::class_<SweepPlan>(m, "SweepPlan")
        .def(py::init(&make_plan), py::kw_only(), py::arg("key"), py::arg("single"), py::arg("shared"), py::arg("own"),
             py::arg("own_begin"), py::arg("use_terms"), py::arg("use_factors"), py::arg("uses_begin"),
             py::arg("thresholds"))
        .def("evaluate", &evaluate, py::arg("begin"), py::arg("end"), py::arg("threads"))
        .def(
            "values",
            [](const SweepPlan& plan, std::size_t entity, std::uint64_t begin, std::uint64_t end) {
                std::vector<double> values = plan.values(entity, begin, end);
                const auto n = static_cast<py::ssize_t>(values.size());
                return to_array(std::move(values), {n});
            },
            py::arg("entity"), py::arg("begin"), py::arg("end"));
}

}  // namespace flopcore::bind
