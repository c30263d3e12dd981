// walk, Tally, Convention, price.
#include <pybind11/stl.h>

#include "bind.hpp"
#include "expr_value.hpp"
#include "flopcore/basis.hpp"
#include "flopcore/convention.hpp"
#include "flopcore/rule.hpp"
#include "flopcore/walk.hpp"
#include "int128.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

template <std::size_t N>
std::uint8_t to_index(const std::array<std::string_view, N>& names, const std::string& name, const char* what) {
    if (const auto index = index_of(names, name)) return *index;
    std::string known;
    for (const auto each : names) known += (known.empty() ? "" : ", ") + std::string(each);
    throw ConventionError("'" + name + "' is no known " + what + "; known: " + known);
}

Weights to_weights(const py::sequence& values) {
    if (values.size() != kFeatureCount)
        throw ConventionError("a convention needs " + std::to_string(kFeatureCount) + " weights, got " +
                              std::to_string(values.size()));
    Weights weights;
    for (std::size_t i = 0; i < kFeatureCount; ++i) weights[i] = to_rational(values[i], "a weight");
    return weights;
}

Override to_override(const py::tuple& fields) {
    Override over;
    for (const auto& name : fields[0].cast<std::vector<std::string>>()) over.ops.push_back(op_from_name(name));
    for (const auto& name : fields[1].cast<std::vector<std::string>>()) {
        const bool forbidden = name.starts_with('!');
        const auto bit = 1U << to_index(kVariants, forbidden ? name.substr(1) : name, "variant");
        (forbidden ? over.forbidden : over.required) |= bit;
    }
    over.origins = fields[2].cast<std::vector<std::string>>();
    for (const auto& name : fields[3].cast<std::vector<std::string>>()) {
        const auto dtype = dtype_from_name(name);
        if (!dtype) throw ConventionError("'" + name + "' is no known dtype");
        over.dtypes.push_back(*dtype);
    }
    for (const auto& name : fields[4].cast<std::vector<std::string>>())
        over.phases.push_back(static_cast<Phase>(to_index(kPhases, name, "phase")));
    over.weights = to_weights(fields[5].cast<py::sequence>());
    const auto [digits, times] = fields[6].cast<std::pair<std::uint32_t, std::uint32_t>>();
    over.printed = {digits, times};
    return over;
}

Convention make_convention(const std::string& name, const std::string& unit, const py::sequence& weights,
                           const std::vector<py::tuple>& overrides, const std::vector<std::string>& used_extents,
                           const std::vector<std::string>& phases, const std::string& branches, bool loops_once) {
    Convention convention{.name = name, .unit = unit, .weights = to_weights(weights), .overrides = {}};
    for (const py::tuple& fields : overrides) convention.overrides.push_back(to_override(fields));
    for (const auto& kind : used_extents) convention.used_extents |= 1U << to_index(kExtentKinds, kind, "extent kind");
    if (!phases.empty()) convention.phases = 0;
    for (const auto& phase : phases) convention.phases |= 1U << to_index(kPhases, phase, "phase");
    convention.loops_once = loops_once;
    convention.branches = static_cast<Branches>(to_index(kBranchRules, branches, "rule for branches"));
    return convention;
}

Tally walk_bound(const Graph& graph, const std::map<std::string, std::int64_t>& at) {
    std::vector<Binding> bindings;
    for (const auto& [name, value] : at) {
        if (!ExprRef::fits(value)) throw DataError("dim '" + name + "' is above 2^62");
        bindings.push_back({name, ExprRef::small(value)});
    }
    const py::gil_scoped_release release;  // the walk touches no Python object
    return walk(graph, bindings);
}

py::tuple price_tally(const Tally& tally, const Convention& convention, const std::string& by) {
    const auto group_by = static_cast<GroupBy>(to_index(kGroupBys, by, "grouping"));
    Cost cost;
    {
        const py::gil_scoped_release release;
        cost = price(tally, convention, group_by);
    }
    py::dict groups;
    for (const auto& [name, value] : cost.groups) groups[py::str(name)] = to_python(cost.exprs, value);
    return py::make_tuple(to_python(cost.exprs, cost.total), groups);
}

// Columns, and the weights of each choice over them.
py::tuple fold(const Tally& tally, const std::vector<const Convention*>& choices) {
    Basis basis;
    {
        const py::gil_scoped_release release;
        basis = make_basis(tally, choices);
    }
    py::list columns, weights;
    for (const ExprRef column : basis.columns) columns.append(to_python(basis.exprs, column));
    for (const auto& row : basis.weights) {
        py::list own;
        for (const Rational& weight : row) own.append(to_python(weight));
        weights.append(py::tuple(own));
    }
    return py::make_tuple(py::tuple(columns), py::tuple(weights));
}

py::object extent_of(const Tally& tally, const Entry& entry, ExtentId id) {
    if (id == kNoExtent) return py::none();
    const Extent& extent = tally.extents()[entry.extents_begin + id - 1U];
    return py::make_tuple(std::string(kExtentKinds[static_cast<std::size_t>(extent.kind)]),
                          to_python(tally.exprs(), extent.nominal), to_python(tally.exprs(), extent.used),
                          std::string(kGrades[static_cast<std::size_t>(extent.grade)]));
}

std::string dtype_name(DType dtype) { return std::string(info(dtype).name); }

py::dict describe_row(const Tally& tally, const Entry& entry) {
    const EntryKind& kind = tally.kind_of(entry);
    py::list variant;
    for (std::size_t v = 0; v < kVariants.size(); ++v)
        if ((kind.variant >> v) & 1U) variant.append(std::string(kVariants[v]));
    py::dict result;
    result["site"] = entry.site;
    result["name"] = std::string(tally.texts()[entry.name]);
    result["op"] = std::string(tally.name_of(kind.op));
    result["variant"] = py::tuple(variant);
    result["phase"] = std::string(kPhases[static_cast<std::size_t>(kind.phase)]);
    result["dtypes"] = py::make_tuple(dtype_name(kind.dtypes.input), dtype_name(kind.dtypes.weight),
                                      dtype_name(kind.dtypes.accumulate), dtype_name(kind.dtypes.output));
    result["scope"] = std::string(tally.texts()[entry.scope]);
    result["origin"] = std::string(tally.texts()[kind.origin]);
    return result;
}

// The base of a row.
py::object base_of(const Tally& tally, const Entry& entry, const EntryKind& kind, const RowTag& row) {
    const std::span<const RowPart> parts = kind.parts_of(row);
    if (parts.size() == 1 && parts[0].scale == 1) return to_python(tally.exprs(), tally.amount(entry, parts[0]));
    ExprStore exprs;
    std::vector<std::pair<ExprRef, Rational>> summands;
    for (const RowPart& part : parts)
        summands.emplace_back(exprs.import(tally.exprs(), tally.amount(entry, part)), Rational{part.scale, 1});
    return to_python(exprs, exprs.combine(summands));
}

py::dict describe_entry(const Tally& tally, std::size_t i) {
    const Entry& entry = tally.entries()[i];
    py::list amounts;
    const EntryKind& kind = tally.kind_of(entry);
    for (const RowTag& row : kind.rows)
        amounts.append(py::make_tuple(std::string(kFeatures[static_cast<std::size_t>(row.feature)]),
                                      base_of(tally, entry, kind, row), extent_of(tally, entry, row.extent)));
    py::dict result = describe_row(tally, entry);
    result["amounts"] = amounts;
    return result;
}

py::list describe_kinds(const Tally& tally) {
    NodeKinds found;
    {
        const py::gil_scoped_release release;
        found = tally.node_kinds();
    }
    py::list kinds;
    for (const NodeKind& kind : found.kinds) {
        py::dict result = describe_row(tally, tally.entries()[kind.example]);
        result["phase"] = std::string(kPhases[static_cast<std::size_t>(kind.phase)]);
        result["n_entries"] = kind.n_entries;
        kinds.append(result);
    }
    return kinds;
}

py::list describe_extents(const Tally& tally) {
    std::array<std::array<bool, kGrades.size()>, kExtentKinds.size()> seen{};
    for (const Extent& extent : tally.extents())
        seen[static_cast<std::size_t>(extent.kind)][static_cast<std::size_t>(extent.grade)] = true;
    py::list kinds;
    for (std::size_t kind = 0; kind < kExtentKinds.size(); ++kind)
        for (std::size_t grade = 0; grade < kGrades.size(); ++grade)
            if (seen[kind][grade])
                kinds.append(py::make_tuple(std::string(kExtentKinds[kind]), std::string(kGrades[grade])));
    return kinds;
}

py::list describe_blocks(const Tally& tally) {
    py::list blocks;
    for (const TallyBlock& block : tally.blocks()) {
        py::dict result;
        result["name"] = std::string(tally.texts()[block.name]);
        result["entries"] = py::make_tuple(block.entries_begin, block.entries_end);
        result["frames"] = py::make_tuple(block.frames_begin, block.frames_end);
        result["parameters"] = to_python(tally.exprs(), block.parameters);
        blocks.append(result);
    }
    return blocks;
}

py::list describe_frames(const Tally& tally) {
    py::list frames;
    for (const Frame& frame : tally.frames()) {
        py::dict result;
        result["parent"] = frame.parent;
        result["block"] = frame.block;
        result["kind"] = std::string(kFrameKinds[static_cast<std::size_t>(frame.kind)]);
        result["params"] = frame.params == Params::kShared ? "shared" : "per_call";
        result["times"] = to_python(tally.exprs(), frame.times);
        result["index"] = std::string(tally.texts()[frame.index]);
        result["arm"] = frame.arm;
        result["probability"] = frame.probability ? to_python(*frame.probability) : py::none();
        result["site"] = frame.site;
        result["scope"] = std::string(tally.texts()[frame.scope]);
        frames.append(result);
    }
    return frames;
}

}  // namespace

void bind_tally(py::module_& m) {
    m.def("feature_names", [] { return std::vector<std::string>(kFeatures.begin(), kFeatures.end()); });
    py::class_<Tally>(m, "Tally")
        .def_property_readonly("parameters",
                               [](const Tally& tally) { return to_python(tally.exprs(), tally.parameters()); })
        .def_property_readonly("active_parameters",
                               [](const Tally& tally) { return to_python(tally.exprs(), tally.active_parameters()); })
        .def_property_readonly("n_entries", [](const Tally& tally) { return tally.entries().size(); })
        .def(
            "entry",
            [](const Tally& tally, std::size_t i) {
                if (i >= tally.entries().size()) throw py::index_error();
                return describe_entry(tally, i);
            },
            py::arg("index"))
        .def("kinds", &describe_kinds)
        .def("extent_kinds", &describe_extents)
        .def_property_readonly("memory_bytes", &Tally::memory_bytes)
        .def("blocks", &describe_blocks)
        .def("frames", &describe_frames);
    py::class_<Convention>(m, "Convention")
        .def(py::init(&make_convention), py::arg("name"), py::arg("unit"), py::arg("weights"), py::arg("overrides"),
             py::arg("used_extents"), py::arg("phases"), py::arg("branches"), py::arg("loops_once"))
        .def_readonly("name", &Convention::name)
        .def_readonly("unit", &Convention::unit);
    m.def("walk", &walk_bound, py::arg("graph"), py::arg("at"));
    m.def("basis", &fold, py::arg("tally"), py::arg("choices"));
    m.def("price", &price_tally, py::arg("tally"), py::arg("convention"), py::arg("by"));
}

}  // namespace flopcore::bind
