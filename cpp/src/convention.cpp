#include "flopcore/convention.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "flopcore/error_context.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kMaxModules = 1'000'000;  // module paths in one breakdown

// Sum of coefficient x amount, where constant amounts (the common case) are added as 128-bit integers in units of
// 1 / denominator, and equal symbolic amounts are gathered before they meet the store.
class Accumulator {
  public:
    // plain: the numerator fits 62 bits, so that a product with a small amount fits 126.
    void add(const ExprStore& exprs, ExprRef amount, Int128 numerator, bool plain) {
        if (amount.is_small() && plain)
            constant_ =
                checked_add(constant_, static_cast<Int128>(static_cast<std::int64_t>(numerator)) * amount.value());
        else
            add_slow(exprs, amount, numerator);
    }
    [[nodiscard]] ExprRef total(ExprStore& exprs, Int128 denominator) const {
        ExprRef sum = exprs.constant(make_rational(constant_, denominator));
        std::vector<std::int64_t> keys;
        for (const auto& [bits, coefficient] : symbolic_) keys.push_back(bits);
        std::ranges::sort(keys);
        for (const std::int64_t bits : keys) {
            const ExprRef amount = ExprRef::stored(static_cast<std::uint32_t>(bits >> 1));
            sum = exprs.add(sum, exprs.scale(amount, make_rational(symbolic_.at(bits), denominator)));
        }
        return sum;
    }

  private:
    void add_slow(const ExprStore& exprs, ExprRef amount, Int128 numerator) {
        if (const auto integer = exprs.as_integer(amount)) {
            constant_ = checked_add(constant_, checked_mul(numerator, *integer));
        } else {
            Int128& coefficient = symbolic_[amount.bits()];
            coefficient = checked_add(coefficient, numerator);
        }
    }

    Int128 constant_ = 0;
    std::unordered_map<std::int64_t, Int128> symbolic_;
};

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

class Pricer {
  public:
    Pricer(const Tally& tally, const Convention& convention, GroupBy by)
        : tally_(tally), convention_(convention), by_(by) {
        cost_.exprs = tally.exprs();
        denominator_ = common_denominator();
        scaled_.push_back(scale(convention.weights));
        for (const Override& over : convention.overrides) scaled_.push_back(scale(over.weights));
        charges_.resize(tally.n_signatures() * scaled_.size());
        if (by == GroupBy::kKind) kinds_ = tally.node_kinds();
        for (std::uint32_t i = 0; i < convention.overrides.size(); ++i)
            for (std::size_t op = 0; op < kOpCount; ++op)
                if (contains(convention.overrides[i].ops, static_cast<Op>(op))) candidates_[op].push_back(i);
    }

    Cost run() && {
        std::vector<Groups> blocks;
        for (const TallyBlock& block : tally_.blocks()) {
            Groups groups = price_rows(block);
            for (std::uint32_t i = block.frames_begin; i < block.frames_end; ++i) {
                const Frame& frame = tally_.frames()[i];
                const std::string prefix(tally_.texts()[frame.scope]);
                with_context(
                    [&] { return "call of '" + std::string(tally_.texts()[tally_.blocks()[frame.block].name]) + "'"; },
                    [&] { merge(groups, blocks[frame.block], frame.times, prefix); });
            }
            blocks.push_back(std::move(groups));
        }
        for (auto& [name, value] : blocks.back()) {
            cost_.total = cost_.exprs.add(cost_.total, value);
            if (by_ != GroupBy::kNone) cost_.groups.emplace_back(name, value);
        }
        return std::move(cost_);
    }

  private:
    using Groups = std::map<std::string, ExprRef>;

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
    [[nodiscard]] std::size_t weights_of(const Entry& entry) const {
        for (const std::uint32_t i : candidates_[static_cast<std::size_t>(entry.op)]) {
            const Override& over = convention_.overrides[i];
            if ((entry.variant & over.required) == over.required && (entry.variant & over.forbidden) == 0 &&
                contains(over.dtypes, entry.dtypes.input) && contains(over.phases, entry.phase) &&
                matches_origin(over.origins, tally_.texts()[entry.origin]))
                return i + 1;
        }
        return 0;
    }

    // A small integer that names the group of a row; group_name() spells it.
    [[nodiscard]] std::uint32_t group_key(std::uint32_t at, const Entry& entry, Feature feature) const {
        switch (by_) {
            case GroupBy::kOp:
                return static_cast<std::uint32_t>(entry.op);
            case GroupBy::kModule:
                return entry.scope;
            case GroupBy::kDtype:
                return static_cast<std::uint32_t>(entry.dtypes.input);
            case GroupBy::kPhase:
                return static_cast<std::uint32_t>(entry.phase);
            case GroupBy::kFeature:
                return static_cast<std::uint32_t>(feature);
            case GroupBy::kKind:
                return kinds_.of_entry[at] * static_cast<std::uint32_t>(kFeatureCount) +
                       static_cast<std::uint32_t>(feature);
            case GroupBy::kNone:
                break;
        }
        return 0;
    }

    [[nodiscard]] std::string group_name(std::uint32_t key) const {
        switch (by_) {
            case GroupBy::kOp:
                return std::string(op_name(static_cast<Op>(key)));
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

    struct Charge {  // one row of a signature that costs something
        std::uint32_t position;
        Feature feature;
        ExtentId extent;
        bool plain;  // the numerator fits 62 bits
        Int128 numerator;
    };

    // What the weights charge of a signature; worked out once per pair.
    const std::vector<Charge>& charges(std::uint32_t signature, std::size_t weights) {
        auto& known = charges_[signature * scaled_.size() + weights];
        if (!known) {
            known.emplace();
            const std::span<const AmountTag> tags = tally_.signature(signature);
            for (std::uint32_t i = 0; i < tags.size(); ++i) {
                const Int128 numerator = scaled_[weights][static_cast<std::size_t>(tags[i].feature)];
                if (numerator != 0)
                    known->push_back({i, tags[i].feature, tags[i].extent, ExprRef::fits(numerator), numerator});
            }
        }
        return *known;
    }

    ExprRef amount(const Entry& entry, const Charge& charge) {
        const ExprRef base = tally_.amount_base(entry.amounts_begin + charge.position);
        if (charge.extent == kNoExtent) return base;
        const Extent& extent = tally_.extents()[entry.extents_begin + charge.extent - 1U];
        const bool used = (convention_.used_extents >> static_cast<unsigned>(extent.kind)) & 1U;
        return cost_.exprs.mul(base, used ? extent.used : extent.nominal);
    }

    Groups price_rows(const TallyBlock& block) {
        std::unordered_map<std::uint32_t, Accumulator> sums;
        Accumulator* sum = &sums[0];
        std::uint32_t open_key = 0;
        const std::span<const Entry> entries = tally_.entries();
        const std::span<const ExprRef> bases = tally_.amount_bases();
        constexpr std::uint32_t kAhead = 24;
        std::uint32_t at = block.entries_begin;
        with_context([&] { return tally_.describe(entries[at]); },
                     [&] {
                         for (; at < block.entries_end; ++at) {
                             const Entry& entry = entries[at];
                             // The few rows a convention charges lie too far apart for the hardware to foresee.
                             if (at + kAhead < block.entries_end)
                                 __builtin_prefetch(bases.data() + entries[at + kAhead].amounts_begin);
                             if (!((convention_.phases >> static_cast<unsigned>(entry.phase)) & 1U)) continue;
                             for (const Charge& charge : charges(entry.signature, weights_of(entry))) {
                                 if (by_ != GroupBy::kNone) {
                                     const std::uint32_t key = group_key(at, entry, charge.feature);
                                     if (key != open_key) sum = &sums[key], open_key = key;
                                 }
                                 sum->add(cost_.exprs, amount(entry, charge), charge.numerator, charge.plain);
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

    void merge(Groups& into, const Groups& callee, ExprRef times, const std::string& prefix) {
        for (const auto& [name, value] : callee) {
            const std::string key = by_ != GroupBy::kModule || prefix.empty() ? name
                                    : name.empty()                            ? prefix
                                                                              : prefix + "." + name;
            ExprRef& place = into[key];
            place = cost_.exprs.add(place, cost_.exprs.mul(times, value));
        }
        if (into.size() > kMaxModules) throw ConventionError("more than a million modules; group by something else");
    }

    const Tally& tally_;
    const Convention& convention_;
    GroupBy by_;
    Int128 denominator_ = 1;
    std::vector<ScaledWeights> scaled_;  // default, then one per override
    std::array<std::vector<std::uint32_t>, kOpCount> candidates_;
    std::vector<std::optional<std::vector<Charge>>> charges_;  // by signature, then weights
    NodeKinds kinds_;                                          // of the tally, where groups are kinds
    Cost cost_;
};

}  // namespace

Cost price(const Tally& tally, const Convention& convention, GroupBy by) { return Pricer(tally, convention, by).run(); }

}  // namespace flopcore
