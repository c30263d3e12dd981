// Graph: arguments in, ids out. Shapes and rules live in the core.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "bind.hpp"
#include "expr_value.hpp"
#include "flopcore/graph.hpp"
#include "flopcore/rule.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

using Column32 = py::array_t<std::uint32_t, py::array::c_style>;

template <class T>
std::span<const T> span_of(const py::array_t<T, py::array::c_style>& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

DType to_dtype(const std::string& name) {
    const auto dtype = dtype_from_name(name);
    if (dtype) return *dtype;
    std::string known;
    for (const DTypeInfo& each : kDTypes) known += (known.empty() ? "" : ", ") + std::string(each.name);
    throw ShapeError("'" + name + "' is no known dtype; known: " + known);
}

std::vector<ExprRef> to_dims(Graph& graph, const py::sequence& shape) {
    std::vector<ExprRef> dims;
    for (const py::handle dim : shape) dims.push_back(to_ref(graph.exprs(), dim, "a dim"));
    return dims;
}

// None stands for an optional input that is not given.
std::vector<TensorId> to_inputs(const py::sequence& inputs) {
    std::vector<TensorId> ids;
    for (const py::handle input : inputs) ids.push_back(input.is_none() ? kNoTensor : input.cast<TensorId>());
    return ids;
}

// Whether the op takes an exact number under this name: text, a float (by its repr) or a Fraction.
bool is_ratio(Op op, std::string_view name) {
    return std::ranges::any_of(rule_of(op).attrs, [&](const AttrSpec& spec) {
        return spec.kind == AttrKind::kRatio && kAttrKeys[static_cast<std::size_t>(spec.key)] == name;
    });
}

std::uint32_t to_attrs(Graph& graph, Op op, const py::dict& attrs) {
    std::vector<std::string> words;
    words.reserve(2 * attrs.size());  // string views into it stay valid
    std::vector<AttrInput> inputs;
    for (const auto& [key, value] : attrs) {
        AttrInput& input = inputs.emplace_back();
        input.name = words.emplace_back(key.cast<std::string>());
        if (is_ratio(op, input.name)) {
            const py::object exact = fraction_class()(py::str(value));
            input.value = std::vector<ExprRef>{graph.exprs().constant(to_rational(exact, "an attribute"))};
            continue;
        }
        if (py::isinstance<py::str>(value)) {
            input.value = std::string_view(words.emplace_back(value.cast<std::string>()));
        } else if (PyBool_Check(value.ptr())) {
            input.value = std::vector<ExprRef>{ExprRef::small(value.cast<bool>() ? 1 : 0)};
        } else if (py::isinstance<py::sequence>(value)) {
            input.value = to_dims(graph, value.cast<py::sequence>());
        } else {
            input.value = std::vector<ExprRef>{to_ref(graph.exprs(), value, "an attribute")};
        }
    }
    return graph.intern_attrs(op, inputs);
}

py::object attr_value(const Graph& graph, const AttrSpec& spec, std::span<const ExprRef> values) {
    if (spec.kind == AttrKind::kDtype) return py::str(std::string(info(static_cast<DType>(values[0].value())).name));
    if (spec.kind == AttrKind::kChoice)
        return py::str(std::string(spec.choices[static_cast<std::size_t>(values[0].value())]));
    if (spec.kind == AttrKind::kBool) return py::bool_(values[0].value() != 0);
    if (spec.kind == AttrKind::kText) {
        std::string text;
        for (const ExprRef c : values) text.push_back(static_cast<char>(c.value()));
        return py::str(text);
    }
    if (spec.kind == AttrKind::kInt || spec.kind == AttrKind::kDim || spec.kind == AttrKind::kRatio)
        return to_python(graph.exprs(), values[0]);
    py::list list;
    for (const ExprRef value : values) list.append(to_python(graph.exprs(), value));
    return list;
}

py::dict attrs_of(const Graph& graph, const Node& node) {
    py::dict attrs;
    if (node.op == Op::kParameter && node.attrs != 0) attrs["active"] = to_python(graph.active(node.first_output));
    if (is_run(node.op) || is_user(node.op) || is_leaf(node.op)) return attrs;
    const AttrView view = graph.attrs().view(node.attrs);
    for (const AttrSpec& spec : rule_of(node.op).attrs)
        if (const auto values = view.list(spec.key))
            attrs[py::str(std::string(kAttrKeys[static_cast<std::size_t>(spec.key)]))] =
                attr_value(graph, spec, *values);
    return attrs;
}

py::tuple shape_of(const Graph& graph, TensorId id) {
    if (id >= graph.n_tensors()) throw GraphError("no tensor #" + std::to_string(id));
    py::list dims;
    for (const ExprRef dim : graph.tensor(id).dims) dims.append(to_python(graph.exprs(), dim));
    return py::tuple(dims);
}

py::dict describe_run(const Graph& graph, const Run& run) {
    py::dict result;
    result["block"] = run.block;
    result["params"] = run.params == Params::kShared ? "shared" : "per_call";
    result["times"] = to_python(graph.exprs(), run.times);
    result["index"] = run.index == ExprRef() ? std::string() : graph.exprs().text(run.index);
    result["n_state"] = run.n_state;
    result["slice_axes"] = py::cast(run.slice_axes);
    result["stack_axes"] = py::cast(run.stack_axes);
    result["probability"] = run.probability ? to_python(*run.probability) : py::object(py::none());
    return result;
}

py::dict describe_user(const Graph& graph, const NodeRecord& node) {
    const UserCount& count = graph.user_count(node);
    const ExprStore& exprs = graph.exprs();
    py::list outputs, amounts, weights;
    for (std::uint32_t i = 0; i < node.n_outputs; ++i) {
        const TensorId id = node.first_output + i;
        outputs.append(py::make_tuple(shape_of(graph, id), std::string(info(graph.tensor(id).dtype).name)));
    }
    for (std::size_t i = 0; i < count.tags.size(); ++i) {
        py::object extent = py::none();
        if (const ExtentId number = count.tags[i].extent; number != kNoExtent) {
            const Extent& each = count.extents[number - 1U];
            extent = py::make_tuple(std::string(kExtentKinds[static_cast<std::size_t>(each.kind)]),
                                    to_python(exprs, each.nominal), to_python(exprs, each.used),
                                    std::string(kGrades[static_cast<std::size_t>(each.grade)]));
        }
        amounts.append(py::make_tuple(std::string(kFeatures[static_cast<std::size_t>(count.tags[i].feature)]),
                                      to_python(exprs, count.bases[i]), extent));
    }
    for (unsigned slot = 0; slot < 32; ++slot)
        if ((count.weight_slots >> slot) & 1U) weights.append(slot);
    py::dict result;
    result["outputs"] = outputs;
    result["amounts"] = amounts;
    result["weights"] = weights;
    return result;
}

py::dict describe_node(const Graph& graph, NodeId id) {
    if (id >= graph.n_nodes()) throw GraphError("no node #" + std::to_string(id));
    const Node node = graph.node(id);
    py::list inputs, outputs;
    for (const TensorId input : node.inputs)
        inputs.append(input == kNoTensor ? py::object(py::none()) : py::int_(input));
    for (std::uint32_t i = 0; i < node.n_outputs; ++i) outputs.append(node.first_output + i);
    py::dict result;
    result["op"] = std::string(graph.name_of(node.op));
    result["block"] = node.block;
    result["inputs"] = inputs;
    result["outputs"] = outputs;
    result["attrs"] = attrs_of(graph, node);
    result["name"] = std::string(graph.texts()[node.name]);
    result["scope"] = std::string(graph.texts()[node.scope]);
    result["origin"] = std::string(graph.texts()[node.origin]);
    if (is_run(node.op)) {
        py::list runs;
        for (const Run& run : graph.runs(graph.node_record(id))) runs.append(describe_run(graph, run));
        result["runs"] = runs;
    }
    if (is_user(node.op)) result["user"] = describe_user(graph, graph.node_record(id));
    return result;
}

Params to_params(const std::string& word) {
    if (word == "per_call") return Params::kPerCall;
    if (word == "shared") return Params::kShared;
    throw GraphError("params is '" + word + "'; allowed: per_call, shared");
}

template <std::size_t N>
std::uint8_t to_index(const std::array<std::string_view, N>& names, const std::string& name, const char* what) {
    if (const auto index = index_of(names, name)) return *index;
    std::string known;
    for (const auto each : names) known += (known.empty() ? "" : ", ") + std::string(each);
    throw GraphError("'" + name + "' is no known " + what + "; known: " + known);
}

// Amounts are (feature, base, None or (extent kind, nominal, used, grade)).
UserCount to_count(Graph& graph, const std::vector<py::tuple>& amounts, const std::vector<unsigned>& weights) {
    UserCount count;
    for (const unsigned slot : weights) count.weight_slots |= 1U << std::min(slot, 31U);
    for (const py::tuple& amount : amounts) {
        ExtentId extent = kNoExtent;
        if (!amount[2].is_none()) {
            const auto fields = amount[2].cast<py::tuple>();
            if (count.extents.size() == 255) throw GraphError("has more than 255 extents");
            count.extents.push_back(
                {static_cast<ExtentKind>(to_index(kExtentKinds, fields[0].cast<std::string>(), "extent kind")),
                 static_cast<Grade>(to_index(kGrades, fields[3].cast<std::string>(), "grade")),
                 to_ref(graph.exprs(), fields[1], "a nominal size"), to_ref(graph.exprs(), fields[2], "a used size")});
            extent = static_cast<ExtentId>(count.extents.size());
        }
        count.tags.push_back(
            {static_cast<Feature>(to_index(kFeatures, amount[0].cast<std::string>(), "feature")), extent});
        count.bases.push_back(to_ref(graph.exprs(), amount[1], "an amount"));
    }
    return count;
}

Op to_run(const std::string& name) {
    for (const Op op : {Op::kCall, Op::kLoop, Op::kRecompute})
        if (op_name(op) == name) return op;
    throw GraphError("'" + name + "' runs no block; call, loop and recompute do");
}

Op to_leaf(const std::string& name) {
    const Op op = op_from_name(name);
    if (!is_leaf(op)) throw GraphError("'" + name + "' is no leaf; leaves are input, parameter, constant");
    return op;
}

}  // namespace

void bind_graph(py::module_& m) {
    m.def("op_names", [] {
        std::vector<std::string> names;
        for (const OpRule& rule : all_rules()) names.emplace_back(op_name(rule.op));
        return names;
    });
    m.def("op_index", [](const std::string& name) { return static_cast<unsigned>(op_from_name(name)); });
    m.def("dtype_names", [] {
        std::vector<std::string> names;
        for (const DTypeInfo& each : kDTypes) names.emplace_back(each.name);
        return names;
    });

    py::class_<Graph>(m, "Graph")
        .def(py::init<>())
        .def("add_block", &Graph::add_block, py::arg("name"))
        .def(
            "finish",
            [](Graph& graph, BlockId block, const py::sequence& outputs) { graph.finish(block, to_inputs(outputs)); },
            py::arg("block"), py::arg("outputs"))
        .def(
            "add_leaf",
            [](Graph& graph, const std::string& op, const py::sequence& shape, const std::string& dtype, BlockId block,
               const std::string& name, const std::string& scope, const std::string& origin) {
                return graph.add_leaf(to_leaf(op), to_dims(graph, shape), to_dtype(dtype),
                                      {block, name, scope, origin});
            },
            py::arg("op"), py::arg("shape"), py::arg("dtype"), py::arg("block"), py::arg("name"), py::arg("scope"),
            py::arg("origin"))
        .def(
            "set_active",
            [](Graph& graph, TensorId parameter, const py::object& share) {
                graph.set_active(parameter, to_rational(share, "active"));
            },
            py::arg("parameter"), py::arg("share"))
        .def(
            "add_node",
            [](Graph& graph, const std::string& op_name, const py::sequence& inputs, const py::dict& attrs,
               BlockId block, const std::string& name, const std::string& scope, const std::string& origin) {
                const Op op = op_from_name(op_name);
                const NodeId id =
                    graph.add_node(op, to_inputs(inputs), to_attrs(graph, op, attrs), {block, name, scope, origin});
                return graph.node(id).first_output;
            },
            py::arg("op"), py::arg("inputs"), py::arg("attrs"), py::arg("block"), py::arg("name"), py::arg("scope"),
            py::arg("origin"))
        .def(
            "add_run",
            [](Graph& graph, const std::string& op, BlockId callee, const py::sequence& inputs, const py::object& times,
               const std::string& params, const py::object& index, std::uint32_t n_state,
               const std::vector<std::uint8_t>& slice_axes, const std::vector<std::uint8_t>& stack_axes, BlockId block,
               const std::string& name, const std::string& scope, const std::string& origin) {
                Run run{.block = callee,
                        .params = to_params(params),
                        .times = to_ref(graph.exprs(), times, "times"),
                        .index = index.is_none() ? ExprRef() : to_ref(graph.exprs(), index, "the index"),
                        .n_state = n_state,
                        .slice_axes = slice_axes,
                        .stack_axes = stack_axes};
                return graph.node(graph.add_runs(to_run(op), {run}, to_inputs(inputs), {block, name, scope, origin}))
                    .first_output;
            },
            py::arg("op"), py::arg("callee"), py::arg("inputs"), py::arg("times"), py::arg("params"), py::arg("index"),
            py::arg("n_state"), py::arg("slice_axes"), py::arg("stack_axes"), py::arg("block"), py::arg("name"),
            py::arg("scope"), py::arg("origin"))
        .def(
            "add_if",
            [](Graph& graph, const std::vector<BlockId>& arms, const py::sequence& inputs,
               const std::vector<py::object>& probabilities, const std::string& params, BlockId block,
               const std::string& name, const std::string& scope, const std::string& origin) {
                std::vector<Run> runs;
                for (const BlockId arm : arms) runs.push_back({.block = arm, .params = to_params(params)});
                for (std::size_t i = 0; i < probabilities.size() && i < runs.size(); ++i)
                    runs[i].probability = to_rational(probabilities[i], "a probability");
                return graph.node(graph.add_runs(Op::kIf, runs, to_inputs(inputs), {block, name, scope, origin}))
                    .first_output;
            },
            py::arg("arms"), py::arg("inputs"), py::arg("probabilities"), py::arg("params"), py::arg("block"),
            py::arg("name"), py::arg("scope"), py::arg("origin"))
        .def(
            "add_user_node",
            [](Graph& graph, const std::string& op, const py::sequence& inputs, const std::vector<py::tuple>& outputs,
               const std::vector<py::tuple>& amounts, const std::vector<unsigned>& weights, BlockId block,
               const std::string& name, const std::string& scope, const std::string& origin) {
                std::vector<UserOutput> made;
                for (const py::tuple& output : outputs)
                    made.push_back(
                        {to_dims(graph, output[0].cast<py::sequence>()), to_dtype(output[1].cast<std::string>())});
                const NodeId id = graph.add_user_node(op, to_inputs(inputs), made, to_count(graph, amounts, weights),
                                                      {block, name, scope, origin});
                return graph.node(id).first_output;
            },
            py::arg("op"), py::arg("inputs"), py::arg("outputs"), py::arg("amounts"), py::arg("weights"),
            py::arg("block"), py::arg("name"), py::arg("scope"), py::arg("origin"))
        .def(
            "intern_attrs",
            [](Graph& graph, const std::string& op, const py::dict& attrs) {
                return to_attrs(graph, op_from_name(op), attrs);
            },
            py::arg("op"), py::arg("attrs"))
        .def(
            "append_leaves",
            [](Graph& graph, const std::string& op, const Column32& offsets,
               const py::array_t<std::int64_t, py::array::c_style>& dims, const std::string& dtype, BlockId block) {
                return graph.append_leaves(to_leaf(op), span_of(offsets), span_of(dims), to_dtype(dtype), block);
            },
            py::arg("op"), py::arg("offsets"), py::arg("dims"), py::arg("dtype"), py::arg("block"))
        .def(
            "append_nodes",
            [](Graph& graph, const py::array_t<std::uint16_t, py::array::c_style>& ops, const Column32& offsets,
               const Column32& inputs, const Column32& attrs, BlockId block) {
                const auto first = static_cast<TensorId>(graph.n_tensors());
                graph.append_nodes({span_of(ops), span_of(offsets), span_of(inputs), span_of(attrs)}, block);
                return first;
            },
            py::arg("ops"), py::arg("offsets"), py::arg("inputs"), py::arg("attrs"), py::arg("block"))
        .def("shape", &shape_of, py::arg("tensor"))
        .def(
            "dtype", [](const Graph& graph, TensorId id) { return std::string(info(graph.tensor(id).dtype).name); },
            py::arg("tensor"))
        .def(
            "tensor_name",
            [](const Graph& graph, TensorId id) {
                return std::string(graph.texts()[graph.node(graph.tensor(id).producer).name]);
            },
            py::arg("tensor"))
        .def("node", &describe_node, py::arg("node"))
        .def(
            "block_name", [](const Graph& graph, BlockId block) { return std::string(graph.block_name(block)); },
            py::arg("block"))
        .def(
            "block_outputs",
            [](const Graph& graph, BlockId block) {
                const auto outputs = graph.block_outputs(block);
                return std::vector<TensorId>(outputs.begin(), outputs.end());
            },
            py::arg("block"))
        .def("symbols",
             [](const Graph& graph) {
                 py::dict symbols;
                 for (const Symbol& symbol : graph.symbols())
                     symbols[py::str(symbol.name)] = py::make_tuple(symbol.min, symbol.max, symbol.multiple_of);
                 return symbols;
             })
        .def("open_sizes",
             [](const Graph& graph) {
                 py::list sizes;
                 for (const OpenSize& each : graph.open_sizes())
                     sizes.append(py::make_tuple(to_python(graph.exprs(), each.size), each.least,
                                                 graph.describe(each.node) + ": " + each.what));
                 return sizes;
             })
        .def_property_readonly("n_nodes", &Graph::n_nodes)
        .def_property_readonly("n_tensors", &Graph::n_tensors)
        .def_property_readonly("n_blocks", &Graph::n_blocks)
        .def_property_readonly("memory_bytes", &Graph::memory_bytes);
}

}  // namespace flopcore::bind
