#include "flopcore/tally.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "flopcore/error.hpp"

namespace flopcore {

ExprRef Tally::over_runs(ExprStore& exprs, const Frame& frame, ExprRef each) const {
    if (frame.index == 0 || each.is_small()) return exprs.mul(frame.times, each);
    return exprs.sum(each, texts_[frame.index], ExprRef(), frame.times);
}

void Tally::check_no_index(const ExprStore& exprs, ExprRef amount) const {
    if (amount.is_small() || std::ranges::all_of(frames_, [](const Frame& frame) { return frame.index == 0; })) return;
    for (const Symbol& symbol : exprs.free_symbols(amount))
        for (const Frame& frame : frames_)
            if (frame.index != 0 && texts_[frame.index] == symbol.name)
                throw GraphError("the dim '" + symbol.name + "' is the index of a loop, and stands outside of it too");
}

std::size_t Tally::memory_bytes() const {
    std::size_t total = exprs_.memory_bytes() + blocks_.capacity() * sizeof(TallyBlock) +
                        frames_.capacity() * sizeof(Frame) + entries_.memory_bytes() + amounts_.memory_bytes() +
                        extents_.capacity() * sizeof(Extent);
    for (const EntryKind& kind : kinds_)
        total += sizeof(EntryKind) + kind.rows.capacity() * sizeof(RowTag) + kind.parts.capacity() * sizeof(RowPart);
    return total;
}

std::string Tally::describe(const Entry& entry) const {
    const std::string_view scope = texts_[entry.scope], name = texts_[entry.name];
    std::string text = std::string(name_of(kind_of(entry).op)) + " node ";
    if (!scope.empty() || !name.empty())
        text += "'" + std::string(scope) + (!scope.empty() && !name.empty() ? "." : "") + std::string(name) + "' ";
    return text + "(#" + std::to_string(entry.site) + ")";
}

NodeKinds Tally::node_kinds() const {
    // How each block runs: a block stands after those it runs.
    std::vector<std::uint8_t> plain(blocks_.size()), recomputed(blocks_.size());
    plain.back() = 1;
    for (std::size_t block = blocks_.size(); block-- > 0;) {
        for (std::uint32_t i = blocks_[block].frames_begin; i < blocks_[block].frames_end; ++i) {
            const Frame& frame = frames_[i];
            const bool again = frame.kind == FrameKind::kRecompute;
            plain[frame.block] |= static_cast<std::uint8_t>(plain[block] && !again);
            recomputed[frame.block] |= static_cast<std::uint8_t>(recomputed[block] || (plain[block] && again));
        }
    }
    NodeKinds result;
    std::map<std::tuple<Op, Phase, DType, std::uint32_t, std::uint32_t>, std::uint32_t> known;
    const auto number = [&](std::uint32_t i, bool again) {
        const EntryKind& kind = kind_of(entries_[i]);
        const Phase phase = again && kind.phase == Phase::kForward ? Phase::kRecompute : kind.phase;
        const auto [place, fresh] = known.try_emplace({kind.op, phase, kind.dtypes.input, kind.variant, kind.origin},
                                                      static_cast<std::uint32_t>(result.kinds.size()));
        if (fresh) result.kinds.push_back({kind.op, phase, kind.dtypes.input, kind.variant, kind.origin, i, 0});
        ++result.kinds[place->second].n_entries;
        return place->second;
    };
    result.plain.assign(entries_.size(), kNoKind);
    if (std::ranges::find(recomputed, 1) != recomputed.end()) result.recomputed.assign(entries_.size(), kNoKind);
    for (std::size_t block = 0; block < blocks_.size(); ++block) {
        for (std::uint32_t i = blocks_[block].entries_begin; i < blocks_[block].entries_end; ++i) {
            if (plain[block]) result.plain[i] = number(i, false);
            if (recomputed[block]) result.recomputed[i] = number(i, true);
        }
    }
    return result;
}

}  // namespace flopcore
