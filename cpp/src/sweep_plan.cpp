// Checks a plan and maps the thresholds of entities with a single term to random words.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "flopcore/error.hpp"
#include "flopcore/sweep.hpp"
#include "simd/lanes.hpp"
#include "sweep_terms.hpp"

namespace flopcore {
namespace {

void require(bool good, const std::string& what) {
    if (!good) throw DataError("sweep plan: " + what);
}

void check_terms(const std::vector<Term>& terms, const char* which) {
    for (std::size_t i = 0; i < terms.size(); ++i) {
        const Term& term = terms[i];
        const std::string name = std::string(which) + " term " + std::to_string(i);
        require(std::isfinite(term.scale), name + ": scale is not finite");
        require(term.half >= 0.0 && term.half < 1.0, name + ": half is outside [0, 1)");
        require((term.kind == Term::Kind::table) == (term.table != nullptr), name + ": table is missing or unwanted");
    }
}

void check_rows(const std::vector<std::size_t>& begin, std::size_t n_rows, std::size_t n_items, const char* which) {
    require(begin.size() == n_rows + 1 && begin.front() == 0 && begin.back() == n_items &&
                std::is_sorted(begin.begin(), begin.end()),
            std::string(which) + " row bounds do not fit");
}

// For ascending thresholds: the smallest word, after flipping, whose value exceeds each; 2^bits when none does. Values
// of a table are compared in double in either precision: a point mass is where its distribution says.
template <class Real>
std::vector<std::uint64_t> smallest_words(const Term& term, std::span<const double> thresholds, bool flip) {
    using Lanes = simd::Lanes<Real>;
    using Word = typename Lanes::Word;
    const Lanes lanes;
    const std::size_t n = thresholds.size();
    constexpr std::uint64_t end = std::uint64_t{1} << Lanes::kWordBits;
    std::vector<std::uint64_t> low(n, 0), high(n, end);
    std::vector<Word> words(n);
    std::vector<Real> values(n);
    std::vector<double> exact(n);
    for (unsigned step = 0; step <= Lanes::kWordBits; ++step) {
        for (std::size_t t = 0; t < n; ++t) {
            const std::uint64_t middle = std::min(low[t] + (high[t] - low[t]) / 2, end - 1);
            words[t] = static_cast<Word>(flip ? end - 1 - middle : middle);
        }
        if (term.table != nullptr) {
            lanes.quantiles(words.data(), n, term.table->rows(), exact.data());
            for (double& value : exact) value *= term.scale;
        } else {
            std::fill(values.begin(), values.end(), Real{0});
            add_term(lanes, term, words.data(), n, Real{1}, values.data());
            std::copy(values.begin(), values.end(), exact.begin());
        }
        for (std::size_t t = 0; t < n; ++t) {
            if (low[t] >= high[t]) continue;
            const std::uint64_t middle = low[t] + (high[t] - low[t]) / 2;
            const double line = term.table ? thresholds[t] : static_cast<double>(static_cast<Real>(thresholds[t]));
            (exact[t] > line ? high[t] : low[t]) = exact[t] > line ? middle : middle + 1;
        }
    }
    // A polynomial may fall by an ulp between neighbouring words, the limits may not.
    for (std::size_t t = 1; t < n; ++t) low[t] = std::max(low[t], low[t - 1]);
    return low;
}

}  // namespace

std::vector<double> term_values(const Term& term, Precision precision, std::span<const std::uint64_t> words) {
    check_terms({term}, "the");
    const auto evaluate = [&]<class Real>(Real zero) {
        using Word = typename simd::Lanes<Real>::Word;
        const simd::Lanes<Real> lanes;
        std::vector<Word> narrow;
        for (const std::uint64_t word : words) {
            require(word >> simd::Lanes<Real>::kWordBits == 0, "word " + std::to_string(word) + " is too wide");
            narrow.push_back(static_cast<Word>(word));
        }
        std::vector<Real> values(words.size(), zero);
        add_term(lanes, term, narrow.data(), narrow.size(), Real{1}, values.data());
        return std::vector<double>(values.begin(), values.end());
    };
    return precision == Precision::dual ? evaluate(double{}) : evaluate(float{});
}

void SweepPlan::check() const {
    const SweepInputs& in = inputs_;
    require(in.n_entities > 0 && in.n_thresholds > 0, "needs at least one entity and one threshold");
    require(in.n_thresholds < 0x7fff, "more than 32766 thresholds");
    require(in.n_entities <= std::numeric_limits<std::uint32_t>::max() - 1, "more than 2^32 - 2 entities");
    require(in.thresholds.size() == in.n_entities * in.n_thresholds, "thresholds are not entities x thresholds");
    check_rows(in.own_begin, in.n_entities, in.own.size(), "own term");
    check_rows(in.uses_begin, in.n_entities, in.uses.size(), "shared use");
    check_terms(in.shared, "shared");
    check_terms(in.own, "own");
    for (const SharedUse& use : in.uses) {
        require(use.term < in.shared.size() && std::isfinite(use.factor), "a use of a shared term is out of range");
    }
    for (std::size_t m = 0; m < in.n_entities; ++m) {
        const std::span<const double> row(&in.thresholds[m * in.n_thresholds], in.n_thresholds);
        for (std::size_t t = 0; t < row.size(); ++t) {
            require(!std::isnan(row[t]) && (t == 0 || row[t] >= row[t - 1]),
                    "thresholds of entity " + std::to_string(m) + " do not ascend");
        }
    }
}

std::span<const Term> SweepPlan::own_terms(std::size_t entity) const {
    return std::span(inputs_.own)
        .subspan(inputs_.own_begin[entity], inputs_.own_begin[entity + 1] - inputs_.own_begin[entity]);
}

std::span<const SharedUse> SweepPlan::shared_uses(std::size_t entity) const {
    return std::span(inputs_.uses)
        .subspan(inputs_.uses_begin[entity], inputs_.uses_begin[entity + 1] - inputs_.uses_begin[entity]);
}

void SweepPlan::choose_ways() {
    std::uint32_t n_word_rows = 0;
    for (std::size_t m = 0; m < inputs_.n_entities; ++m) {
        const std::size_t n_own = own_terms(m).size(), n_shared = shared_uses(m).size();
        ways_.push_back(n_own + n_shared == 0 ? Way::constant : n_own == 1 && n_shared == 0 ? Way::words : Way::sum);
        word_row_.push_back(ways_[m] == Way::words ? n_word_rows++ : 0);
    }
}

template <class Real, class Word>
void SweepPlan::find_word_limits(LimitRows<Word>& rows) {
    constexpr unsigned bits = simd::Lanes<Real>::kWordBits;
    constexpr Word last = static_cast<Word>((std::uint64_t{1} << bits) - 1);
    const std::size_t n_thresholds = inputs_.n_thresholds;
    for (std::size_t m = 0; m < inputs_.n_entities; ++m) {
        if (ways_[m] != Way::words) continue;
        const Term& term = own_terms(m)[0];
        const bool flip = term.scale < 0.0;
        const std::vector<std::uint64_t> first =
            smallest_words<Real>(term, std::span(&inputs_.thresholds[m * n_thresholds], n_thresholds), flip);
        // From "the first word that passes" to "the last that does not". A threshold that all words pass has no such
        // limit: `start` skips it.
        const std::size_t always = static_cast<std::size_t>(std::count(first.begin(), first.end(), std::uint64_t{0}));
        std::vector<Word> limits(n_thresholds + 1, last);
        for (std::size_t t = 0; t < n_thresholds; ++t) limits[t] = static_cast<Word>(t < always ? 0 : first[t] - 1);
        const auto passed_by = [&](std::uint64_t word) {
            const auto begin = limits.begin() + static_cast<std::ptrdiff_t>(always);
            return static_cast<std::size_t>(std::lower_bound(begin, limits.end(), static_cast<Word>(word)) -
                                            limits.begin());
        };
        std::array<std::uint16_t, 1u << simd::kCellBits> start;
        for (std::uint64_t cell = 0; cell < start.size(); ++cell) {
            const std::uint64_t word = cell << (bits - simd::kCellBits);
            start[cell] = static_cast<std::uint16_t>(passed_by(word));
        }
        rows.limits.insert(rows.limits.end(), limits.begin(), limits.end());
        rows.flip.push_back(flip ? last : 0);
        rows.start.push_back(start);
    }
}

SweepPlan::SweepPlan(SweepInputs inputs) : inputs_(std::move(inputs)) {
    check();
    choose_ways();
    if (inputs_.precision == Precision::dual) {
        find_word_limits<double>(limits_dual_);
    } else {
        find_word_limits<float>(limits_single_);
    }
}

}  // namespace flopcore
