// The block sampler of yearly budgets.
#include <pybind11/stl.h>

#include <utility>

#include "bind.hpp"
#include "flopcore/budget_allocation.hpp"
#include "flopcore/error.hpp"
#include "owned_array.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

using Year =
    std::tuple<std::string, double, unsigned, int, double, double, double, double, std::vector<std::uint32_t>, bool>;

BudgetYear to_year(const Year& fields) {
    const auto& [label, budget, power, largest, low, high, p_low, p_high, period_ends, counted] = fields;
    if (largest < 0 || largest > static_cast<int>(BudgetYear::Largest::lognormal)) throw DataError("unknown kind");
    return {label,  budget,      power,  static_cast<BudgetYear::Largest>(largest), low, high, p_low,
            p_high, period_ends, counted};
}

BudgetAllocation make(std::array<std::uint32_t, 2> key, std::array<double, 3> growth, std::array<double, 2> gradient,
                      std::array<double, 2> log10_ratio, std::size_t n_bins, std::vector<double> thresholds,
                      std::vector<double> width_factors, std::vector<std::size_t> cumulate_from, std::size_t max_count,
                      std::size_t n_groups, const std::vector<Year>& years, std::array<std::uint32_t, 2> other_key,
                      std::vector<std::string> redrawn) {
    AllocationInputs inputs{key,
                            growth[0],
                            growth[1],
                            growth[2],
                            gradient,
                            log10_ratio,
                            n_bins,
                            std::move(thresholds),
                            std::move(width_factors),
                            std::move(cumulate_from),
                            max_count,
                            n_groups,
                            {},
                            other_key,
                            std::move(redrawn)};
    for (const Year& year : years) inputs.years.push_back(to_year(year));
    return BudgetAllocation(std::move(inputs));
}

void run(const BudgetAllocation& plan, std::uint64_t begin, std::uint64_t end, unsigned threads,
         AllocationCounts& counts, std::vector<std::int64_t>* totals) {
    bool finished = false;
    {
        // Safe without the GIL: the plan is immutable, the counts are ours; the poll takes the GIL for itself.
        const py::gil_scoped_release nogil;
        finished = plan.evaluate(
            begin, end, threads,
            [] {
                const py::gil_scoped_acquire gil;
                return PyErr_CheckSignals() != 0;
            },
            counts, totals);
    }
    if (!finished) throw py::error_already_set();
}

py::array totals(const BudgetAllocation& plan, std::uint64_t begin, std::uint64_t end, unsigned threads) {
    AllocationCounts counts;
    std::vector<std::int64_t> found;
    run(plan, begin, end, threads, counts, &found);
    return to_array(std::move(found),
                    {static_cast<py::ssize_t>(end - begin), static_cast<py::ssize_t>(plan.inputs().thresholds.size())});
}

py::tuple evaluate(const BudgetAllocation& plan, std::uint64_t begin, std::uint64_t end, unsigned threads) {
    AllocationCounts counts;
    run(plan, begin, end, threads, counts, nullptr);
    const AllocationInputs& in = plan.inputs();
    const auto years = static_cast<py::ssize_t>(plan.n_counted());
    const auto lines = static_cast<py::ssize_t>(in.thresholds.size());
    const auto widths = static_cast<py::ssize_t>(in.width_factors.size());
    const auto cells = static_cast<py::ssize_t>(in.max_count + 1);
    const auto inputs = static_cast<py::ssize_t>(plan.input_names().size());
    const auto groups = static_cast<py::ssize_t>(in.n_groups);
    const auto all_years = static_cast<py::ssize_t>(in.years.size());
    return py::make_tuple(to_array(std::move(counts.per_year), {years, lines, cells}),
                          to_array(std::move(counts.cumulative), {years, lines, cells}),
                          to_array(std::move(counts.frontier), {years, widths, cells}),
                          to_array(std::move(counts.groups), {inputs, groups, 1 + lines}),
                          to_array(std::move(counts.rejected), {all_years}));
}

}  // namespace

void bind_allocation(py::module_& m) {
    py::class_<BudgetAllocation>(m, "BudgetAllocation")
        .def(py::init(&make), py::kw_only(), py::arg("key"), py::arg("growth"), py::arg("gradient"),
             py::arg("log10_ratio"), py::arg("n_bins"), py::arg("thresholds"), py::arg("width_factors"),
             py::arg("cumulate_from"), py::arg("max_count"), py::arg("n_groups"), py::arg("years"),
             py::arg("other_key") = std::array<std::uint32_t, 2>{}, py::arg("redrawn") = std::vector<std::string>{})
        .def_property_readonly("input_names", &BudgetAllocation::input_names)
        .def("evaluate", &evaluate, py::arg("begin"), py::arg("end"), py::arg("threads"))
        .def("totals", &totals, py::arg("begin"), py::arg("end"), py::arg("threads"));
}

}  // namespace flopcore::bind
