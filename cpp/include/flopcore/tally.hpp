// Tally: what a walk yields. Exact, convention-free rows in a tree of frames; it knows no graph and no price.
// A block is walked once; frames say how often its rows stand in its caller, so repeats share their rows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flopcore/amount.hpp"
#include "flopcore/column.hpp"
#include "flopcore/dtype.hpp"
#include "flopcore/expr.hpp"
#include "flopcore/feature.hpp"
#include "flopcore/ids.hpp"
#include "flopcore/op.hpp"
#include "flopcore/text_pool.hpp"

namespace flopcore {

enum class FrameKind : std::uint8_t { kCall, kLoop, kBranch, kRecompute };
inline constexpr std::array<std::string_view, 4> kFrameKinds = {"call", "loop", "branch", "recompute"};

struct RowDTypes {
    DType input, weight, accumulate, output;
    friend bool operator==(RowDTypes, RowDTypes) = default;
};

// What the rows of entries have in common but for their amounts; a million equal layers have one kind.
struct EntryKind {
    Op op;
    Phase phase;
    RowDTypes dtypes;
    std::uint32_t variant;
    std::uint32_t origin;  // text
    std::vector<RowTag> rows;
    std::vector<RowPart> parts;  // of the bases of the rows
    [[nodiscard]] std::span<const RowPart> parts_of(const RowTag& row) const {
        return std::span(parts).subspan(row.begin, row.end - row.begin);
    }
};

// The rows of one site and phase: one record that is always read whole (hence not split into columns). Row i is of
// what rows[i] of the kind says: the sum of its parts is its base, for a part amount(entry, part) times its scale;
// where rows[i].extent is k > 0, its extent is extents()[extents_begin + k - 1].
struct Entry {
    NodeId site;
    std::uint32_t name, scope;  // texts
    std::uint32_t kind;         // in kinds()
    std::uint32_t amounts_begin, extents_begin;
};

// `times` runs of a block inside another. Blocks are positions in Tally::blocks(). The branches of one site lie side by
// side: one arm of them runs. The rows of a recompute frame are of phase recompute, and it owns no weights.
struct Frame {
    std::uint32_t parent, block;
    FrameKind kind;
    Params params;
    ExprRef times;
    std::uint32_t index;                  // text: the symbol that counts the runs from 0, in the amounts of the block
    std::uint32_t arm;                    // of a branch
    std::optional<Rational> probability;  // of a branch
    NodeId site;
    std::uint32_t scope;  // text, a pattern such as layers.[0..31]
};

struct TallyBlock {
    std::uint32_t name;  // text
    std::uint32_t entries_begin, entries_end;
    std::uint32_t frames_begin, frames_end;
    ExprRef parameters;  // of the block and all it calls
    ExprRef active;      // the parameters that one token goes through
};

// What nodes have in common that a convention cannot tell apart: kinds of entries without their features and all
// dtypes.
struct NodeKind {
    Op op;
    Phase phase;
    DType dtype;  // of the first input
    std::uint32_t variant;
    std::uint32_t origin;   // text
    std::uint32_t example;  // the first entry of the kind
    std::uint32_t n_entries;
};

inline constexpr std::uint32_t kNoKind = ~0U;

struct NodeKinds {
    std::vector<NodeKind> kinds;            // of the nodes that run, in the order they are met
    std::vector<std::uint32_t> plain;       // kind of each entry, kNoKind where it does not run
    std::vector<std::uint32_t> recomputed;  // the same for runs within a recomputation; empty if there is none
};

class Tally {
  public:
    // Callees before callers; the last block is the program.
    [[nodiscard]] std::span<const TallyBlock> blocks() const { return blocks_; }
    [[nodiscard]] std::span<const Frame> frames() const { return frames_; }
    [[nodiscard]] std::span<const Entry> entries() const { return entries_.span(); }
    [[nodiscard]] std::span<const Extent> extents() const { return extents_; }
    [[nodiscard]] std::span<const EntryKind> kinds() const { return kinds_; }
    [[nodiscard]] const EntryKind& kind_of(const Entry& entry) const { return kinds_[entry.kind]; }
    [[nodiscard]] std::span<const ExprRef> amounts() const { return amounts_.span(); }
    [[nodiscard]] ExprRef amount(const Entry& entry, const RowPart& part) const {
        return amounts_[entry.amounts_begin + part.position];
    }
    [[nodiscard]] const ExprStore& exprs() const { return exprs_; }
    [[nodiscard]] std::string_view name_of(Op op) const {
        return is_user(op) ? std::string_view(user_ops_[static_cast<std::size_t>(op) - kOpCount]) : op_name(op);
    }
    [[nodiscard]] const TextPool& texts() const { return texts_; }
    [[nodiscard]] ExprRef parameters() const { return blocks_.back().parameters; }
    [[nodiscard]] ExprRef active_parameters() const { return blocks_.back().active; }
    [[nodiscard]] std::size_t memory_bytes() const;  // beside texts
    // What all runs of a frame amount to when one amounts to `each`, both in `exprs`, a copy of exprs() or more.
    [[nodiscard]] ExprRef over_runs(ExprStore& exprs, const Frame& frame, ExprRef each) const;
    // Throws GraphError if the index of a loop stands in an amount of the whole graph.
    void check_no_index(const ExprStore& exprs, ExprRef amount) const;
    // "conv node 'enc.3.conv' (#412)"
    [[nodiscard]] std::string describe(const Entry& entry) const;
    [[nodiscard]] NodeKinds node_kinds() const;

  private:
    friend class Walker;
    ExprStore exprs_;
    TextPool texts_;
    std::vector<TallyBlock> blocks_;
    std::vector<Frame> frames_;
    std::vector<std::string> user_ops_;  // that of op kOpCount + i
    Column<Entry> entries_;
    Column<ExprRef> amounts_;
    std::vector<EntryKind> kinds_;
    std::vector<Extent> extents_;
};

}  // namespace flopcore
