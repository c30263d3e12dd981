#include "flopcore/convention.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "flopcore/accumulator.hpp"
#include "flopcore/error_context.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kMaxModules = 1'000'000;  // module paths in one breakdown

using ScaledWeights = std::array<Int128, kFeatureCount>;  // numerators over the common denominator

bool matches_origin(const std::vector<std::string>& origins, std::string_view origin) {
    return origins.empty() || std::ranges::any_of(origins, [&](const std::string& pattern) {
               return pattern.ends_with('*')
                          ? origin.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1))
                          : origin == pattern;
           });
}

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
    return list.empty() || std::ranges::find(list, value) != list.end();
}

// All but the op.
bool matches(const Override& over, std::uint32_t variant, DType dtype, Phase phase, std::string_view origin) {
    return (variant & over.required) == over.required && (variant & over.forbidden) == 0 &&
           contains(over.dtypes, dtype) && contains(over.phases, phase) && matches_origin(over.origins, origin);
}

// n to so many significant digits.
Int128 rounded(Int128 n, std::uint32_t digits) {
    Int128 limit = 1, unit = 1;
    for (std::uint32_t i = 0; i < digits; ++i) limit *= 10;
    while (n / unit >= limit) unit *= 10;
    for (;;) {  // a number such as 9999.6 gains a digit
        const Int128 whole = n / unit, twice = 2 * (n % unit);
        const Int128 result = whole + (twice > unit || (twice == unit && whole % 2 == 1) ? 1 : 0);
        if (result < limit || unit == 1) return checked_mul(result, unit);
        unit *= 10;
    }
}

class Pricer {
  public:
    Pricer(const Tally& tally, const Convention& convention, GroupBy by)
        : tally_(tally), convention_(convention), by_(by) {
        cost_.exprs = tally.exprs();
        denominator_ = common_denominator();
        scaled_.push_back(scale(convention.weights));
        for (const Override& over : convention.overrides) scaled_.push_back(scale(over.weights));
        plain_.resize(tally.kinds().size());
        again_.resize(tally.kinds().size());
        if (by == GroupBy::kKind) kinds_ = tally.node_kinds();
        for (std::uint32_t i = 0; i < convention.overrides.size(); ++i)
            for (std::size_t op = 0; op <= kOpCount; ++op)
                if (contains(convention.overrides[i].ops, static_cast<Op>(op))) candidates_[op].push_back(i);
    }

    Cost run() && {
        const bool recomputes = std::ranges::any_of(
            tally_.frames(), [](const Frame& frame) { return frame.kind == FrameKind::kRecompute; });
        for (const TallyBlock& block : tally_.blocks()) {
            price_block(block, blocks_, false);
            if (recomputes) price_block(block, recomputed_, true);
        }
        for (auto& [name, value] : blocks_.back()) {
            cost_.total = cost_.exprs.add(cost_.total, value);
            if (by_ != GroupBy::kNone) cost_.groups.emplace_back(name, value);
        }
        tally_.check_no_index(cost_.exprs, cost_.total);
        return std::move(cost_);
    }

  private:
    using Groups = std::map<std::string, ExprRef>;

    // Appends what one run of a block costs; blocks holds that of all it runs. Within a recomputation, forward rows are
    // of phase recompute.
    void price_block(const TallyBlock& block, std::vector<Groups>& blocks, bool recompute) {
        Groups groups = price_rows(block, recompute);
        for (std::uint32_t i = block.frames_begin; i < block.frames_end;) {
            const Frame& frame = tally_.frames()[i];
            with_context([&] { return describe(frame); },
                         [&] {
                             if (frame.kind == FrameKind::kBranch) {
                                 i = merge_branch(groups, blocks, i, block.frames_end);
                                 return;
                             }
                             const auto& from = frame.kind == FrameKind::kRecompute ? recomputed_ : blocks;
                             merge(groups, of_runs(from[frame.block], frame), text(frame.scope));
                             ++i;
                         });
        }
        blocks.push_back(std::move(groups));
    }

    [[nodiscard]] std::string text(std::uint32_t id) const { return std::string(tally_.texts()[id]); }
    [[nodiscard]] std::string describe(const Frame& frame) const {
        return std::string(kFrameKinds[static_cast<std::size_t>(frame.kind)]) + " of '" +
               text(tally_.blocks()[frame.block].name) + "' (#" + std::to_string(frame.site) + ")";
    }

    // What all runs of a frame cost.
    Groups of_runs(const Groups& each, const Frame& frame) {
        Groups all;
        for (const auto& [name, value] : each) all[name] = over_runs(frame, value);
        return all;
    }

    ExprRef over_runs(const Frame& frame, ExprRef each) {
        if (!convention_.loops_once || frame.kind != FrameKind::kLoop)
            return tally_.over_runs(cost_.exprs, frame, each);
        Frame once = frame;
        once.times = cost_.exprs.min(frame.times, ExprRef::small(1));
        return tally_.over_runs(cost_.exprs, once, each);
    }

    // Prices the arms of one site, from frame `begin` on; returns the frame after them.
    std::uint32_t merge_branch(Groups& into, const std::vector<Groups>& blocks, std::uint32_t begin,
                               std::uint32_t end) {
        const std::span<const Frame> frames = tally_.frames();
        std::uint32_t last = begin;
        while (last < end && frames[last].site == frames[begin].site && frames[last].kind == FrameKind::kBranch) ++last;
        const auto arms = frames.subspan(begin, last - begin);
        if (convention_.branches == Branches::kMax || convention_.branches == Branches::kMin) {
            merge_extreme(into, blocks, arms);
            return last;
        }
        for (const Frame& arm : arms) {
            Groups groups = of_runs(blocks[arm.block], arm);
            if (convention_.branches == Branches::kProbability) {
                if (!arm.probability)
                    throw ConventionError(
                        "the arms have no probabilities; give them in the graph, or choose a convention "
                        "whose branches are max, min or both");
                for (auto& [name, value] : groups) value = cost_.exprs.scale(value, *arm.probability);
            }
            merge(into, groups, text(arm.scope));
        }
        return last;
    }

    // The dearest or the cheapest arm, as the prices are; an expression where that depends on dims.
    void merge_extreme(Groups& into, const std::vector<Groups>& blocks, std::span<const Frame> arms) {
        ExprStore& exprs = cost_.exprs;
        const bool dearest = convention_.branches == Branches::kMax;
        std::vector<ExprRef> totals;
        for (const Frame& arm : arms) {
            ExprRef total;
            for (const auto& [name, value] : blocks[arm.block]) total = exprs.add(total, value);
            totals.push_back(over_runs(arm, total));
        }
        for (std::size_t i = 0; i < arms.size(); ++i) {
            const bool wins = std::ranges::all_of(totals, [&](ExprRef other) {
                return exprs.less_equal(dearest ? other : totals[i], dearest ? totals[i] : other) == true;
            });
            if (wins) return merge(into, of_runs(blocks[arms[i].block], arms[i]), text(arms[i].scope));
        }
        if (by_ != GroupBy::kNone)
            throw ConventionError("which arm is the " + std::string(dearest ? "dearest" : "cheapest") +
                                  " depends on dims, so that the parts cannot be told; bind the dims in count(at=)");
        ExprRef extreme = totals.front();
        for (const ExprRef total : totals) extreme = dearest ? exprs.max(extreme, total) : exprs.min(extreme, total);
        ExprRef& place = into[std::string()];
        place = exprs.add(place, extreme);
    }

    Int128 common_denominator() const {
        Int128 common = 1;
        const auto include = [&](const Weights& weights) {
            for (const Rational& w : weights) common = checked_mul(common, make_rational(w.den, common).num);
        };
        include(convention_.weights);
        for (const Override& over : convention_.overrides) include(over.weights);
        return common;
    }

    [[nodiscard]] ScaledWeights scale(const Weights& weights) const {
        ScaledWeights scaled{};
        for (std::size_t i = 0; i < kFeatureCount; ++i)
            scaled[i] = checked_mul(weights[i].num, denominator_ / weights[i].den);
        return scaled;
    }

    // Index in scaled_: 0 for the default, 1 + i for override i.
    [[nodiscard]] std::size_t weights_of(const EntryKind& kind, Phase phase) const {
        for (const std::uint32_t i : candidates_[op_row(kind.op)]) {
            if (matches(convention_.overrides[i], kind.variant, kind.dtypes.input, phase, tally_.texts()[kind.origin]))
                return i + 1;
        }
        return 0;
    }

    // A small integer that names the group of a row; group_name() spells it.
    [[nodiscard]] std::uint32_t group_key(std::uint32_t at, Phase phase, Feature feature, bool recompute) const {
        const Entry& entry = tally_.entries()[at];
        switch (by_) {
            case GroupBy::kOp:
                return static_cast<std::uint32_t>(tally_.kind_of(entry).op);
            case GroupBy::kModule:
                return entry.scope;
            case GroupBy::kDtype:
                return static_cast<std::uint32_t>(tally_.kind_of(entry).dtypes.input);
            case GroupBy::kPhase:
                return static_cast<std::uint32_t>(phase);
            case GroupBy::kFeature:
                return static_cast<std::uint32_t>(feature);
            case GroupBy::kKind:
                return (recompute ? kinds_.recomputed : kinds_.plain)[at] * static_cast<std::uint32_t>(kFeatureCount) +
                       static_cast<std::uint32_t>(feature);
            case GroupBy::kNone:
                break;
        }
        return 0;
    }

    [[nodiscard]] std::string group_name(std::uint32_t key) const {
        switch (by_) {
            case GroupBy::kOp:
                return std::string(tally_.name_of(static_cast<Op>(key)));
            case GroupBy::kModule:
                return std::string(tally_.texts()[key]);
            case GroupBy::kDtype:
                return std::string(info(static_cast<DType>(key)).name);
            case GroupBy::kPhase:
                return std::string(kPhases[key]);
            case GroupBy::kFeature:
                return std::string(kFeatures[key]);
            case GroupBy::kKind:
                return std::to_string(key / kFeatureCount) + " " + std::string(kFeatures[key % kFeatureCount]);
            case GroupBy::kNone:
                break;
        }
        return {};
    }

    struct Charge {  // part of a row of a kind of entries that costs something
        std::uint32_t position;
        Feature feature;
        ExtentId extent;
        bool plain;             // the numerator fits 62 bits
        std::uint16_t n_after;  // further parts of the row
        Int128 numerator;
    };

    struct Charges {
        Phase phase;
        Printed printed;
        std::vector<Charge> parts;
    };

    // What is charged of a kind of entries; worked out once.
    const Charges& charges(std::uint32_t number, bool recompute) {
        std::optional<Charges>& known = (recompute ? again_ : plain_)[number];
        if (!known) {
            const EntryKind& kind = tally_.kinds()[number];
            known.emplace();
            known->phase = recompute && kind.phase == Phase::kForward ? Phase::kRecompute : kind.phase;
            if (!((convention_.phases >> static_cast<unsigned>(known->phase)) & 1U)) return *known;
            const std::size_t rule = weights_of(kind, known->phase);
            if (rule != 0) known->printed = convention_.overrides[rule - 1].printed;
            const ScaledWeights& weights = scaled_[rule];
            for (const RowTag& row : kind.rows) {
                const Int128 weight = weights[static_cast<std::size_t>(row.feature)];
                if (weight == 0) continue;
                auto n_after = static_cast<std::uint16_t>(row.end - row.begin);
                for (const RowPart& part : kind.parts_of(row)) {
                    const Int128 numerator = checked_mul(weight, part.scale);
                    known->parts.push_back(
                        {part.position, row.feature, row.extent, ExprRef::fits(numerator), --n_after, numerator});
                }
            }
        }
        return *known;
    }

    ExprRef amount(const Entry& entry, const Charge& charge) {
        const ExprRef base = tally_.amounts()[entry.amounts_begin + charge.position];
        if (charge.extent == kNoExtent) return base;
        const Extent& extent = tally_.extents()[entry.extents_begin + charge.extent - 1U];
        const bool used = (convention_.used_extents >> static_cast<unsigned>(extent.kind)) & 1U;
        return cost_.exprs.mul(base, used ? extent.used : extent.nominal);
    }

    // What is charged for a row, of all its parts, whose price the peer reads in a text.
    ExprRef printed(const Entry& entry, std::span<const Charge> row, Printed as) {
        ExprRef exact;
        for (const Charge& part : row)
            exact = cost_.exprs.add(
                exact, cost_.exprs.scale(amount(entry, part), make_rational(part.numerator, denominator_)));
        if (!cost_.exprs.is_constant(exact))
            throw ConventionError(convention_.name + " rounds this price to " + std::to_string(as.digits) +
                                  " digits, which takes a number; bind the dims in count(at=)");
        const Rational price = cost_.exprs.constant_value(exact);
        const Int128 text = rounded(checked_mul(price.num, as.times) / price.den, as.digits);
        return cost_.exprs.constant(text / as.times);
    }

    // Whether the rows of a block never run this way: they then are of no kind.
    [[nodiscard]] bool is_idle(const TallyBlock& block, bool recompute) const {
        if (by_ != GroupBy::kKind || block.entries_begin == block.entries_end) return false;
        const std::vector<std::uint32_t>& kinds = recompute ? kinds_.recomputed : kinds_.plain;
        return kinds.empty() || kinds[block.entries_begin] == kNoKind;
    }

    Groups price_rows(const TallyBlock& block, bool recompute) {
        if (is_idle(block, recompute)) return {};
        std::unordered_map<std::uint32_t, Accumulator> sums;
        Accumulator* sum = &sums[0];
        std::uint32_t open_key = 0;
        const std::span<const Entry> entries = tally_.entries();
        const std::span<const ExprRef> bases = tally_.amounts();
        constexpr std::uint32_t kAhead = 24;
        std::uint32_t at = block.entries_begin;
        std::span<const Charge> row;  // parts so far of one whose price is printed
        with_context([&] { return tally_.describe(entries[at]); },
                     [&] {
                         for (; at < block.entries_end; ++at) {
                             const Entry& entry = entries[at];
                             // The few rows a convention charges lie too far apart for the hardware to foresee.
                             if (at + kAhead < block.entries_end)
                                 __builtin_prefetch(bases.data() + entries[at + kAhead].amounts_begin);
                             const Charges& found = charges(entry.kind, recompute);
                             for (const Charge& charge : found.parts) {
                                 if (by_ != GroupBy::kNone) {
                                     const std::uint32_t key = group_key(at, found.phase, charge.feature, recompute);
                                     if (key != open_key) sum = &sums[key], open_key = key;
                                 }
                                 if (found.printed.digits != 0) [[unlikely]] {
                                     row = {row.empty() ? &charge : row.data(), row.size() + 1};
                                     if (charge.n_after != 0) continue;
                                     sum->add(cost_.exprs, printed(entry, row, found.printed), denominator_, false);
                                     row = {};
                                 } else {
                                     sum->add(cost_.exprs, amount(entry, charge), charge.numerator, charge.plain);
                                 }
                             }
                         }
                     });
        Groups groups;
        for (const auto& [key, accumulator] : sums) {
            const ExprRef total = accumulator.total(cost_.exprs, denominator_);
            if (total != ExprRef()) groups[group_name(key)] = total;
        }
        return groups;
    }

    void merge(Groups& into, const Groups& callee, const std::string& prefix) {
        for (const auto& [name, value] : callee) {
            const std::string key = by_ != GroupBy::kModule || prefix.empty() ? name
                                    : name.empty()                            ? prefix
                                                                              : prefix + "." + name;
            ExprRef& place = into[key];
            place = cost_.exprs.add(place, value);
        }
        if (into.size() > kMaxModules) throw ConventionError("more than a million modules; group by something else");
    }

    const Tally& tally_;
    const Convention& convention_;
    GroupBy by_;
    Int128 denominator_ = 1;
    std::vector<ScaledWeights> scaled_;                                // default, then one per override
    std::array<std::vector<std::uint32_t>, kOpCount + 1> candidates_;  // by op_row
    std::vector<std::optional<Charges>> plain_, again_;                // by kind of entry; again_ in a recomputation
    NodeKinds kinds_;                                                  // of the tally, where groups are kinds
    std::vector<Groups> blocks_;                                       // what one run of each block costs
    std::vector<Groups> recomputed_;  // the same within a recomputation, if there is any
    Cost cost_;
};

}  // namespace

const Weights& weights_of(const Convention& convention, const NodeKind& kind, std::string_view origin) {
    for (const Override& over : convention.overrides)
        if (contains(over.ops, kind.op) && matches(over, kind.variant, kind.dtype, kind.phase, origin)) {
            if (over.printed.digits != 0)
                throw ConventionError(convention.name + " rounds what " + std::string(op_name(kind.op)) +
                                      " costs, which no sum of columns gives; price its tally instead");
            return over.weights;
        }
    return convention.weights;
}

Cost price(const Tally& tally, const Convention& convention, GroupBy by) { return Pricer(tally, convention, by).run(); }

}  // namespace flopcore
