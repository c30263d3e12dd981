// A block sampler: yearly compute budgets are spent on models until they are gone, and the models above each line and
// near the largest one are counted. The recipe is that of Kumar and Manning, "Trends in Frontier AI Model Count: A
// Forecast to 2028" (arXiv:2504.16138), every constant a parameter.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "flopcore/parallel.hpp"

namespace flopcore {

// One year's budget and how its largest model is drawn.
struct BudgetYear {
    // What `low` and `high` are: the largest model's FLOP (low alone), bounds of its share of the budget, or mean and
    // standard deviation of the logarithm of that share, cut to the probabilities [p_low, p_high].
    enum class Largest : std::uint8_t { fixed, uniform, lognormal };

    std::string label;    // part of the address of all random numbers of the year
    double budget = 0.0;  // FLOP before growth
    unsigned power = 0;   // of the growth factor
    Largest largest = Largest::fixed;
    double low = 0.0;
    double high = 0.0;
    double p_low = 0.0;
    double p_high = 1.0;
    std::vector<std::uint32_t>
        period_ends;       // last day of each period, counted from 0, ascending; the last ends the year
    bool counted = false;  // false: the year only sets the largest model so far
};

struct AllocationInputs {
    std::array<std::uint32_t, 2> key{};
    double growth_mean = 1.0;  // growth = mean + sd * z, one draw for all years, z above its quantile at growth_p_low
    double growth_sd = 0.0;
    double growth_p_low = 0.0;
    std::array<double, 2> gradient{};        // k: models up to a share m of the largest get the share m^k of the budget
    std::array<double, 2> log10_ratio{};     // smallest over largest model
    std::size_t n_bins = 0;                  // of size, equal in logarithm
    std::vector<double> thresholds;          // ascending; a model at a threshold is over it
    std::vector<double> width_factors;       // ascending; within such a factor of the largest model so far
    std::vector<std::size_t> cumulate_from;  // [threshold] first year (index) of the running total
    std::size_t max_count = 0;               // largest count that the histograms hold
    std::size_t n_groups = 0;                // equal intervals of probability of each input
    std::vector<BudgetYear> years;           // in order of time
    // For runs that share random numbers: those of the inputs `redrawn` are other_key's. An input's name is one of
    // input_names() or "sizes", the models of all years and bins. A year's largest share, ratio and gradient are drawn
    // first as without this, then those that are redrawn, until they and the kept ones bear each other.
    std::array<std::uint32_t, 2> other_key{};
    std::vector<std::string> redrawn;
};

// Mergeable by addition; a function of the inputs and of the draws [begin, end) alone.
struct AllocationCounts {
    std::vector<std::int64_t> per_year;    // [counted year][threshold][count] draws
    std::vector<std::int64_t> cumulative;  // [counted year][threshold][count] draws, from cumulate_from to that year
    std::vector<std::int64_t> frontier;    // [counted year][width][count] draws
    std::vector<std::int64_t> groups;      // [input][group][1 + threshold] draws, then sums of the last running total
    std::vector<std::int64_t> rejected;    // [year] candidates that were drawn again
};

class BudgetAllocation {
  public:
    // Throws DataError when a value is out of range or two streams share an address.
    explicit BudgetAllocation(AllocationInputs inputs);

    [[nodiscard]] const AllocationInputs& inputs() const { return inputs_; }
    [[nodiscard]] std::size_t n_counted() const;

    // Names of the inputs that `groups` tells apart, in order; none depends on what is redrawn.
    [[nodiscard]] const std::vector<std::string>& input_names() const { return input_names_; }

    // Counts over the draws [begin, end), end <= 2^49. False: the poll asked to stop and `counts` is unchanged. Throws
    // DataError when a budget is not spent after 65,536 models of a bin, a year finds no allocation that its budget
    // bears in 4,096 attempts, or a count exceeds max_count.
    // `totals`, where given, receives the last running total of each draw and threshold.
    [[nodiscard]] bool evaluate(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                                AllocationCounts& counts, std::vector<std::int64_t>* totals = nullptr) const;

  private:
    class Worker;

    struct Stream {
        std::uint64_t hash = 0;
        bool redrawn = false;
    };

    // Addresses of one year's random numbers; size and date have one per bin, the largest first.
    struct Streams {
        Stream share, ratio, gradient;
        std::vector<Stream> size, date;
    };

    void check() const;
    [[nodiscard]] AllocationCounts zeros() const;

    AllocationInputs inputs_;
    Stream growth_stream_;
    std::vector<Streams> streams_;  // [year]
    std::vector<std::string> input_names_;
};

}  // namespace flopcore
