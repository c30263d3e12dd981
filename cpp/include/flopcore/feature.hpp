// What a convention may charge for, and the flags of a row. Order and names are those of data/ops.toml.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flopcore {

enum class Feature : std::uint8_t {
    kMac,
    kAdd,
    kMul,
    kDiv,
    kSqrt,
    kRsqrt,
    kExp,
    kLog,
    kTrig,
    kTanh,
    kErf,
    kPow,
    kCmp,
    kSelect,
    kRound,
    kIntOp,
    kRng,
    kGather,
    kMove,
    kAssign,
    kOutElems,
    kInElems,
    kWeightElems,
    kRows,
    kKernelElems,
    kOutputs,
    kBytesRead,
    kBytesWritten,
    kWeightBytes,
    kCacheBytes,
};

inline constexpr std::array<std::string_view, 30> kFeatures = {
    "mac",          "add",     "mul",        "div",           "sqrt",         "rsqrt",       "exp",          "log",
    "trig",         "tanh",    "erf",        "pow",           "cmp",          "select",      "round",        "int_op",
    "rng",          "gather",  "move",       "assign",        "out_elems",    "in_elems",    "weight_elems", "rows",
    "kernel_elems", "outputs", "bytes_read", "bytes_written", "weight_bytes", "cache_bytes",
};
inline constexpr std::size_t kFeatureCount = kFeatures.size();

enum class Phase : std::uint8_t { kForward, kGradInput, kGradWeight, kRecompute, kOptimizer };
inline constexpr std::array<std::string_view, 5> kPhases = {"forward", "grad_input", "grad_weight", "recompute",
                                                            "optimizer"};

// Flags of a row; a convention's match may require or forbid each.
enum class Variant : std::uint8_t {
    kBias,
    kGrouped,
    kCausal,
    kMask,
    kGqa,
    kTanh,
    kAffine,
    kTrain,
    kGlobal,
    kVector,
    kTransposed
};
inline constexpr std::array<std::string_view, 11> kVariants = {
    "bias", "grouped", "causal", "mask", "gqa", "tanh", "affine", "train", "global", "vector", "transposed"};

enum class ExtentKind : std::uint8_t { kCausal, kWindow, kPaddingTaps, kExperts, kCapacity, kSparsity, kDropout };
inline constexpr std::array<std::string_view, 7> kExtentKinds = {"causal",   "window",   "padding_taps", "experts",
                                                                 "capacity", "sparsity", "dropout"};

enum class Grade : std::uint8_t { kExact, kExpected, kBound };
inline constexpr std::array<std::string_view, 3> kGrades = {"exact", "expected", "bound"};

// Position of a name in one of the tables above.
template <std::size_t N>
[[nodiscard]] constexpr std::optional<std::uint8_t> index_of(const std::array<std::string_view, N>& names,
                                                             std::string_view name) {
    for (std::size_t i = 0; i < N; ++i)
        if (names[i] == name) return static_cast<std::uint8_t>(i);
    return std::nullopt;
}

}  // namespace flopcore
