// The ONNX reader: a model as plain Python values, built when asked for.
#include <pybind11/stl.h>

#include <memory>

#include "bind.hpp"
#include "flopcore/graph.hpp"
#include "flopcore/onnx_append.hpp"
#include "flopcore/onnx_order.hpp"
#include "flopcore/onnx_reader.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

// A model and its names as Python strings, each made once, when it is asked for.
struct Model {
    OnnxModel onnx;
    std::vector<py::object> names;
};
using ModelPtr = std::shared_ptr<Model>;

struct GraphView {
    ModelPtr model;
    std::uint32_t index;
    [[nodiscard]] const OnnxGraph& graph() const { return model->onnx.graphs[index]; }
};

struct TensorView {
    ModelPtr model;
    OnnxTensor tensor;
};

struct FunctionView {
    ModelPtr model;
    std::size_t index;
    [[nodiscard]] const OnnxFunction& function() const { return model->onnx.functions[index]; }
};

struct AttributeReference {
    py::object name;
};

py::object name(Model& model, OnnxId id) {
    py::object& known = model.names[static_cast<std::uint32_t>(id)];
    if (!known) known = py::str(model.onnx.names[id]);
    return known;
}

py::tuple names(Model& model, OnnxRange range) {
    py::tuple tuple(range.size);
    for (std::uint32_t i = 0; i < range.size; ++i) tuple[i] = name(model, model.onnx.ids[range.begin + i]);
    return tuple;
}

py::tuple integers(const Model& model, OnnxRange range) {
    py::tuple tuple(range.size);
    for (std::uint32_t i = 0; i < range.size; ++i) tuple[i] = py::int_(model.onnx.integers[range.begin + i]);
    return tuple;
}

py::tuple numbers(const Model& model, OnnxRange range) {
    py::tuple tuple(range.size);
    for (std::uint32_t i = 0; i < range.size; ++i) tuple[i] = py::float_(model.onnx.numbers[range.begin + i]);
    return tuple;
}

py::object attribute_value(const ModelPtr& model, const OnnxAttribute& attribute) {
    const OnnxModel& onnx = model->onnx;
    if (attribute.reference != OnnxId{}) return py::cast(AttributeReference{name(*model, attribute.reference)});
    switch (attribute.type) {
        case OnnxAttributeType::float_:
            return py::float_(attribute.number);
        case OnnxAttributeType::int_:
            return py::int_(attribute.integer);
        case OnnxAttributeType::string:
            return py::bytes(onnx.texts[attribute.index]);
        case OnnxAttributeType::tensor:
        case OnnxAttributeType::sparse_tensor:
            return py::cast(TensorView{model, onnx.tensors[attribute.index]});
        case OnnxAttributeType::graph:
            return py::cast(GraphView{model, attribute.index});
        case OnnxAttributeType::ints:
            return integers(*model, attribute.range);
        case OnnxAttributeType::floats:
            return numbers(*model, attribute.range);
        case OnnxAttributeType::strings: {
            py::tuple tuple(attribute.range.size);
            for (std::uint32_t i = 0; i < attribute.range.size; ++i)
                tuple[i] = py::bytes(onnx.texts[attribute.range.begin + i]);
            return tuple;
        }
        default:
            return py::none();
    }
}

py::dict attributes(const ModelPtr& model, OnnxRange range) {
    py::dict dict;
    for (const OnnxAttribute& attribute : onnx_span(model->onnx.attributes, range))
        dict[name(*model, attribute.name)] = attribute_value(model, attribute);
    return dict;
}

py::tuple node(const ModelPtr& model, const OnnxNode& node) {
    return py::make_tuple(name(*model, node.op_type), name(*model, node.domain), name(*model, node.name),
                          names(*model, node.inputs), names(*model, node.outputs), attributes(model, node.attributes));
}

// The nodes with these indices.
py::list nodes(const ModelPtr& model, const std::vector<OnnxNode>& nodes, const std::vector<std::uint32_t>& indices) {
    py::list list(indices.size());
    for (std::size_t i = 0; i < indices.size(); ++i) list[i] = node(model, nodes.at(indices[i]));
    return list;
}

struct Appender {
    GraphView source;
    OnnxAppender append;
};

std::unique_ptr<Appender> make_appender(const GraphView& source, Graph& graph, const py::sequence& table) {
    std::vector<std::string> names;
    names.reserve(table.size());  // string views into it stay valid
    std::vector<OnnxPlainOp> plain;
    for (const py::handle row : table) {
        const auto [onnx, ours, n_inputs] = row.cast<std::tuple<std::string, std::string, std::uint32_t>>();
        plain.push_back({names.emplace_back(onnx), op_from_name(ours), n_inputs});
    }
    return std::make_unique<Appender>(Appender{source, OnnxAppender(source.model->onnx, source.graph(), graph, plain)});
}

std::optional<TensorId> placed(const Appender& self, const std::string& name) {
    const auto id = self.source.model->onnx.names.find(name);
    const TensorId tensor = id ? self.append.tensor(*id) : kNoTensor;
    return tensor == kNoTensor ? std::nullopt : std::optional(tensor);
}

py::list tensors(const ModelPtr& model, const std::vector<OnnxTensor>& tensors) {
    py::list list(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) list[i] = TensorView{model, tensors[i]};
    return list;
}

const char* kind_name(OnnxValueKind kind) {
    switch (kind) {
        case OnnxValueKind::tensor:
            return "tensor";
        case OnnxValueKind::sequence:
            return "sequence";
        case OnnxValueKind::map:
            return "map";
        case OnnxValueKind::optional:
            return "optional";
        case OnnxValueKind::sparse_tensor:
            return "sparse_tensor";
        case OnnxValueKind::opaque:
            return "opaque";
        case OnnxValueKind::unknown:
            break;
    }
    return "unknown";
}

py::list values(Model& model, const std::vector<OnnxValue>& values) {
    py::list list(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const OnnxValue& value = values[i];
        py::object shape = py::none();
        if (value.has_shape) {
            py::tuple dims(value.dims.size);
            for (std::uint32_t k = 0; k < value.dims.size; ++k) {
                const OnnxDim& dim = model.onnx.dims[value.dims.begin + k];
                if (dim.value >= 0)
                    dims[k] = py::int_(dim.value);
                else if (dim.symbol != OnnxId{})
                    dims[k] = name(model, dim.symbol);
                else
                    dims[k] = py::none();
            }
            shape = std::move(dims);
        }
        list[i] = py::make_tuple(name(model, value.name), kind_name(value.kind), value.dtype, shape);
    }
    return list;
}

py::list opsets(Model& model, const std::vector<OnnxOpset>& opsets) {
    py::list list;
    for (const OnnxOpset& opset : opsets) list.append(py::make_tuple(name(model, opset.domain), opset.version));
    return list;
}

ModelPtr wrap(OnnxModel&& onnx) {
    auto model = std::make_shared<Model>();
    model->onnx = std::move(onnx);
    model->names.resize(model->onnx.names.size());
    return model;
}

ModelPtr read(const std::string& path) {
    // The path is a copy: nothing of Python is touched while the GIL is released.
    return wrap([&] {
        const py::gil_scoped_release released;
        return read_onnx(path);
    }());
}

ModelPtr parse(const py::bytes& data) {
    char* start = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(data.ptr(), &start, &size) != 0) throw py::error_already_set();
    // The bytes object is immutable and held by the caller's reference.
    return wrap([&] {
        const py::gil_scoped_release released;
        return parse_onnx({reinterpret_cast<const std::uint8_t*>(start), static_cast<std::size_t>(size)});
    }());
}

}  // namespace

void bind_onnx(py::module_& m) {
    py::class_<AttributeReference>(m, "OnnxAttributeReference").def_readonly("name", &AttributeReference::name);
    py::class_<TensorView>(m, "OnnxTensor")
        .def_property_readonly("name", [](const TensorView& self) { return name(*self.model, self.tensor.name); })
        .def_property_readonly("dtype", [](const TensorView& self) { return self.tensor.dtype; })
        .def_property_readonly("dims", [](const TensorView& self) { return integers(*self.model, self.tensor.dims); })
        .def_property_readonly("values",
                               [](const TensorView& self) -> py::object {
                                   if (!self.tensor.has_values) return py::none();
                                   if (self.tensor.dtype == 1) return numbers(*self.model, self.tensor.values);
                                   return integers(*self.model, self.tensor.values);
                               })
        .def_property_readonly("external", [](const TensorView& self) { return self.tensor.external; })
        .def_property_readonly("sparse", [](const TensorView& self) { return self.tensor.sparse; });
    py::class_<GraphView>(m, "OnnxGraph")
        .def_property_readonly("name", [](const GraphView& self) { return name(*self.model, self.graph().name); })
        .def_property_readonly("index", [](const GraphView& self) { return self.index; })
        .def_property_readonly("n_nodes", [](const GraphView& self) { return self.graph().nodes.size(); })
        .def("order", [](const GraphView& self) { return onnx_order(self.model->onnx, self.graph().nodes, {}, true); })
        .def("shared",
             [](const GraphView& self) {
                 py::list list;
                 for (const OnnxId id : onnx_shared(self.model->onnx, self.graph().nodes))
                     list.append(name(*self.model, id));
                 return list;
             })
        .def(
            "nodes",
            [](const GraphView& self, const std::vector<std::uint32_t>& indices) {
                return nodes(self.model, self.graph().nodes, indices);
            },
            py::arg("indices"))
        .def("initializers", [](const GraphView& self) { return tensors(self.model, self.graph().initializers); })
        .def("inputs", [](const GraphView& self) { return values(*self.model, self.graph().inputs); })
        .def("outputs", [](const GraphView& self) { return values(*self.model, self.graph().outputs); })
        .def("values", [](const GraphView& self) { return values(*self.model, self.graph().values); });
    py::class_<FunctionView>(m, "OnnxFunction")
        .def_property_readonly("name", [](const FunctionView& self) { return name(*self.model, self.function().name); })
        .def_property_readonly("domain",
                               [](const FunctionView& self) { return name(*self.model, self.function().domain); })
        .def_property_readonly("overload",
                               [](const FunctionView& self) { return name(*self.model, self.function().overload); })
        .def_property_readonly("inputs",
                               [](const FunctionView& self) { return names(*self.model, self.function().inputs); })
        .def_property_readonly("outputs",
                               [](const FunctionView& self) { return names(*self.model, self.function().outputs); })
        .def_property_readonly("attributes",
                               [](const FunctionView& self) { return names(*self.model, self.function().attributes); })
        .def("defaults", [](const FunctionView& self) { return attributes(self.model, self.function().defaults); })
        .def("opsets", [](const FunctionView& self) { return opsets(*self.model, self.function().opsets); })
        .def("order",
             [](const FunctionView& self) {
                 const OnnxModel& onnx = self.model->onnx;
                 return onnx_order(onnx, self.function().nodes, onnx_span(onnx.ids, self.function().inputs));
             })
        .def(
            "nodes",
            [](const FunctionView& self, const std::vector<std::uint32_t>& indices) {
                return nodes(self.model, self.function().nodes, indices);
            },
            py::arg("indices"));
    py::class_<Appender>(m, "OnnxAppender")
        .def(py::init(&make_appender), py::arg("source"), py::arg("graph"), py::arg("plain"), py::keep_alive<1, 3>())
        .def("run",
             [](Appender& self) -> py::object {
                 const auto stopped = [&] {
                     const py::gil_scoped_release released;
                     return self.append.run();
                 }();
                 if (!stopped) return py::none();
                 return node(self.source.model, self.source.graph().nodes[*stopped]);
             })
        .def("tensor", &placed, py::arg("name"))
        .def(
            "place",
            [](Appender& self, const std::string& name, TensorId tensor) {
                const auto id = self.source.model->onnx.names.find(name);
                if (!id) throw py::key_error(name);
                self.append.place(*id, tensor);
            },
            py::arg("name"), py::arg("tensor"));
    py::class_<Model, std::shared_ptr<Model>>(m, "OnnxModel")
        .def_property_readonly("ir_version", [](const Model& self) { return self.onnx.ir_version; })
        .def_property_readonly("producer", [](const Model& self) { return self.onnx.producer; })
        .def("opsets", [](Model& self) { return opsets(self, self.onnx.opsets); })
        .def_property_readonly("graph",
                               [](const std::shared_ptr<Model>& self) {
                                   return GraphView{self, static_cast<std::uint32_t>(self->onnx.graphs.size() - 1)};
                               })
        .def("functions", [](const std::shared_ptr<Model>& self) {
            py::list list;
            for (std::size_t i = 0; i < self->onnx.functions.size(); ++i) list.append(FunctionView{self, i});
            return list;
        });
    m.def("onnx_scope", [](const std::string& name) { return onnx_scope(name); }, py::arg("name"));
    m.def("read_onnx", &read, py::arg("path"));
    m.def("parse_onnx", &parse, py::arg("data"));
}

}  // namespace flopcore::bind
