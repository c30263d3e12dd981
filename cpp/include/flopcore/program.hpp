// A program: bytecode over blocks of draws, for a study as a whole and for each of its entities, and the integer
// counters (sinks) its values end in. One primitive: evaluate the draws [begin, end) into a mergeable state.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flopcore/checked.hpp"
#include "flopcore/exact_sum.hpp"
#include "flopcore/mixtures.hpp"
#include "flopcore/parallel.hpp"
#include "flopcore/simd.hpp"
#include "flopcore/sweep.hpp"

namespace flopcore {

// An uncertain input: one term for the study, or one for each entity, around an offset. A scale of 0 is a known value.
// One of the study may be drawn by a dimension of Sobol' points: draw i is then point i mod 2^32 of replicate i / 2^32,
// whose scramble has the first Philox word of block "replicate" of the stream `scramble` as its seed. The bits below
// the 32 of a point are those of the variable's own stream.
struct Variable {
    bool of_entities = false;
    std::vector<Term> terms;
    std::vector<double> offsets;
    std::vector<std::uint32_t> directions{};  // 32 numbers, or none: Philox alone
    std::uint64_t scramble = 0;
};

// Where values end. `inputs` are registers; a sink of entities is reached once per entity, any other once per draw.
struct Sink {
    enum class Kind : std::uint8_t {
        exceed,     // inputs: x, or x and a category; how many thresholds x exceeds, and entities above per draw
        table,      // inputs: categories, their sizes in `numbers`; how often each combination occurs
        moments,    // inputs: x..., or x... and a category; sums, and sums of products of pairs, in units of `numbers`
        histogram,  // inputs: x; `numbers`: low, bins per unit, bins
        values,     // inputs: x...; counts nothing, read by ProgramPlan::values()
    };
    std::string name;  // in errors
    Kind kind = Kind::exceed;
    bool of_entities = false;
    bool apart = false;              // table, moments, histogram of entities: counters for each of them
    std::uint32_t n_categories = 1;  // above 1: the last input of exceed (not of entities) or moments is a category
    std::vector<std::uint32_t> inputs{};
    std::vector<double> numbers{};  // exceed: ascending thresholds, one row, or one row an entity
    std::uint32_t n_thresholds = 0;
    std::vector<std::uint32_t> group{};  // exceed of entities: the group of each, or empty: no count per draw
    std::uint32_t n_groups = 0;
    bool joint = false;  // with groups: sums of products of the counts above any two (group, threshold)
};

// The counters of a sink are, in this order,
//   exceed     of a study [category][thresholds passed];
//              of entities [entity][thresholds passed], then for each group [threshold][entities above] draws;
//              joint: sums [pair of (group, threshold)], the upper triangle row by row
//   table      [entity or 1][combination]
//   moments    [entity or 1][category] rows; sums [entity or 1][category][inputs, then pairs as above]
//   histogram  [entity or 1][below, bins, at or above the end]
struct ProgramInputs {
    std::array<std::uint32_t, 2> key{};
    Precision precision = Precision::dual;
    std::size_t n_entities = 0;
    std::uint32_t n_registers = 0;
    std::uint32_t n_slots = 0;  // registers of entities kept for a later stage: [slot][entity]
    std::vector<double> constants;
    std::size_t n_columns = 0;
    std::vector<double> columns;  // [entity][column]; scalar i of an entity is constant i, then column i - n constants
    std::vector<simd::Instruction> code;
    std::vector<std::uint64_t> section_ends;  // of code: study, entities, study, entities, ...; an even number
    std::vector<Variable> variables;
    std::vector<std::vector<std::uint32_t>> members;  // entities among which an order statistic is taken
    std::vector<Sink> sinks;
};

// Mergeable by addition. Sums have 128 bits.
struct ProgramState {
    std::vector<std::int64_t> counts;
    std::vector<Int128> sums;
};

class ProgramPlan {
  public:
    // Throws DataError when the parts do not fit together or a value is out of range.
    explicit ProgramPlan(ProgramInputs inputs);

    // Where the counters of each sink begin, and their end.
    [[nodiscard]] const std::vector<std::size_t>& count_begin() const { return count_begin_; }
    [[nodiscard]] const std::vector<std::size_t>& sum_begin() const { return sum_begin_; }

    // Adds the draws [begin, end) to the state. False: the poll asked to stop and the state is unchanged. Throws
    // DataError for a value that a sink cannot count, and OverflowError_ when a sum leaves 127 bits.
    [[nodiscard]] bool evaluate(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                                ProgramState& state) const;

    // Inputs of the sink of that index, of Kind::values, in draws [begin, end): [input][entity or 1][draw].
    [[nodiscard]] std::vector<double> values(std::size_t sink, std::uint64_t begin, std::uint64_t end) const;

    // Of the first input of the first sink, of Kind::values and of the study, at the mixtures: [batch][pair] sums,
    // which are 0 before. False: the poll asked to stop. Throws DataError for an output that is not finite or beyond
    // 2^500.
    [[nodiscard]] bool mixture_sums(const Mixtures& mixtures, unsigned threads, const Poll& poll,
                                    std::span<ExactSum> sums) const;

  private:
    template <class Real>
    class Worker;
    template <class Real>
    bool sum_mixtures(const Mixtures& mixtures, unsigned threads, const Poll& poll, std::span<ExactSum> sums) const;
    template <class Real>
    bool run(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll, ProgramState& state) const;
    void check() const;
    void check_code() const;
    void check_sink(const Sink& sink) const;
    void place_counters();
    [[nodiscard]] std::size_t tile_rows() const;
    [[nodiscard]] std::size_t n_stages() const { return inputs_.section_ends.size() / 2; }

    ProgramInputs inputs_;
    std::vector<std::size_t> count_begin_;
    std::vector<std::size_t> sum_begin_;
    std::vector<std::vector<std::uint32_t>> group_sizes_;  // of each sink
};

}  // namespace flopcore
