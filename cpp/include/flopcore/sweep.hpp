// Draws of a study of uncertain log10 FLOP and how many of them, per entity and per row, lie above each threshold.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "flopcore/parallel.hpp"
#include "flopcore/quantile_table.hpp"
#include "flopcore/simd.hpp"

namespace flopcore {

enum class Precision : std::uint8_t { single, dual };

// One uncertain addend of an entity's log10 FLOP, centred: its constant part is folded into the thresholds.
struct Term {
    enum class Kind : std::uint8_t {
        normal,      // scale * z
        uniform,     // scale * (2 u - 1)
        log_linear,  // scale * ln(1 + half * (2 u - 1))
        table,       // scale * the table's quantile at u
    };
    std::uint64_t stream;
    Kind kind;
    double scale;
    double half;
    std::shared_ptr<const QuantileTable> table = nullptr;  // immutable, shared by equal distributions
};

// The draws that these words give: words below 2^32 in single precision, 2^53 in dual. Throws DataError beyond.
[[nodiscard]] std::vector<double> term_values(const Term& term, Precision precision,
                                              std::span<const std::uint64_t> words);

// A use of a shared term by an entity: factor * the shared term's value in this draw.
struct SharedUse {
    std::uint32_t term;
    double factor;
};

// What a study looks like to the engine. Rows of CSR arrays: entity m owns terms [own_begin[m], own_begin[m + 1]).
// thresholds[m * n_thresholds + t] ascend within an entity; a draw x of the entity's terms passes t when x exceeds it.
// An entity without terms has the value 0: its thresholds are -inf where it passes and +inf where it does not.
struct SweepInputs {
    std::array<std::uint32_t, 2> key{};
    Precision precision = Precision::dual;
    std::size_t n_entities = 0;
    std::size_t n_thresholds = 0;
    std::vector<Term> shared;
    std::vector<Term> own;
    std::vector<std::size_t> own_begin;
    std::vector<SharedUse> uses;
    std::vector<std::size_t> uses_begin;
    std::vector<double> thresholds;
};

// Mergeable by addition; a function of the inputs and of the draws [begin, end) alone.
struct SweepCounts {
    std::uint64_t draws = 0;
    std::vector<std::int64_t> exceeded;   // [entity][threshold] draws above
    std::vector<std::int64_t> histogram;  // [threshold][number of entities above] rows
};

class SweepPlan {
  public:
    // Throws DataError when the arrays do not fit together or a value is out of range.
    explicit SweepPlan(SweepInputs inputs);

    [[nodiscard]] std::size_t n_entities() const { return inputs_.n_entities; }
    [[nodiscard]] std::size_t n_thresholds() const { return inputs_.n_thresholds; }

    // Counts over the draws [begin, end), end <= 2^48. False: the poll asked to stop and `counts` is unchanged.
    [[nodiscard]] bool evaluate(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                                SweepCounts& counts) const;

    // The draws themselves: the sum of one entity's terms in draws [begin, end), in draw order.
    [[nodiscard]] std::vector<double> values(std::size_t entity, std::uint64_t begin, std::uint64_t end) const;

  private:
    // How the draws of an entity are compared with the thresholds.
    enum class Way : std::uint8_t {
        constant,  // no terms
        words,     // one term of its own: thresholds are mapped to random words once, draws are never computed
        sum,       // all else
    };
    // Entities whose Way is words: a draw passes as many thresholds as there are limits below its (flipped) word. One
    // row an entity; see WordLimits in simd.hpp.
    template <class Word>
    struct LimitRows {
        std::vector<Word> limits;  // n_thresholds + 1 an entity
        std::vector<Word> flip;
        std::vector<std::array<std::uint16_t, 1u << simd::kCellBits>> start;
    };
    template <class Real>
    class Worker;
    template <class Real>
    bool run(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll, SweepCounts& counts) const;
    void check() const;
    void choose_ways();
    template <class Real, class Word>
    void find_word_limits(LimitRows<Word>& rows);
    template <class Word>
    [[nodiscard]] const LimitRows<Word>& word_limits() const;
    [[nodiscard]] std::span<const Term> own_terms(std::size_t entity) const;
    [[nodiscard]] std::span<const SharedUse> shared_uses(std::size_t entity) const;

    SweepInputs inputs_;
    std::vector<Way> ways_;
    std::vector<std::uint32_t> word_row_;  // of an entity whose Way is words
    LimitRows<std::uint32_t> limits_single_;
    LimitRows<std::uint64_t> limits_dual_;
};

}  // namespace flopcore
