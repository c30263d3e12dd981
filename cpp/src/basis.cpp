#include "flopcore/basis.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "flopcore/accumulator.hpp"
#include "flopcore/error.hpp"

namespace flopcore {
namespace {

using Vector = std::vector<Rational>;  // a weight under each choice
struct Before {
    bool operator()(const Vector& a, const Vector& b) const {
        return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                            [](Rational x, Rational y) { return compare(x, y) < 0; });
    }
};

Rational reciprocal(Rational a) { return make_rational(a.num < 0 ? -a.den : a.den, a.num < 0 ? -a.num : a.num); }
bool is_zero(const Vector& v) {
    return std::ranges::all_of(v, [](Rational w) { return w.num == 0; });
}

class Folder {
  public:
    Folder(const Tally& tally, std::span<const Convention* const> choices)
        : tally_(tally), choices_(choices), kinds_(tally.node_kinds()) {
        basis_.exprs = tally.exprs();
        (void)intern(Vector(choices.size()));  // nothing is charged: id 0
        known_.resize(kinds_.kinds.size());
    }

    Basis run() && {
        const bool recomputes = std::ranges::any_of(
            tally_.frames(), [](const Frame& frame) { return frame.kind == FrameKind::kRecompute; });
        for (const TallyBlock& block : tally_.blocks()) {
            fold_block(block, blocks_, false);
            if (recomputes) fold_block(block, recomputed_, true);
        }
        for (const auto& [id, column] : blocks_.back()) tally_.check_no_index(basis_.exprs, column);
        write(blocks_.back());
        return std::move(basis_);
    }

  private:
    using Columns = std::map<std::uint32_t, ExprRef>;  // by the id of their weights

    std::uint32_t intern(Vector vector) {
        const auto [place, fresh] = ids_.try_emplace(std::move(vector), static_cast<std::uint32_t>(vectors_.size()));
        if (fresh) vectors_.push_back(&place->first);
        return place->second;
    }

    void add(Columns& columns, std::uint32_t id, ExprRef amount) {
        if (id == 0 || amount == ExprRef()) return;
        ExprRef& place = columns[id];
        place = basis_.exprs.add(place, amount);
    }

    void fold_block(const TallyBlock& block, std::vector<Columns>& blocks, bool recompute) {
        Columns columns = fold_rows(block, recompute);
        const std::span<const Frame> frames = tally_.frames();
        for (std::uint32_t i = block.frames_begin; i < block.frames_end;) {
            if (frames[i].kind == FrameKind::kBranch) {
                std::uint32_t last = i;
                while (last < block.frames_end && frames[last].site == frames[i].site) ++last;
                fold_branch(columns, blocks, frames.subspan(i, last - i));
                i = last;
                continue;
            }
            const auto& from = frames[i].kind == FrameKind::kRecompute ? recomputed_ : blocks;
            for (const auto& [id, column] : from[frames[i].block]) fold_runs(columns, frames[i], id, column);
            ++i;
        }
        blocks.push_back(std::move(columns));
    }

    // All runs of a frame; a loop is run once by the choices that say so.
    void fold_runs(Columns& columns, const Frame& frame, std::uint32_t id, ExprRef column) {
        if (frame.kind != FrameKind::kLoop) return add(columns, id, tally_.over_runs(basis_.exprs, frame, column));
        Vector every = *vectors_[id], once = every;
        for (std::size_t c = 0; c < choices_.size(); ++c) (choices_[c]->loops_once ? every : once)[c] = {};
        add(columns, intern(std::move(every)), tally_.over_runs(basis_.exprs, frame, column));
        Frame first = frame;
        first.times = basis_.exprs.min(frame.times, ExprRef::small(1));
        add(columns, intern(std::move(once)), tally_.over_runs(basis_.exprs, first, column));
    }

    Columns fold_rows(const TallyBlock& block, bool recompute) {
        const std::vector<std::uint32_t>& kinds = recompute ? kinds_.recomputed : kinds_.plain;
        if (kinds.empty()) return {};
        std::map<std::uint32_t, Accumulator> sums;
        for (std::uint32_t at = block.entries_begin; at < block.entries_end; ++at) {
            if (kinds[at] == kNoKind) continue;
            const Entry& entry = tally_.entries()[at];
            const EntryKind& entry_kind = tally_.kind_of(entry);
            for (const RowTag& row : entry_kind.rows)
                for (const RowPart& part : entry_kind.parts_of(row)) {
                    const ExprRef amount = tally_.amount(entry, part);
                    const auto collect = [&](std::size_t side, ExprRef all) {
                        const std::uint32_t id = weights(kinds[at], row.feature, side);
                        if (id != 0) sums[id].add(basis_.exprs, all, part.scale, true);
                    };
                    if (row.extent == kNoExtent) {
                        collect(0, amount);
                        continue;
                    }
                    const Extent& extent = tally_.extents()[entry.extents_begin + row.extent - 1U];
                    const std::size_t kind = 2 * static_cast<std::size_t>(extent.kind);
                    collect(1 + kind, basis_.exprs.mul(amount, extent.nominal));
                    collect(2 + kind, basis_.exprs.mul(amount, extent.used));
                }
        }
        Columns columns;
        for (const auto& [id, sum] : sums) add(columns, id, sum.total(basis_.exprs, 1));
        return columns;
    }

    // Side 0: no extent; 1 + 2 k: the nominal size of extent kind k; 2 + 2 k: its used size.
    std::uint32_t weights(std::uint32_t kind, Feature feature, std::size_t side) {
        constexpr std::size_t kSides = 1 + 2 * kExtentKinds.size();
        std::vector<std::uint32_t>& known = known_[kind];
        if (known.empty()) known.assign(kFeatureCount * kSides, kUnknown);
        std::uint32_t& id = known[static_cast<std::size_t>(feature) * kSides + side];
        if (id == kUnknown) id = intern(weigh(kinds_.kinds[kind], feature, side));
        return id;
    }

    [[nodiscard]] Vector weigh(const NodeKind& kind, Feature feature, std::size_t side) const {
        Vector vector(choices_.size());
        for (std::size_t c = 0; c < choices_.size(); ++c) {
            const Convention& choice = *choices_[c];
            if (!((choice.phases >> static_cast<unsigned>(kind.phase)) & 1U)) continue;
            if (side != 0 && (((choice.used_extents >> ((side - 1) / 2)) & 1U) != 0) != (side % 2 == 0)) continue;
            vector[c] = weights_of(choice, kind, tally_.texts()[kind.origin])[static_cast<std::size_t>(feature)];
        }
        return vector;
    }

    // Weighs each arm under each choice: by its probability, or as the one that is priced, or in full. Where it depends
    // on dims which arm is priced, the price is a column of its own.
    void fold_branch(Columns& columns, const std::vector<Columns>& blocks, std::span<const Frame> arms) {
        std::vector<Vector> shares(arms.size(), Vector(choices_.size()));
        for (std::size_t c = 0; c < choices_.size(); ++c) {
            const Branches rule = choices_[c]->branches;
            if (rule == Branches::kMax || rule == Branches::kMin) {
                choose_arm(columns, blocks, arms, c, shares);
                continue;
            }
            for (std::size_t arm = 0; arm < arms.size(); ++arm) {
                if (rule == Branches::kProbability && !arms[arm].probability)
                    throw ConventionError(choices_[c]->name + ": the arms of an if have no probabilities");
                shares[arm][c] = rule == Branches::kBoth ? Rational{1, 1} : *arms[arm].probability;
            }
        }
        for (std::size_t arm = 0; arm < arms.size(); ++arm)
            for (const auto& [id, column] : blocks[arms[arm].block]) {
                Vector vector = *vectors_[id];
                for (std::size_t c = 0; c < vector.size(); ++c) vector[c] = mul(vector[c], shares[arm][c]);
                add(columns, intern(std::move(vector)), column);
            }
    }

    void choose_arm(Columns& columns, const std::vector<Columns>& blocks, std::span<const Frame> arms, std::size_t c,
                    std::vector<Vector>& shares) {
        ExprStore& exprs = basis_.exprs;
        const bool dearest = choices_[c]->branches == Branches::kMax;
        std::vector<ExprRef> prices;
        for (const Frame& arm : arms) {
            ExprRef price;
            for (const auto& [id, column] : blocks[arm.block])
                price = exprs.add(price, exprs.scale(column, (*vectors_[id])[c]));
            prices.push_back(price);
        }
        for (std::size_t arm = 0; arm < arms.size(); ++arm) {
            const bool wins = std::ranges::all_of(prices, [&](ExprRef other) {
                return exprs.less_equal(dearest ? other : prices[arm], dearest ? prices[arm] : other) == true;
            });
            if (!wins) continue;
            shares[arm][c] = {1, 1};
            return;
        }
        ExprRef extreme = prices.front();
        for (const ExprRef price : prices) extreme = dearest ? exprs.max(extreme, price) : exprs.min(extreme, price);
        Vector alone(choices_.size());
        alone[c] = {1, 1};
        add(columns, intern(std::move(alone)), extreme);
    }

    // Columns in one proportion are one column.
    void write(const Columns& columns) {
        std::map<Vector, ExprRef, Before> merged;
        for (const auto& [id, column] : columns) {
            Vector vector = *vectors_[id];
            const Rational first = *std::ranges::find_if(vector, [](Rational w) { return w.num != 0; });
            for (Rational& weight : vector) weight = mul(weight, reciprocal(first));
            ExprRef& place = merged[std::move(vector)];
            place = basis_.exprs.add(place, basis_.exprs.scale(column, first));
        }
        std::erase_if(merged, [](const auto& each) { return each.second == ExprRef(); });
        basis_.weights.assign(choices_.size(), {});
        if (merged.size() > kMaxColumns) return write_reduced(merged);
        for (const auto& [vector, column] : merged) {
            basis_.columns.push_back(column);
            for (std::size_t c = 0; c < choices_.size(); ++c) basis_.weights[c].push_back(vector[c]);
        }
    }

    // The reduced row echelon form of the weights: row k has 1 at its pivot and 0 at the other pivots, so that column k
    // is the price under the choice at that pivot.
    void write_reduced(const std::map<Vector, ExprRef, Before>& columns) {
        std::vector<std::pair<std::size_t, Vector>> rows;
        for (const auto& [given, column] : columns) {
            Vector vector = given;
            for (const auto& [pivot, row] : rows) subtract(vector, row, vector[pivot]);
            if (is_zero(vector)) continue;
            const auto at = std::ranges::find_if(vector, [](Rational w) { return w.num != 0; });
            const auto pivot = static_cast<std::size_t>(at - vector.begin());
            const Rational scale = reciprocal(*at);
            for (Rational& weight : vector) weight = mul(weight, scale);
            for (auto& [other, row] : rows) subtract(row, vector, row[pivot]);
            rows.emplace_back(pivot, std::move(vector));
        }
        if (rows.size() > kMaxColumns)
            throw ConventionError("the choices need " + std::to_string(rows.size()) + " columns, a basis has at most " +
                                  std::to_string(kMaxColumns) + "; fold fewer choices at once");
        std::ranges::sort(rows, {}, &std::pair<std::size_t, Vector>::first);
        for (const auto& [pivot, row] : rows) {
            ExprRef price;
            for (const auto& [vector, column] : columns)
                price = basis_.exprs.add(price, basis_.exprs.scale(column, vector[pivot]));
            basis_.columns.push_back(price);
            for (std::size_t c = 0; c < choices_.size(); ++c) basis_.weights[c].push_back(row[c]);
        }
    }

    static void subtract(Vector& from, const Vector& row, Rational factor) {
        if (factor.num == 0) return;
        factor.num = -factor.num;
        for (std::size_t i = 0; i < from.size(); ++i) from[i] = flopcore::add(from[i], mul(row[i], factor));
    }

    static constexpr std::uint32_t kUnknown = 0xffffffffU;
    const Tally& tally_;
    std::span<const Convention* const> choices_;
    NodeKinds kinds_;
    std::map<Vector, std::uint32_t, Before> ids_;
    std::vector<const Vector*> vectors_;             // by id; keys of ids_
    std::vector<std::vector<std::uint32_t>> known_;  // ids by kind, feature and side
    std::vector<Columns> blocks_, recomputed_;       // what one run of each block amounts to
    Basis basis_;
};

}  // namespace

Basis make_basis(const Tally& tally, std::span<const Convention* const> choices) {
    return Folder(tally, choices).run();
}

}  // namespace flopcore
