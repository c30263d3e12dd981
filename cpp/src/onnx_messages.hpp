// The messages of onnx/onnx.proto (IR version 14), with only the fields that a count needs.
#pragma once

#include "flopcore/wire.hpp"

namespace flopcore::onnx_messages {

using enum WireKind;

inline constexpr WireMessage kModel("ModelProto", {{1, "ir_version", varint},
                                                   {2, "producer_name", bytes},
                                                   {3, "producer_version", bytes},
                                                   {7, "graph", bytes},
                                                   {8, "opset_import", bytes},
                                                   {25, "functions", bytes}});
inline constexpr WireMessage kOpset("OperatorSetIdProto", {{1, "domain", bytes}, {2, "version", varint}});
inline constexpr WireMessage kGraph("GraphProto", {{1, "node", bytes},
                                                   {2, "name", bytes},
                                                   {5, "initializer", bytes},
                                                   {11, "input", bytes},
                                                   {12, "output", bytes},
                                                   {13, "value_info", bytes},
                                                   {15, "sparse_initializer", bytes}});
inline constexpr WireMessage kNode("NodeProto", {{1, "input", bytes},
                                                 {2, "output", bytes},
                                                 {3, "name", bytes},
                                                 {4, "op_type", bytes},
                                                 {5, "attribute", bytes},
                                                 {7, "domain", bytes}});
inline constexpr WireMessage kAttribute("AttributeProto", {{1, "name", bytes},
                                                           {2, "f", fixed32},
                                                           {3, "i", varint},
                                                           {4, "s", bytes},
                                                           {5, "t", bytes},
                                                           {6, "g", bytes},
                                                           {7, "floats", fixed32s},
                                                           {8, "ints", varints},
                                                           {9, "strings", bytes},
                                                           {20, "type", varint},
                                                           {21, "ref_attr_name", bytes},
                                                           {22, "sparse_tensor", bytes}});
inline constexpr WireMessage kTensor("TensorProto", {{1, "dims", varints},
                                                     {2, "data_type", varint},
                                                     {4, "float_data", fixed32s},
                                                     {5, "int32_data", varints},
                                                     {7, "int64_data", varints},
                                                     {8, "name", bytes},
                                                     {9, "raw_data", bytes},
                                                     {14, "data_location", varint}});
inline constexpr WireMessage kSparse("SparseTensorProto", {{1, "values", bytes}, {3, "dims", varints}});
inline constexpr WireMessage kValue("ValueInfoProto", {{1, "name", bytes}, {2, "type", bytes}});
inline constexpr WireMessage kType("TypeProto", {{1, "tensor_type", bytes},
                                                 {4, "sequence_type", bytes},
                                                 {5, "map_type", bytes},
                                                 {7, "opaque_type", bytes},
                                                 {8, "sparse_tensor_type", bytes},
                                                 {9, "optional_type", bytes}});
inline constexpr WireMessage kTensorType("TypeProto.Tensor", {{1, "elem_type", varint}, {2, "shape", bytes}});
inline constexpr WireMessage kShape("TensorShapeProto", {{1, "dim", bytes}});
inline constexpr WireMessage kDim("TensorShapeProto.Dimension", {{1, "dim_value", varint}, {2, "dim_param", bytes}});
inline constexpr WireMessage kFunction("FunctionProto", {{1, "name", bytes},
                                                         {4, "input", bytes},
                                                         {5, "output", bytes},
                                                         {6, "attribute", bytes},
                                                         {7, "node", bytes},
                                                         {9, "opset_import", bytes},
                                                         {10, "domain", bytes},
                                                         {11, "attribute_proto", bytes},
                                                         {13, "overload", bytes}});

}  // namespace flopcore::onnx_messages
