// Attributes of nodes: interned sets of (key, values), where a value is an ExprRef (an int, a dim, or the index of
// a choice). Equal sets share one id, so a million equal convolutions hold one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "flopcore/expr.hpp"

namespace flopcore {

enum class AttrKey : std::uint8_t {
    kStride,
    kDilation,
    kPadding,
    kGroups,
    kCausal,
    kApproximate,
    kDtype,
    kAxis,
    kMode,
    kNormalizedNdim,
    kKernel,
    kCeilMode,
    kOutputSize,
    kAxes,
    kKeepdims,
    kShape,
    kEndAxis,
    kPermutation,
    kStart,
    kStop,
    kStep,
    kSizes,
    kAutoPadding,
    kOutputPadding,
    kLhsContract,
    kRhsContract,
    kLhsBatch,
    kRhsBatch,
    kRagged,
    kSparse,
    kNnz,
    kDensity,
    kPattern,
    kEquation,
    kPath,
    kBlockSize,
    kWindowLeft,
    kWindowRight,
    kSinkTokens,
    kSoftcap,
    kAccumulate,
    kSoftplus,
    kChunk,
    kCombine,
    kAlgorithm,
    kTopK,
    kCapacity,
    kScoring,
    kDispatch,
    kUnitDiagonal,
    kBounds,
    kSize,
    kReduction,
    kNorm,
    kActivation,
    kSamplingRatio,
    kRepeats,
    kBatchDims,
    kBlock,
    kTimeAxis,
    kOnesided,
    kRatio,
    kBlocks,
    kAntialias,
};
inline constexpr auto kAttrKeys = std::to_array<std::string_view>({
    // clang-format off
    "stride",
    "dilation",
    "padding",
    "groups",
    "causal",
    "approximate",
    "dtype",
    "axis",
    "mode",
    "normalized_ndim",
    "kernel",
    "ceil_mode",
    "output_size",
    "axes",
    "keepdims",
    "shape",
    "end_axis",
    "permutation",
    "start",
    "stop",
    "step",
    "sizes",
    "auto_padding",
    "output_padding",
    "lhs_contract",
    "rhs_contract",
    "lhs_batch",
    "rhs_batch",
    "ragged",
    "sparse",
    "nnz",
    "density",
    "pattern",
    "equation",
    "path",
    "block_size",
    "window_left",
    "window_right",
    "sink_tokens",
    "softcap",
    "accumulate",
    "softplus",
    "chunk",
    "combine",
    "algorithm",
    "top_k",
    "capacity",
    "scoring",
    "dispatch",
    "unit_diagonal",
    "bounds",
    "size",
    "reduction",
    "norm",
    "activation",
    "sampling_ratio",
    "repeats",
    "batch_dims",
    "block",
    "time_axis",
    "onesided",
    "ratio",
    "blocks",
    "antialias",
    // clang-format on
});

// kText holds one value per character; kRatio is an exact number, given as a Fraction or as text.
enum class AttrKind : std::uint8_t { kInt, kInts, kBool, kDim, kDims, kDtype, kChoice, kText, kRatio };

// A scalar without a value when it is left out.
inline constexpr std::int64_t kNoFallback = INT64_MIN;

// What one op accepts under a key. Choices are indexed by position.
struct AttrSpec {
    AttrKey key;
    AttrKind kind;
    bool required = false;
    std::int64_t fallback = 0;                    // value when absent (scalars only)
    std::span<const std::string_view> choices{};  // for kChoice
};

// What a caller passes: a word, or numbers (one for a scalar).
struct AttrInput {
    std::string_view name;
    std::variant<std::string_view, std::vector<ExprRef>> value;
};

// A short-lived view of one interned set.
class AttrView {
  public:
    struct Item {
        AttrKey key;
        std::uint32_t begin;
        std::uint32_t count;
        friend bool operator==(const Item&, const Item&) = default;
    };
    AttrView() = default;
    AttrView(std::span<const Item> items, const ExprRef* values) : items_(items), values_(values) {}

    [[nodiscard]] std::optional<std::span<const ExprRef>> list(AttrKey key) const {
        for (const Item& item : items_)
            if (item.key == key) return std::span<const ExprRef>(values_ + item.begin, item.count);
        return std::nullopt;
    }
    [[nodiscard]] std::optional<ExprRef> scalar(AttrKey key) const {
        const auto values = list(key);
        if (!values || values->empty()) return std::nullopt;
        return values->front();
    }
    // A scalar that the specification guarantees to be a small integer (kInt, kBool, kDtype, kChoice).
    [[nodiscard]] std::int64_t integer(AttrKey key) const { return scalar(key).value_or(ExprRef()).value(); }
    [[nodiscard]] std::span<const Item> items() const { return items_; }

  private:
    std::span<const Item> items_{};
    const ExprRef* values_ = nullptr;
};

class AttrPool {
  public:
    AttrPool();
    // Checks names, kinds and choices against the specs (absent scalars get their fallback) and interns the set.
    [[nodiscard]] std::uint32_t intern(std::span<const AttrSpec> specs, std::span<const AttrInput> inputs);
    [[nodiscard]] AttrView view(std::uint32_t set) const {
        return {std::span<const AttrView::Item>(items_.data() + begin_[set], begin_[set + 1] - begin_[set]),
                values_.data()};
    }
    [[nodiscard]] std::size_t size() const { return begin_.size() - 1; }
    [[nodiscard]] std::span<ExprRef> values() { return values_; }
    [[nodiscard]] std::span<const ExprRef> values() const { return values_; }
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    std::vector<std::uint32_t> begin_;  // set -> first item; one past the end closes it
    std::vector<AttrView::Item> items_;
    std::vector<ExprRef> values_;
    std::unordered_map<std::string, std::uint32_t> known_;  // bytes of the set -> id
};

}  // namespace flopcore
