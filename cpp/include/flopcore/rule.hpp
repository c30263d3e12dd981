// Op rules: data and pure functions that see shapes, dtypes and attributes of one node and nothing else.
// The table of all of them is ops/table.cpp; the specification is data/ops.toml.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flopcore/amount.hpp"
#include "flopcore/attributes.hpp"
#include "flopcore/charge.hpp"
#include "flopcore/dtype.hpp"
#include "flopcore/expr.hpp"
#include "flopcore/op.hpp"

namespace flopcore {

struct TensorView {  // of one input or output; dims is null when an optional input is not given
    const ExprRef* dims = nullptr;
    std::uint8_t rank = 0;
    DType dtype = DType::kFloat32;
    bool weight = false;  // in a weight slot, or a parameter
    ExprRef elements{};   // product of the dims, while counting
    [[nodiscard]] bool given() const { return dims != nullptr; }
    [[nodiscard]] ExprRef dim(int i) const { return dims[i < 0 ? rank + i : i]; }
    [[nodiscard]] std::span<const ExprRef> shape() const { return {dims, rank}; }
};

inline constexpr std::size_t kMaxRank = 64;

// Collects the output shapes of one node: begin(), then push() each dim, for every output in turn.
class ShapeWriter {
  public:
    ShapeWriter() { clear(); }
    ShapeWriter(const ShapeWriter&) = delete;
    ShapeWriter& operator=(const ShapeWriter&) = delete;
    ShapeWriter(ShapeWriter&&) = default;  // dims stay where they are
    ShapeWriter& operator=(ShapeWriter&&) = default;
    ~ShapeWriter() = default;

    void clear() {
        next_ = end_ = dims_.data();
        n_outputs_ = 0;
    }
    void begin(DType dtype) {
        if (static_cast<std::size_t>(dims_.data() + dims_.size() - next_) < kMaxRank || n_outputs_ == outputs_.size())
            [[unlikely]]
            grow();
        outputs_[n_outputs_++] = {static_cast<std::size_t>(next_ - dims_.data()), dtype};
        end_ = next_ + kMaxRank;
    }
    void push(ExprRef dim) {
        if (next_ == end_) [[unlikely]]
            throw ShapeError("a tensor has at most 64 dims");
        *next_++ = dim;
    }
    [[nodiscard]] std::size_t n_outputs() const { return n_outputs_; }
    [[nodiscard]] std::span<const ExprRef> dims(std::size_t output) const {
        const ExprRef* begin = dims_.data() + outputs_[output].begin;
        const ExprRef* end = output + 1 < n_outputs_ ? dims_.data() + outputs_[output + 1].begin : next_;
        return {begin, end};
    }
    [[nodiscard]] DType dtype(std::size_t output) const { return outputs_[output].dtype; }

  private:
    void grow() {
        const auto size = static_cast<std::size_t>(next_ - dims_.data());
        dims_.resize(2 * dims_.size());
        outputs_.resize(2 * outputs_.size());
        next_ = dims_.data() + size;
    }
    struct Output {
        std::size_t begin;
        DType dtype;
    };
    std::vector<ExprRef> dims_ = std::vector<ExprRef>(2 * kMaxRank);
    std::vector<Output> outputs_ = std::vector<Output>(4);
    ExprRef* next_ = nullptr;
    ExprRef* end_ = nullptr;  // of the room that the open output may take
    std::size_t n_outputs_ = 0;
};

struct OpRule;

// What a rule sees while it infers.
struct InferContext {
    ExprStore& exprs;
    AttrView attrs;
    std::span<const TensorView> inputs;
    ShapeWriter& out;
    const OpRule* rule = nullptr;
};

// Most rows one node and phase may emit.
inline constexpr std::size_t kMaxAmounts = 24;

// What a rule sees while it counts one phase, and where it leaves amounts: bases has room for kMaxAmounts.
struct CountContext {
    ExprStore& exprs;
    std::vector<Extent>& extents;
    const OpRule* rule = nullptr;
    AttrView attrs{};
    std::span<const TensorView> inputs{};
    TensorView y{};                         // the first output
    std::span<const TensorView> outputs{};  // all of them
    Phase phase = Phase::kForward;
    std::uint32_t element_bytes = 0;  // of all tensors, if that is one whole number and each is read once and in full
    std::uint32_t variant = 0;        // bits by Variant
    std::uint32_t n_amounts = 0;
    ExtentId n_extents = 0;
    ExprRef* bases = nullptr;
    alignas(8) std::array<AmountTag, kMaxAmounts> tags{};

    void emit(Feature feature, ExprRef base, ExtentId extent = kNoExtent) {
        if (base == ExprRef()) return;
        FLOPCORE_ASSERT(n_amounts < kMaxAmounts);
        bases[n_amounts] = base;
        tags[n_amounts++] = {feature, extent};
    }
    [[nodiscard]] ExtentId add_extent(const Extent& extent) {
        extents.push_back(extent);
        return ++n_extents;
    }
    void flag(Variant v) { variant |= 1U << static_cast<unsigned>(v); }
};

// Sizes that charges are proportional to, by Per.
using Sizes = std::array<ExprRef, kPerCount>;

// Dtype of an output: that of an input, a fixed one, or the one an attribute names.
enum class Result : std::uint8_t { kFirst, kSecond, kBool, kInt64, kAttr };

// Which inputs a rule of dtypes speaks of, by bit; kRest stands for all from the last one named.
struct DTypeRules {
    std::uint8_t alike = 0;     // one dtype
    std::uint8_t integers = 0;  // int or uint
    std::uint8_t bools = 0;
};

struct OpRule {
    Op op;
    std::uint8_t min_inputs;
    std::uint8_t max_inputs;         // 255: any number
    std::uint32_t weight_slots = 0;  // bits by input; bit 31 stands for all inputs from 31 on
    bool view = false;
    std::span<const AttrSpec> attrs{};
    void (*infer)(InferContext&) = nullptr;
    void (*count)(CountContext&) = nullptr;
    // For the shared rules: what they charge, flag and accept, and how a family measures its rows and taps.
    Charges charges{};
    Flags flags{};
    Result result = Result::kFirst;
    DTypeRules dtypes{};
    void (*measure)(CountContext&, Sizes&) = nullptr;
    bool gathers = false;           // reads what it gathers of its first input, not the whole of it
    std::uint32_t cache_slots = 0;  // inputs that hold keys and values of past tokens, as weight_slots

    [[nodiscard]] bool cache_slot(std::size_t input) const { return input < 32 && ((cache_slots >> input) & 1U) != 0; }
    [[nodiscard]] bool weight_slot(std::size_t input) const {
        return ((weight_slots >> (input < 31 ? input : 31)) & 1U) != 0;
    }
};

[[nodiscard]] const OpRule& rule_of(Op op);
// Throws UnsupportedOp, naming the op.
[[nodiscard]] Op op_from_name(std::string_view name);
[[nodiscard]] std::span<const OpRule> all_rules();

// Throws ShapeError when the dtypes of given inputs break the rule's.
void check_dtypes(const OpRule& rule, std::span<const TensorView> inputs);
// The features of one node by its rule, and its sizes.
void count_node(const OpRule& rule, CountContext& context);
// The sizes alone: at most kMaxSizes amounts.
inline constexpr std::size_t kMaxSizes = 7;
void count_sizes(const OpRule& rule, CountContext& context);

}  // namespace flopcore
