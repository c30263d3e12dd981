// Programs: bytecode in arrays in, counters in arrays out.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "bind.hpp"
#include "exact_bytes.hpp"
#include "flopcore/error.hpp"
#include "flopcore/program.hpp"
#include "owned_array.hpp"
#include "sweep_arrays.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

using VariableColumns = std::tuple<bool, TermColumns, Array<double>, Array<std::uint32_t>, std::uint64_t>;
using SinkFields = std::tuple<std::string, std::uint8_t, bool, bool, std::uint32_t, Array<std::uint32_t>, Array<double>,
                              std::uint32_t, Array<std::uint32_t>, std::uint32_t, bool>;

Sink to_sink(const SinkFields& fields) {
    const auto& [name, kind, of_entities, apart, n_categories, inputs, numbers, n_thresholds, group, n_groups, joint] =
        fields;
    if (kind > static_cast<std::uint8_t>(Sink::Kind::values)) throw DataError("unknown kind of sink");
    return {name,
            static_cast<Sink::Kind>(kind),
            of_entities,
            apart,
            n_categories,
            to_vector(inputs),
            to_vector(numbers),
            n_thresholds,
            to_vector(group),
            n_groups,
            joint};
}

std::vector<simd::Instruction> to_code(const Array<std::uint32_t>& rows) {
    if (rows.ndim() != 2 || rows.shape(1) != 6) throw DataError("code is not instructions x 6");
    std::vector<simd::Instruction> code;
    const std::uint32_t* row = rows.data();
    for (py::ssize_t i = 0; i < rows.shape(0); ++i, row += 6) {
        code.push_back(
            {static_cast<simd::Opcode>(row[0]), static_cast<std::uint8_t>(row[1]), row[2], row[3], row[4], row[5]});
    }
    return code;
}

ProgramPlan make_program(std::array<std::uint32_t, 2> key, bool single, std::uint32_t n_registers,
                         std::uint32_t n_slots, const Array<double>& constants, const Array<double>& columns,
                         const Array<std::uint32_t>& code, const Array<std::uint64_t>& section_ends,
                         const std::vector<VariableColumns>& variables,
                         const std::vector<Array<std::uint32_t>>& members, const std::vector<SinkFields>& sinks) {
    if (columns.ndim() != 2) throw DataError("columns are not entities x columns");
    ProgramInputs inputs;
    inputs.key = key;
    inputs.precision = single ? Precision::single : Precision::dual;
    inputs.n_entities = static_cast<std::size_t>(columns.shape(0));
    inputs.n_registers = n_registers;
    inputs.n_slots = n_slots;
    inputs.constants = to_vector(constants);
    inputs.n_columns = static_cast<std::size_t>(columns.shape(1));
    inputs.columns = to_vector(columns);
    inputs.code = to_code(code);
    inputs.section_ends = to_vector(section_ends);
    for (const auto& [of_entities, terms, offsets, directions, scramble] : variables) {
        inputs.variables.push_back(
            {of_entities, std::apply(to_terms, terms), to_vector(offsets), to_vector(directions), scramble});
    }
    for (const auto& rows : members) inputs.members.push_back(to_vector(rows));
    for (const SinkFields& fields : sinks) inputs.sinks.push_back(to_sink(fields));
    const py::gil_scoped_release nogil;
    return ProgramPlan(std::move(inputs));
}

// A sum of 128 bits as four limbs of 32 bits, the last signed: limbs of partial results may be added as they are.
std::vector<std::int64_t> to_limbs(const std::vector<Int128>& sums) {
    std::vector<std::int64_t> limbs;
    limbs.reserve(4 * sums.size());
    for (const Int128 sum : sums) {
        for (int k = 0; k < 3; ++k) limbs.push_back(static_cast<std::int64_t>(sum >> (32 * k) & 0xffffffff));
        limbs.push_back(static_cast<std::int64_t>(sum >> 96));
    }
    return limbs;
}

bool poll_signals() {
    const py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

py::tuple evaluate(const ProgramPlan& plan, std::uint64_t begin, std::uint64_t end, unsigned threads) {
    ProgramState state;
    bool finished = false;
    {
        // Safe without the GIL: the plan is immutable and `state` is ours; the poll takes the GIL for itself.
        const py::gil_scoped_release nogil;
        finished = plan.evaluate(begin, end, threads, poll_signals, state);
    }
    if (!finished) throw py::error_already_set();
    const auto n_counts = static_cast<py::ssize_t>(state.counts.size());
    const auto n_sums = static_cast<py::ssize_t>(state.sums.size());
    return py::make_tuple(to_array(std::move(state.counts), {n_counts}), to_array(to_limbs(state.sums), {n_sums, 4}));
}

// Exact sums of products of outputs at mixtures of sets of draws, [batch and pair], see exact_bytes().
py::array mixture_sums(const ProgramPlan& plan, const Array<std::uint32_t>& input_of, const Array<std::uint8_t>& set_of,
                       std::uint32_t n_sets, std::uint32_t n_plain, const Array<std::uint32_t>& pairs,
                       std::uint64_t batch_rows, std::uint32_t n_batches, const Array<std::uint64_t>& words,
                       const Array<std::uint32_t>& directions, const Array<std::uint32_t>& scrambles,
                       unsigned threads) {
    if (set_of.ndim() != 2 || pairs.ndim() != 2 || pairs.shape(1) != 2) {
        throw DataError("expected sets of mixtures x inputs, and pairs x 2");
    }
    Mixtures mixtures;
    mixtures.n_inputs = static_cast<std::uint32_t>(set_of.shape(1));
    mixtures.n_sets = n_sets;
    mixtures.input_of = to_vector(input_of);
    mixtures.set_of = to_vector(set_of);
    mixtures.n_plain = n_plain;
    mixtures.pairs = to_vector(pairs);
    mixtures.batch_rows = batch_rows;
    mixtures.n_batches = n_batches;
    mixtures.words = to_vector(words);
    mixtures.directions = to_vector(directions);
    mixtures.scrambles = to_vector(scrambles);
    std::vector<ExactSum> sums(mixtures.n_sums());
    bool finished = false;
    {
        // Safe without the GIL: the plan is immutable, the rest is ours; the poll takes the GIL for itself.
        const py::gil_scoped_release nogil;
        finished = plan.mixture_sums(mixtures, threads, poll_signals, sums);
    }
    if (!finished) throw py::error_already_set();
    return exact_bytes(sums);
}

}  // namespace

void bind_program(py::module_& m) {
    py::class_<ProgramPlan>(m, "ProgramPlan")
        .def(py::init(&make_program), py::kw_only(), py::arg("key"), py::arg("single"), py::arg("n_registers"),
             py::arg("n_slots"), py::arg("constants"), py::arg("columns"), py::arg("code"), py::arg("section_ends"),
             py::arg("variables"), py::arg("members"), py::arg("sinks"))
        .def("counter_begins",
             [](const ProgramPlan& plan) { return py::make_tuple(plan.count_begin(), plan.sum_begin()); })
        .def("mixture_sums", &mixture_sums, py::kw_only(), py::arg("input_of"), py::arg("set_of"), py::arg("n_sets"),
             py::arg("n_plain"), py::arg("pairs"), py::arg("batch_rows"), py::arg("n_batches"), py::arg("words"),
             py::arg("directions"), py::arg("scrambles"), py::arg("threads"))
        .def("evaluate", &evaluate, py::arg("begin"), py::arg("end"), py::arg("threads"))
        .def(
            "values",
            [](const ProgramPlan& plan, std::size_t sink, std::uint64_t begin, std::uint64_t end) {
                std::vector<double> values = plan.values(sink, begin, end);
                const auto n = static_cast<py::ssize_t>(values.size());
                return to_array(std::move(values), {n});
            },
            py::arg("sink"), py::arg("begin"), py::arg("end"));
}

}  // namespace flopcore::bind
