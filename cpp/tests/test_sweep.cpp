#include <limits>
#include <numeric>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/sweep.hpp"

using namespace flopcore;

namespace {

// One entity of each way to count: words, a sum with a shared term, a constant; thresholds of all.
SweepInputs study(Precision precision, std::size_t n_thresholds) {
    SweepInputs in;
    in.key = {1, 2};
    in.precision = precision;
    in.n_entities = 3;
    in.n_thresholds = n_thresholds;
    in.shared = {{7, Term::Kind::uniform, 0.5, 0.0}};
    in.own = {{8, Term::Kind::normal, -1.0, 0.0}, {9, Term::Kind::log_linear, 0.4, 0.5}};
    in.own_begin = {0, 1, 2, 2};
    in.uses = {{0, 2.0}};
    in.uses_begin = {0, 0, 1, 1};
    for (std::size_t m = 0; m < 2; ++m) {
        for (std::size_t t = 0; t < n_thresholds; ++t) {
            in.thresholds.push_back(-1.0 + 2.0 * static_cast<double>(t) / static_cast<double>(n_thresholds));
        }
    }
    for (std::size_t t = 0; t < n_thresholds; ++t) {
        const double infinity = std::numeric_limits<double>::infinity();
        in.thresholds.push_back(2 * t < n_thresholds ? -infinity : infinity);
    }
    return in;
}

void counts_add_up_over_ranges_and_threads() {
    for (const Precision precision : {Precision::single, Precision::dual}) {
        for (const std::size_t n_thresholds : {1u, 5u, 300u}) {
            const SweepPlan plan(study(precision, n_thresholds));
            SweepCounts whole, parts;
            CHECK(plan.evaluate(5, 2005, 1, Poll(), whole));
            CHECK(whole.draws == 2000);
            for (const auto& [a, b] : {std::pair{5, 6}, {6, 6}, {6, 1000}, {1000, 1024}, {1024, 2005}}) {
                CHECK(plan.evaluate(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b), 3, Poll(), parts));
            }
            CHECK(parts.exceeded == whole.exceeded && parts.histogram == whole.histogram && parts.draws == 2000);
            const auto rows = std::accumulate(whole.histogram.begin(), whole.histogram.end(), std::int64_t{0});
            CHECK(rows == static_cast<std::int64_t>(2000 * n_thresholds));
        }
    }
}

void a_stopped_run_leaves_the_counts_alone() {
    const SweepPlan plan(study(Precision::single, 5));
    SweepCounts counts;
    CHECK(plan.evaluate(0, 100, 1, Poll(), counts));
    const SweepCounts before = counts;
    CHECK(!plan.evaluate(100, std::uint64_t{1} << 40, 2, [] { return true; }, counts));
    CHECK(counts.exceeded == before.exceeded && counts.draws == before.draws);
}

void plans_that_do_not_fit_are_refused() {
    const SweepPlan plan(study(Precision::dual, 4));
    SweepCounts counts;
    CHECK_THROWS(DataError, (void)plan.evaluate(3, 2, 1, Poll(), counts));
    CHECK_THROWS(DataError, (void)plan.evaluate(0, (std::uint64_t{1} << 49) + 1, 1, Poll(), counts));
    CHECK_THROWS(DataError, (void)plan.values(3, 0, 1));
    SweepInputs in = study(Precision::dual, 4);
    in.uses[0].term = 1;
    CHECK_THROWS(DataError, SweepPlan{in});
    in = study(Precision::dual, 4);
    std::swap(in.thresholds[0], in.thresholds[1]);
    CHECK_THROWS(DataError, SweepPlan{in});
    const std::vector<std::uint64_t> wide = {std::uint64_t{1} << 32};
    CHECK_THROWS(DataError, (void)term_values(in.own[0], Precision::single, wide));
}

void every_isa_gives_the_same_counts() {
    SweepCounts first;
    for (const std::string& name : simd::available_isas()) {
        simd::select_isa(name);
        SweepCounts counts;
        CHECK(SweepPlan(study(Precision::dual, 9)).evaluate(0, 777, 1, Poll(), counts));
        if (first.draws == 0) first = counts;
        CHECK(counts.exceeded == first.exceeded && counts.histogram == first.histogram);
    }
    CHECK_THROWS(Error, simd::select_isa("v9"));
}

}  // namespace

int main() {
    counts_add_up_over_ranges_and_threads();
    a_stopped_run_leaves_the_counts_alone();
    plans_that_do_not_fit_are_refused();
    every_isa_gives_the_same_counts();
    return 0;
}
