#include <algorithm>
#include <numeric>

#include "check.hpp"
#include "flopcore/budget_allocation.hpp"
#include "flopcore/error.hpp"

using namespace flopcore;

namespace {

AllocationInputs study() {
    AllocationInputs in;
    in.key = {1, 2};
    in.growth_mean = 4.0;
    in.growth_sd = 0.5;
    in.gradient = {0.9, 1.1};
    in.log10_ratio = {-8.0, -6.0};
    in.n_bins = 19;
    in.thresholds = {1e25, 1e26};
    in.width_factors = {3.0, 10.0};
    in.cumulate_from = {1, 2};
    in.max_count = 511;
    in.n_groups = 7;
    const std::vector<std::uint32_t> quarters{89, 180, 272, 364};
    in.years = {{"past", 1e26, 0, BudgetYear::Largest::uniform, 0.05, 0.5, 0.0, 1.0, quarters, false},
                {"first", 1e26, 1, BudgetYear::Largest::fixed, 3.8e25, 0.0, 0.0, 1.0, quarters, true},
                {"second", 1e26, 2, BudgetYear::Largest::lognormal, -1.8, 0.5, 0.02, 0.98, {364}, true}};
    return in;
}

AllocationCounts evaluate(const BudgetAllocation& plan, std::uint64_t begin, std::uint64_t end, unsigned threads) {
    AllocationCounts counts;
    CHECK(plan.evaluate(begin, end, threads, Poll(), counts));
    return counts;
}

void counts_add_up_over_ranges_and_threads() {
    const BudgetAllocation plan(study());
    const AllocationCounts whole = evaluate(plan, 5, 700, 3);
    AllocationCounts parts = evaluate(plan, 5, 5, 1);
    for (const auto& [begin, end] : {std::pair{5, 128}, {128, 129}, {129, 700}}) {
        const AllocationCounts part =
            evaluate(plan, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), 1);
        for (const auto member :
             {&AllocationCounts::per_year, &AllocationCounts::cumulative, &AllocationCounts::frontier,
              &AllocationCounts::groups, &AllocationCounts::rejected}) {
            for (std::size_t i = 0; i < (parts.*member).size(); ++i) (parts.*member)[i] += (part.*member)[i];
        }
    }
    CHECK(parts.per_year == whole.per_year);
    CHECK(parts.cumulative == whole.cumulative);
    CHECK(parts.frontier == whole.frontier);
    CHECK(parts.groups == whole.groups);
    CHECK(parts.rejected == whole.rejected);
    // Two counted years x two thresholds, each a histogram of all draws.
    CHECK(std::accumulate(whole.per_year.begin(), whole.per_year.end(), std::int64_t{0}) == 4 * 695);
    CHECK(plan.input_names().size() == 6);  // growth; ratio and gradient of the first year; three of the second
}

std::vector<std::int64_t> totals(const AllocationInputs& in, std::uint64_t begin, std::uint64_t end) {
    AllocationCounts counts;
    std::vector<std::int64_t> found;
    CHECK(BudgetAllocation(in).evaluate(begin, end, 2, Poll(), counts, &found));
    return found;
}

void totals_are_those_of_the_histograms_and_of_the_keys() {
    const AllocationInputs in = study();
    const std::vector<std::int64_t> found = totals(in, 5, 700);
    const AllocationCounts counts = evaluate(BudgetAllocation(in), 5, 700, 1);
    const std::size_t width = in.max_count + 1;
    for (std::size_t t = 0; t < 2; ++t) {
        std::vector<std::int64_t> histogram(width);
        for (std::size_t i = t; i < found.size(); i += 2) ++histogram[static_cast<std::size_t>(found[i])];
        const auto* last = &counts.cumulative[(2 + t) * width];  // of the second counted year
        CHECK(std::equal(histogram.begin(), histogram.end(), last));
    }
    AllocationInputs other = in;
    other.key = other.other_key = {3, 4};
    AllocationInputs all = in;
    all.other_key = other.key;
    all.redrawn = BudgetAllocation(in).input_names();
    all.redrawn.emplace_back("sizes");
    const std::vector<std::int64_t> swapped = totals(all, 5, 700);
    CHECK(swapped == totals(other, 5, 700));
    CHECK(swapped != found);
    all.redrawn = {"growth"};
    CHECK(totals(all, 5, 700) != found);
    all.redrawn = {"gradient first"};  // the running total over the second line starts with the second year
    const std::vector<std::int64_t> first = totals(all, 5, 700);
    bool moved = false;
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (i % 2 == 1) CHECK(first[i] == found[i]);
        moved = moved || first[i] != found[i];
    }
    CHECK(moved);
    CHECK(totals(all, 5, 130) == std::vector<std::int64_t>(first.begin(), first.begin() + 2 * 125));
}

void a_stop_leaves_the_counts_alone() {
    const BudgetAllocation plan(study());
    AllocationCounts counts;
    counts.rejected = {42};
    CHECK(!plan.evaluate(0, std::uint64_t{1} << 40, 2, [] { return true; }, counts));
    CHECK(counts.rejected == std::vector<std::int64_t>{42});
}

template <class Change>
void refuses(Change change) {
    AllocationInputs in = study();
    change(in);
    CHECK_THROWS(DataError, BudgetAllocation(in));
}

void bad_inputs_are_errors() {
    refuses([](AllocationInputs& in) { in.thresholds = {1e26, 1e25}; });
    refuses([](AllocationInputs& in) { in.thresholds = {}; });
    refuses([](AllocationInputs& in) { in.width_factors = {0.5, 2.0}; });
    refuses([](AllocationInputs& in) { in.cumulate_from = {0}; });
    refuses([](AllocationInputs& in) { in.gradient = {0.0, 1.0}; });
    refuses([](AllocationInputs& in) { in.log10_ratio = {-1.0, 0.0}; });
    refuses([](AllocationInputs& in) { in.growth_p_low = 1.0; });
    refuses([](AllocationInputs& in) { in.growth_sd = -1.0; });
    refuses([](AllocationInputs& in) { in.n_bins = 0; });
    refuses([](AllocationInputs& in) { in.max_count = 0; });
    refuses([](AllocationInputs& in) { in.n_groups = 0; });
    refuses([](AllocationInputs& in) { in.years.resize(1); });
    refuses([](AllocationInputs& in) { in.years[1].label = "second"; });  // one address for two years
    refuses([](AllocationInputs& in) { in.years[0].budget = -1.0; });
    refuses([](AllocationInputs& in) { in.years[0].power = 2000; });
    refuses([](AllocationInputs& in) { in.years[0].period_ends = {}; });
    refuses([](AllocationInputs& in) { in.years[0].low = 0.6; });
    refuses([](AllocationInputs& in) { in.years[1].low = 0.0; });
    refuses([](AllocationInputs& in) { in.years[2].p_high = 1.5; });
    refuses([](AllocationInputs& in) { in.redrawn = {"gradient past"}; });  // no input: the year is not counted
    const BudgetAllocation plan(study());
    AllocationCounts counts;
    CHECK_THROWS(DataError, static_cast<void>(plan.evaluate(2, 1, 1, Poll(), counts)));
    AllocationInputs shrinking = study();
    shrinking.growth_mean = -4.0;
    CHECK_THROWS(DataError, static_cast<void>(BudgetAllocation(shrinking).evaluate(0, 1, 1, Poll(), counts)));
    AllocationInputs greedy = study();
    greedy.years[1].low = 1e30;  // larger than the year's budget
    CHECK_THROWS(DataError, static_cast<void>(BudgetAllocation(greedy).evaluate(0, 1, 1, Poll(), counts)));
}

}  // namespace

int main() {
    counts_add_up_over_ranges_and_threads();
    totals_are_those_of_the_histograms_and_of_the_keys();
    a_stop_leaves_the_counts_alone();
    bad_inputs_are_errors();
    return 0;
}
