// The ops that have a rule, in the order of data/ops.toml, and kCall, which has a frame instead.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace flopcore {

enum class Op : std::uint16_t {
    kInput,
    kParameter,
    kConstant,
    kMatmul,
    kLinear,
    kConv,
    kAttention,
    kAdd,
    kSub,
    kMul,
    kDiv,
    kRelu,
    kGelu,
    kSilu,
    kSigmoid,
    kTanh,
    kCast,
    kSoftmax,
    kBatchNorm,
    kLayerNorm,
    kRmsNorm,
    kMaxPool,
    kAveragePool,
    kAdaptiveAveragePool,
    kReduceSum,
    kReduceMean,
    kReduceMax,
    kReshape,
    kFlatten,
    kTranspose,
    kConcat,
    kSlice,
    kSplit,
    kEmbedding,
    kCall,
};
inline constexpr std::size_t kOpCount = static_cast<std::size_t>(Op::kCall) + 1;

inline constexpr std::array<std::string_view, kOpCount> kOpNames = {
    "input",      "parameter",   "constant",   "matmul",    "linear",       "conv",
    "attention",  "add",         "sub",        "mul",       "div",          "relu",
    "gelu",       "silu",        "sigmoid",    "tanh",      "cast",         "softmax",
    "batch_norm", "layer_norm",  "rms_norm",   "max_pool",  "average_pool", "adaptive_average_pool",
    "reduce_sum", "reduce_mean", "reduce_max", "reshape",   "flatten",      "transpose",
    "concat",     "slice",       "split",      "embedding", "call",
};
[[nodiscard]] constexpr std::string_view op_name(Op op) { return kOpNames[static_cast<std::size_t>(op)]; }
[[nodiscard]] constexpr bool is_leaf(Op op) { return op <= Op::kConstant; }

}  // namespace flopcore
