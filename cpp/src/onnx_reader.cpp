// Over 600 lines because it has one function for each message of onnx.proto, in the order in which they nest.
#include "flopcore/onnx_reader.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "flopcore/error.hpp"
#include "flopcore/mapped_file.hpp"
#include "flopcore/wire.hpp"
#include "onnx_messages.hpp"

namespace flopcore {
namespace {

using namespace onnx_messages;

// The few dtypes (TensorProto.DataType) whose values may be shapes, axes, conditions or scales.
constexpr std::int32_t kFloat32 = 1;
constexpr std::int32_t kInt32 = 6;
constexpr std::int32_t kInt64 = 7;
constexpr std::int32_t kBool = 9;

std::size_t bytes_of_shape_dtype(std::int32_t dtype) {
    switch (dtype) {
        case kInt64:
            return 8;
        case kFloat32:
        case kInt32:
            return 4;
        case kBool:
            return 1;
        default:
            return 0;
    }
}

std::int64_t as_signed(std::uint64_t value) { return std::bit_cast<std::int64_t>(value); }

class Parser {
  public:
    OnnxModel parse(WireBytes file);

  private:
    OnnxGraph graph(WireBytes bytes, int depth);
    OnnxNode node(WireBytes bytes, int depth);
    OnnxAttribute attribute(WireBytes bytes, int depth);
    OnnxTensor tensor(WireBytes bytes);
    OnnxTensor sparse_tensor(WireBytes bytes);
    OnnxValue value(WireBytes bytes);
    void type(WireBytes bytes, OnnxValue& value);
    OnnxRange shape(WireBytes bytes);
    OnnxDim dim(WireBytes bytes);
    OnnxFunction function(WireBytes bytes);
    OnnxOpset opset(WireBytes bytes);

    OnnxId name(const WireReader& reader, const WireField& field) { return model_.names.intern(reader.text(field)); }
    std::int32_t dtype(const WireReader& reader, const WireField& field) const;
    void keep_values(const WireReader& reader, WireBytes bytes, OnnxTensor& tensor, std::span<const std::int64_t> given,
                     const std::optional<WireBytes>& raw);

    template <class T>
    static OnnxRange append(std::vector<T>& array, std::span<const T> items) {
        if (array.size() + items.size() > std::numeric_limits<std::uint32_t>::max())
            throw DataError("more than 2^32 names, dims or attributes; the file is corrupt");
        const OnnxRange range{static_cast<std::uint32_t>(array.size()), static_cast<std::uint32_t>(items.size())};
        array.insert(array.end(), items.begin(), items.end());
        return range;
    }
    template <class T>
    static OnnxRange append(std::vector<T>& array, const std::vector<T>& items) {
        return append(array, std::span<const T>(items));
    }

    OnnxModel model_;
};

// A message field that may come once only; protobuf would merge two, which no writer of ONNX relies on.
void once(const WireReader& reader, const WireField& field, bool& seen) {
    if (seen) reader.fail(field.payload.offset, field.number, "appears twice; the file is corrupt");
    seen = true;
}

std::int32_t Parser::dtype(const WireReader& reader, const WireField& field) const {
    if (field.value > 1000)
        reader.fail(0, field.number,
                    "data type " + std::to_string(field.value) + " does not exist; the file is corrupt");
    return static_cast<std::int32_t>(field.value);
}

OnnxModel Parser::parse(WireBytes file) {
    WireReader reader(kModel, file);
    WireField field;
    bool has_graph = false;
    std::optional<OnnxGraph> main;
    std::string producer_version;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                model_.ir_version = as_signed(field.value);
                break;
            case 2:
                model_.producer = reader.text(field);
                break;
            case 3:
                producer_version = reader.text(field);
                break;
            case 7:
                once(reader, field, has_graph);
                main = graph(field.payload, 0);
                break;
            case 8:
                model_.opsets.push_back(opset(field.payload));
                break;
            case 25:
                model_.functions.push_back(function(field.payload));
                break;
        }
    }
    if (!has_graph)
        throw DataError("the file ends at byte " + std::to_string(file.data.size()) +
                        " without a graph; it is truncated or not an ONNX model");
    if (model_.opsets.empty())
        throw DataError(
            "ModelProto.opset_import is missing, so the meaning of its ops is unknown; the file ends at byte " +
            std::to_string(file.data.size()) + " and may be truncated: download it again");
    if (!producer_version.empty()) model_.producer += " " + producer_version;
    model_.graphs.push_back(std::move(*main));
    return std::move(model_);
}

OnnxOpset Parser::opset(WireBytes bytes) {
    WireReader reader(kOpset, bytes);
    WireField field;
    OnnxOpset opset;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                opset.domain = name(reader, field);
                break;
            case 2:
                opset.version = as_signed(field.value);
                break;
        }
    }
    return opset;
}

OnnxGraph Parser::graph(WireBytes bytes, int depth) {
    WireReader reader(kGraph, bytes);
    if (depth > kMaxOnnxGraphDepth)
        reader.fail(bytes.offset, 0, "graphs nested more than " + std::to_string(kMaxOnnxGraphDepth) + " deep");
    WireField field;
    OnnxGraph graph;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                graph.nodes.push_back(node(field.payload, depth));
                break;
            case 2:
                graph.name = name(reader, field);
                break;
            case 5:
                graph.initializers.push_back(tensor(field.payload));
                break;
            case 11:
                graph.inputs.push_back(value(field.payload));
                break;
            case 12:
                graph.outputs.push_back(value(field.payload));
                break;
            case 13:
                graph.values.push_back(value(field.payload));
                break;
            case 15:
                graph.initializers.push_back(sparse_tensor(field.payload));
                break;
        }
    }
    return graph;
}

OnnxNode Parser::node(WireBytes bytes, int depth) {
    WireReader reader(kNode, bytes);
    WireField field;
    OnnxNode node;
    std::vector<OnnxId> inputs;
    std::vector<OnnxId> outputs;
    std::vector<OnnxAttribute> attributes;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                inputs.push_back(name(reader, field));
                break;
            case 2:
                outputs.push_back(name(reader, field));
                break;
            case 3:
                node.name = name(reader, field);
                break;
            case 4:
                node.op_type = name(reader, field);
                break;
            case 5:
                attributes.push_back(attribute(field.payload, depth));
                break;
            case 7:
                node.domain = name(reader, field);
                break;
        }
    }
    if (node.op_type == OnnxId{}) reader.fail(bytes.offset, 4, "is missing; the file is corrupt or not ONNX");
    node.inputs = append(model_.ids, inputs);
    node.outputs = append(model_.ids, outputs);
    node.attributes = append(model_.attributes, attributes);
    return node;
}

OnnxAttribute Parser::attribute(WireBytes bytes, int depth) {
    WireReader reader(kAttribute, bytes);
    WireField field;
    OnnxAttribute attribute;
    std::optional<std::string> text;
    std::optional<OnnxTensor> tensor_value;
    std::optional<OnnxGraph> graph_value;
    std::vector<std::int64_t> integers;
    std::vector<float> numbers;
    std::vector<std::string> texts;
    std::uint64_t type = 0;
    bool has_tensor = false;
    bool has_graph = false;
    bool has_number = false;
    const auto bytes_of = [](const WireField& f) {
        return std::string(reinterpret_cast<const char*>(f.payload.data.data()), f.payload.data.size());
    };
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                attribute.name = name(reader, field);
                break;
            case 2:
                attribute.number = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
                has_number = true;
                break;
            case 3:
                attribute.integer = as_signed(field.value);
                break;
            case 4:
                text = bytes_of(field);
                break;
            case 5:
                once(reader, field, has_tensor);
                tensor_value = tensor(field.payload);
                break;
            case 6:
                once(reader, field, has_graph);
                graph_value = graph(field.payload, depth + 1);
                break;
            case 7:
                reader.each_fixed32(field, [&](std::uint32_t bits) {
                    numbers.push_back(std::bit_cast<float>(bits));
                    return true;
                });
                break;
            case 8:
                reader.each_varint(field, [&](std::uint64_t number) {
                    integers.push_back(as_signed(number));
                    return true;
                });
                break;
            case 9:
                texts.push_back(bytes_of(field));
                break;
            case 20:
                type = field.value;
                break;
            case 21:
                attribute.reference = name(reader, field);
                break;
            case 22:
                once(reader, field, has_tensor);
                tensor_value = sparse_tensor(field.payload);
                break;
        }
    }
    if (attribute.name == OnnxId{}) reader.fail(bytes.offset, 1, "is missing; the file is corrupt or not ONNX");
    if (type > 255) reader.fail(bytes.offset, 20, "attribute type " + std::to_string(type) + " does not exist");
    // IR version 1 left the type out: the field that is there tells it.
    if (type == 0 && attribute.reference == OnnxId{}) {
        using enum OnnxAttributeType;
        const OnnxAttributeType told = tensor_value        ? tensor
                                       : graph_value       ? OnnxAttributeType::graph
                                       : text              ? string
                                       : !integers.empty() ? ints
                                       : !numbers.empty()  ? floats
                                       : !texts.empty()    ? strings
                                       : has_number        ? float_
                                                           : int_;
        type = static_cast<std::uint64_t>(told);
    }
    attribute.type = static_cast<OnnxAttributeType>(type);
    const auto need = [&](bool given, std::uint32_t number) {
        if (!given && attribute.reference == OnnxId{})
            reader.fail(bytes.offset, number,
                        "is missing, though the attribute's type calls for it; the file is corrupt");
    };
    switch (attribute.type) {
        case OnnxAttributeType::string:
            attribute.index = append(model_.texts, std::vector{text.value_or(std::string())}).begin;
            break;
        case OnnxAttributeType::tensor:
        case OnnxAttributeType::sparse_tensor:
            need(tensor_value.has_value(), attribute.type == OnnxAttributeType::tensor ? 5 : 22);
            attribute.index = append(model_.tensors, std::vector{tensor_value.value_or(OnnxTensor{})}).begin;
            break;
        case OnnxAttributeType::graph:
            need(graph_value.has_value(), 6);
            attribute.index = static_cast<std::uint32_t>(model_.graphs.size());  // 2^32 graphs fit no memory
            model_.graphs.push_back(graph_value ? std::move(*graph_value) : OnnxGraph{});
            break;
        case OnnxAttributeType::floats:
            attribute.range = append(model_.numbers, numbers);
            break;
        case OnnxAttributeType::ints:
            attribute.range = append(model_.integers, integers);
            break;
        case OnnxAttributeType::strings:
            attribute.range = append(model_.texts, texts);
            break;
        default:
            break;
    }
    return attribute;
}

void add_sizes(const WireReader& reader, const WireField& field, std::vector<std::int64_t>& dims) {
    reader.each_varint(field, [&](std::uint64_t size) {
        if (as_signed(size) < 0)
            reader.fail(field.payload.offset, field.number,
                        "holds " + std::to_string(as_signed(size)) + "; sizes are not negative");
        dims.push_back(as_signed(size));
        return true;
    });
}

OnnxTensor Parser::tensor(WireBytes bytes) {
    WireReader reader(kTensor, bytes);
    WireField field;
    OnnxTensor tensor;
    std::vector<std::int64_t> dims;
    std::vector<std::int64_t> given;  // at most kMaxShapeElements + 1 of float_data (bits), int32_data or int64_data
    std::optional<WireBytes> raw;
    const auto take = [&](std::uint64_t number) {
        given.push_back(as_signed(number));
        return given.size() <= kMaxShapeElements;
    };
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                add_sizes(reader, field, dims);
                break;
            case 2:
                tensor.dtype = dtype(reader, field);
                break;
            case 4:
                if (given.size() <= kMaxShapeElements) reader.each_fixed32(field, take);
                break;
            case 5:
            case 7:
                if (given.size() <= kMaxShapeElements) reader.each_varint(field, take);
                break;
            case 8:
                tensor.name = name(reader, field);
                break;
            case 9:
                raw = field.payload;
                break;
            case 14:
                tensor.external = field.value == 1;
                break;
        }
    }
    tensor.dims = append(model_.integers, dims);
    keep_values(reader, bytes, tensor, given, raw);
    return tensor;
}

// Takes the values of a small tensor of integers or float32; of any other tensor nothing is looked at.
void Parser::keep_values(const WireReader& reader, WireBytes bytes, OnnxTensor& tensor,
                         std::span<const std::int64_t> given, const std::optional<WireBytes>& raw) {
    const std::size_t width = bytes_of_shape_dtype(tensor.dtype);
    if (width == 0 || tensor.external) return;
    std::uint64_t size = 1;
    for (const std::int64_t dim : onnx_span(model_.integers, tensor.dims)) {
        if (dim == 0) size = 0;
        if (size == 0 || size > kMaxShapeElements) continue;
        size = dim > static_cast<std::int64_t>(kMaxShapeElements) ? kMaxShapeElements + 1
                                                                  : size * static_cast<std::uint64_t>(dim);
    }
    if (size > kMaxShapeElements) return;
    std::vector<std::int64_t> values(given.begin(), given.end());
    if (raw) {
        if (tensor.dtype == kFloat32 && raw->data.empty()) return;  // stripped of its weights
        if (raw->data.size() != size * width)
            reader.fail(raw->offset, 9,
                        "has " + std::to_string(raw->data.size()) + " bytes, its dims need " +
                            std::to_string(size * width) + "; the file is corrupt");
        values.clear();
        for (std::size_t i = 0; i < size; ++i) {
            std::uint64_t bits = 0;
            for (std::size_t k = 0; k < width; ++k) bits |= std::uint64_t{raw->data[i * width + k]} << (8 * k);
            values.push_back(tensor.dtype == kInt32 ? std::bit_cast<std::int32_t>(static_cast<std::uint32_t>(bits))
                                                    : as_signed(bits));
        }
    }
    if (values.size() != size) {
        if (tensor.dtype == kFloat32) return;  // a model without its weights: they are not shapes
        reader.fail(bytes.offset, tensor.dtype == kInt64 ? 7 : 5,
                    "the tensor holds " + std::to_string(values.size()) + " integers, its dims need " +
                        std::to_string(size) + "; the file is corrupt");
    }
    if (tensor.dtype == kFloat32) {
        std::vector<float> numbers;
        for (const std::int64_t bits : values)
            numbers.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
        tensor.values = append(model_.numbers, numbers);
    } else {
        tensor.values = append(model_.integers, values);
    }
    tensor.has_values = true;
}

OnnxTensor Parser::sparse_tensor(WireBytes bytes) {
    WireReader reader(kSparse, bytes);
    WireField field;
    OnnxTensor tensor;
    std::vector<std::int64_t> dims;
    bool has_values = false;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                once(reader, field, has_values);
                tensor = this->tensor(field.payload);
                break;
            case 3:
                add_sizes(reader, field, dims);
                break;
        }
    }
    tensor.dims = append(model_.integers, dims);
    tensor.has_values = false;
    tensor.sparse = true;
    return tensor;
}

OnnxValue Parser::value(WireBytes bytes) {
    WireReader reader(kValue, bytes);
    WireField field;
    OnnxValue value;
    bool has_type = false;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                value.name = name(reader, field);
                break;
            case 2:
                once(reader, field, has_type);
                type(field.payload, value);
                break;
        }
    }
    return value;
}

void Parser::type(WireBytes bytes, OnnxValue& value) {
    WireReader reader(kType, bytes);
    WireField field;
    bool has_kind = false;
    while (reader.next(field)) {
        once(reader, field, has_kind);
        switch (field.number) {
            case 4:
                value.kind = OnnxValueKind::sequence;
                continue;
            case 5:
                value.kind = OnnxValueKind::map;
                continue;
            case 7:
                value.kind = OnnxValueKind::opaque;
                continue;
            case 8:
                value.kind = OnnxValueKind::sparse_tensor;
                continue;
            case 9:
                value.kind = OnnxValueKind::optional;
                continue;
            default:
                value.kind = OnnxValueKind::tensor;
                break;
        }
        WireReader inner(kTensorType, field.payload);
        WireField part;
        while (inner.next(part)) {
            switch (part.number) {
                case 1:
                    value.dtype = dtype(inner, part);
                    break;
                case 2:
                    once(inner, part, value.has_shape);
                    value.dims = shape(part.payload);
                    break;
            }
        }
    }
}

OnnxRange Parser::shape(WireBytes bytes) {
    WireReader reader(kShape, bytes);
    WireField field;
    std::vector<OnnxDim> dims;
    while (reader.next(field)) dims.push_back(dim(field.payload));
    return append(model_.dims, dims);
}

OnnxDim Parser::dim(WireBytes bytes) {
    WireReader reader(kDim, bytes);
    WireField field;
    OnnxDim dim;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                dim.value = as_signed(field.value);
                if (dim.value < -1)  // -1 is how some exporters write a size they do not know
                    reader.fail(bytes.offset, 1,
                                "is " + std::to_string(dim.value) +
                                    "; a size is not negative, an unknown one is left out or named by dim_param");
                break;
            case 2:
                dim.symbol = name(reader, field);
                break;
        }
    }
    return dim;
}

OnnxFunction Parser::function(WireBytes bytes) {
    WireReader reader(kFunction, bytes);
    WireField field;
    OnnxFunction function;
    std::vector<OnnxId> inputs;
    std::vector<OnnxId> outputs;
    std::vector<OnnxId> names;
    std::vector<OnnxAttribute> defaults;
    while (reader.next(field)) {
        switch (field.number) {
            case 1:
                function.name = name(reader, field);
                break;
            case 4:
                inputs.push_back(name(reader, field));
                break;
            case 5:
                outputs.push_back(name(reader, field));
                break;
            case 6:
                names.push_back(name(reader, field));
                break;
            case 7:
                function.nodes.push_back(node(field.payload, 1));
                break;
            case 9:
                function.opsets.push_back(opset(field.payload));
                break;
            case 10:
                function.domain = name(reader, field);
                break;
            case 11:
                defaults.push_back(attribute(field.payload, 1));
                break;
            case 13:
                function.overload = name(reader, field);
                break;
        }
    }
    if (function.name == OnnxId{}) reader.fail(bytes.offset, 1, "is missing; the file is corrupt or not ONNX");
    function.inputs = append(model_.ids, inputs);
    function.outputs = append(model_.ids, outputs);
    function.attributes = append(model_.ids, names);
    function.defaults = append(model_.attributes, defaults);
    return function;
}

}  // namespace

OnnxModel parse_onnx(std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) throw DataError("an ONNX model cannot be empty");
    constexpr std::string_view kPointer = "version https://git-lfs";
    if (bytes.size() >= kPointer.size() && std::memcmp(bytes.data(), kPointer.data(), kPointer.size()) == 0)
        throw DataError("this is a Git LFS pointer, not the model; fetch the file itself with 'git lfs pull'");
    return Parser().parse({bytes, 0});
}

OnnxModel read_onnx(const std::string& path) {
    const MappedFile file(path);
    try {
        return parse_onnx(file.bytes());
    } catch (const DataError& error) {
        throw DataError(path + ": " + error.what());
    }
}

}  // namespace flopcore
