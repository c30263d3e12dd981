// What an ONNX file says, as far as a count needs it: nodes, attributes, shapes, dtypes and small integer tensors.
// Tensor payloads are skipped by their length and external data is never opened, so that a model of gigabytes costs
// what its graph costs. The result owns its arrays and is immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flopcore/onnx_names.hpp"

namespace flopcore {

// Numbers one past these are refused by the reader with a DataError.
inline constexpr std::size_t kMaxShapeElements = 64;  // a tensor up to this size keeps its values
inline constexpr int kMaxOnnxGraphDepth = 32;         // If in Loop in ...

// A run of elements of one of the arrays of OnnxModel.
struct OnnxRange {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
};

// AttributeProto.AttributeType, the kinds that are kept; any other kind is kept as its number, without a value.
enum class OnnxAttributeType : std::uint8_t {
    undefined = 0,
    float_ = 1,
    int_ = 2,
    string = 3,
    tensor = 4,
    graph = 5,
    floats = 6,
    ints = 7,
    strings = 8,
    sparse_tensor = 11
};

struct OnnxTensor {
    OnnxId name{};
    std::int32_t dtype = 0;   // TensorProto.DataType
    OnnxRange dims;           // of integers
    OnnxRange values;         // when has_values: of numbers for float32, of integers otherwise
    bool has_values = false;  // an int32, int64, bool or float32 tensor of at most kMaxShapeElements, stored inside
    bool external = false;    // its data lies in another file
    bool sparse = false;
};

struct OnnxDim {
    std::int64_t value = -1;  // -1: not given
    OnnxId symbol{};          // empty: not given
};

enum class OnnxValueKind : std::uint8_t { unknown, tensor, sequence, map, optional, sparse_tensor, opaque };

struct OnnxValue {
    OnnxId name{};
    OnnxValueKind kind = OnnxValueKind::unknown;
    std::int32_t dtype = 0;
    bool has_shape = false;
    OnnxRange dims;  // of dims
};

struct OnnxAttribute {
    OnnxId name{};
    OnnxId reference{};  // of a function body: the attribute of the call that gives the value
    OnnxAttributeType type = OnnxAttributeType::undefined;
    float number = 0;
    std::int64_t integer = 0;
    std::uint32_t index = 0;  // string: of texts; tensor: of tensors; graph: of graphs
    OnnxRange range;          // floats: of numbers; ints: of integers; strings: of texts
};

struct OnnxNode {
    OnnxId op_type{};
    OnnxId domain{};
    OnnxId name{};
    OnnxRange inputs;      // of ids
    OnnxRange outputs;     // of ids
    OnnxRange attributes;  // of attributes
};

struct OnnxGraph {
    OnnxId name{};
    std::vector<OnnxNode> nodes;
    std::vector<OnnxTensor> initializers;
    std::vector<OnnxValue> inputs;
    std::vector<OnnxValue> outputs;
    std::vector<OnnxValue> values;  // value_info
};

struct OnnxOpset {
    OnnxId domain{};
    std::int64_t version = 0;
};

struct OnnxFunction {
    OnnxId name{};
    OnnxId domain{};
    OnnxId overload{};
    OnnxRange inputs;      // of ids
    OnnxRange outputs;     // of ids
    OnnxRange attributes;  // of ids: names without a default
    OnnxRange defaults;    // of attributes
    std::vector<OnnxOpset> opsets;
    std::vector<OnnxNode> nodes;
};

struct OnnxModel {
    std::int64_t ir_version = 0;
    std::string producer;  // name and version
    std::vector<OnnxOpset> opsets;
    std::vector<OnnxGraph> graphs;  // the main graph is the last one; bodies of If, Loop and Scan precede it
    std::vector<OnnxFunction> functions;
    OnnxNames names;
    std::vector<OnnxId> ids;
    std::vector<OnnxAttribute> attributes;
    std::vector<OnnxTensor> tensors;  // values of attributes
    std::vector<OnnxDim> dims;
    std::vector<std::int64_t> integers;
    std::vector<float> numbers;
    std::vector<std::string> texts;  // string attributes: bytes, not always text

    [[nodiscard]] const OnnxGraph& main() const { return graphs.back(); }
};

template <class T>
[[nodiscard]] std::span<const T> onnx_span(const std::vector<T>& array, OnnxRange range) {
    return std::span<const T>(array).subspan(range.begin, range.size);
}

// Reads a regular file through a memory map (the file must not shrink meanwhile). DataError says what is wrong and
// where.
[[nodiscard]] OnnxModel read_onnx(const std::string& path);
// Reads a serialised ModelProto.
[[nodiscard]] OnnxModel parse_onnx(std::span<const std::uint8_t> bytes);

}  // namespace flopcore
