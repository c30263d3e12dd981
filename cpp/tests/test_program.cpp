#include <functional>
#include <numeric>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/program.hpp"

using namespace flopcore;
using simd::Instruction;
using simd::Opcode;

namespace {

constexpr std::size_t kEntities = 5;

Poll never() {
    return [] { return false; };
}

// Two stages: x = column + z of each entity, m = its median; then x - m, with a sink of every kind.
ProgramInputs study(Precision precision) {
    ProgramInputs in;
    in.key = {1, 2};
    in.precision = precision;
    in.n_entities = kEntities;
    in.n_registers = 6;
    in.n_slots = 1;
    in.constants = {0.0, 2.0, 7.0, 9.0};
    in.n_columns = 1;
    in.columns = {0.0, 0.5, 1.0, 1.5, 2.0};
    Variable own{true, {}, {}};
    for (std::uint64_t m = 0; m < kEntities; ++m) {
        own.terms.push_back({100 + m, Term::Kind::normal, m == 3 ? 0.0 : 1.0, 0.0});
        own.offsets.push_back(0.0);
    }
    in.variables = {{false, {{7, Term::Kind::uniform, 1.0, 0.0}}, {1.0}}, own};
    in.code = {
        {Opcode::draw, 0, 0, 0, 0, 0},    // u in (0, 2]
        {Opcode::floor, 0, 1, 0, 0, 0},   // 0, 1 (or 2)
        {Opcode::min, 2, 1, 1, 0, 0},     // at most constants[0]: a category
        {Opcode::sink, 0, 0, 0, 0, 0},    //
        {Opcode::draw, 0, 2, 1, 0, 0},    //
        {Opcode::add, 2, 2, 2, 4, 0},     // + column
        {Opcode::store, 0, 0, 2, 0, 0},   //
        {Opcode::sink, 0, 1, 0, 0, 0},    //
        {Opcode::order, 0, 3, 0, 2, 0},   // median
        {Opcode::load, 0, 2, 0, 0, 0},    //
        {Opcode::sub, 0, 4, 2, 3, 0},     //
        {Opcode::less, 2, 5, 4, 0, 0},    // below the median
        {Opcode::lookup, 0, 5, 5, 2, 2},  // 7 or 9
        {Opcode::select, 6, 5, 5, 1, 0},  // 2
        {Opcode::sink, 0, 2, 0, 0, 0},    //
        {Opcode::sink, 0, 3, 0, 0, 0},    //
        {Opcode::sink, 0, 4, 0, 0, 0},    //
    };
    in.section_ends = {4, 8, 9, 17};
    in.members = {{0, 1, 2, 3, 4}};
    Sink by{.name = "by", .kind = Sink::Kind::table, .inputs = {1}, .numbers = {1.0}};
    Sink counts{.name = "counts",
                .kind = Sink::Kind::exceed,
                .of_entities = true,
                .inputs = {2},
                .numbers = {-1.0, 0.5, 3.0},
                .n_thresholds = 3,
                .group = {0, 1, 0, 1, 1},
                .n_groups = 2,
                .joint = true};
    Sink moments{.name = "moments",
                 .kind = Sink::Kind::moments,
                 .of_entities = true,
                 .apart = true,
                 .inputs = {4, 5},
                 .numbers = {0x1p-40, 1.0}};
    Sink histogram{.name = "histogram",
                   .kind = Sink::Kind::histogram,
                   .of_entities = true,
                   .apart = true,
                   .inputs = {4},
                   .numbers = {-2.0, 4.0, 16.0}};
    Sink values{.name = "values", .kind = Sink::Kind::values, .of_entities = true, .inputs = {4}};
    in.sinks = {by, counts, moments, histogram, values};
    return in;
}

void counters_add_up_over_ranges_and_threads() {
    for (const Precision precision : {Precision::single, Precision::dual}) {
        const ProgramPlan plan(study(precision));
        ProgramState whole, parts;
        CHECK(plan.evaluate(0, 5000, 1, never(), whole));
        for (const auto& [begin, end] : {std::pair{0, 1}, {1, 1}, {1, 700}, {700, 4097}, {4097, 5000}}) {
            CHECK(plan.evaluate(static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), 3, never(), parts));
        }
        CHECK(whole.counts == parts.counts);
        CHECK(whole.sums == parts.sums);
        CHECK(whole.counts[0] == 5000);
        for (std::size_t m = 0; m < kEntities; ++m) {
            const auto* row = &whole.counts[plan.count_begin()[1] + 4 * m];
            CHECK(std::accumulate(row, row + 4, std::int64_t{0}) == 5000);
        }
    }
}

void values_are_in_the_order_of_draws() {
    const ProgramPlan plan(study(Precision::dual));
    const std::vector<double> all = plan.values(4, 0, 100), some = plan.values(4, 33, 90);
    CHECK(all.size() == 100 * kEntities && some.size() == 57 * kEntities);
    for (std::size_t m = 0; m < kEntities; ++m) {
        for (std::size_t i = 0; i < 57; ++i) CHECK(some[m * 57 + i] == all[m * 100 + 33 + i]);
    }
    for (std::size_t i = 0; i < 100; ++i) {
        int zeros = 0;
        for (std::size_t m = 0; m < kEntities; ++m) zeros += all[m * 100 + i] == 0.0 ? 1 : 0;
        CHECK(zeros == 1);  // the median itself
    }
    CHECK_THROWS(DataError, static_cast<void>(plan.values(0, 0, 1)));
    CHECK_THROWS(DataError, static_cast<void>(plan.values(4, 2, 1)));
}

void a_stop_leaves_the_state_alone() {
    const ProgramPlan plan(study(Precision::dual));
    ProgramState state;
    CHECK(plan.evaluate(0, 10, 1, never(), state));
    const ProgramState before = state;
    CHECK(!plan.evaluate(0, std::uint64_t{1} << 40, 2, [] { return true; }, state));
    CHECK(state.counts == before.counts && state.sums == before.sums);
}

// A score by a dimension of Sobol' points, and a uniform of each entity coupled to it: all entities have one value.
ProgramInputs coupled(Precision precision) {
    ProgramInputs in;
    in.key = {3, 4};
    in.precision = precision;
    in.n_entities = 2;
    in.n_registers = 2;
    Variable score{false, {{1, Term::Kind::normal, 1.0, 0.0}}, {0.0}, {}, 9};
    for (unsigned k = 0; k < 32; ++k) score.directions.push_back(std::uint32_t{1} << (31 - k));
    const Term uniform{2, Term::Kind::uniform, 0.5, 0.0};
    in.variables = {score, {true, {uniform, uniform}, {0.5, 0.5}}};
    in.code = {{Opcode::draw, 0, 0, 0, 0, 0},
               {Opcode::sink, 0, 0, 0, 0, 0},
               {Opcode::couple, 0, 1, 1, 0, 0},
               {Opcode::sink, 0, 1, 0, 0, 0}};
    in.section_ends = {2, 4};
    in.sinks = {{.name = "score", .kind = Sink::Kind::values, .inputs = {0}},
                {.name = "u", .kind = Sink::Kind::values, .of_entities = true, .inputs = {1}}};
    return in;
}

void points_fill_every_cell_once_in_every_replicate() {
    constexpr std::size_t kPoints = 256;
    for (const Precision precision : {Precision::single, Precision::dual}) {
        const ProgramPlan plan(coupled(precision));
        std::vector<double> before;
        for (const std::uint64_t replicate : {0u, 1u, 31u}) {
            const std::uint64_t begin = replicate << 32;
            const std::vector<double> u = plan.values(1, begin, begin + kPoints), z = plan.values(0, begin, begin + 9);
            CHECK(u.size() == 2 * kPoints && u != before);
            std::vector<int> cells(kPoints);
            for (std::size_t i = 0; i < kPoints; ++i) {
                CHECK(u[i] == u[kPoints + i] && u[i] > 0.0 && u[i] < 1.0);
                ++cells[static_cast<std::size_t>(u[i] * kPoints)];
            }
            for (const int n : cells) CHECK(n == 1);
            for (std::size_t i = 0; i < 9; ++i) CHECK((z[i] < 0.0) == (u[i] < 0.5));
            const std::vector<double> later = plan.values(1, begin + 100, begin + 103);
            for (std::size_t i = 0; i < 3; ++i) CHECK(later[i] == u[100 + i]);
            before = u;
        }
    }
}

void what_does_not_couple_is_refused() {
    const std::function<void(ProgramInputs&)> breakages[] = {
        [](ProgramInputs& in) { in.code[2].a = 2; },
        [](ProgramInputs& in) { in.code[2].b = 2; },
        [](ProgramInputs& in) { in.section_ends = {4, 4}; },
        [](ProgramInputs& in) { in.variables[0].directions.pop_back(); },
        [](ProgramInputs& in) { in.variables[1].directions.assign(32, 1u); },
    };
    for (const auto& broken : breakages) {
        ProgramInputs in = coupled(Precision::dual);
        broken(in);
        CHECK_THROWS(DataError, static_cast<void>(ProgramPlan(std::move(in))));
    }
}

void what_does_not_fit_is_refused() {
    const std::function<void(ProgramInputs&)> breakages[] = {
        [](ProgramInputs& in) { in.section_ends = {4, 8, 9}; },
        [](ProgramInputs& in) { in.section_ends = {4, 8, 9, 16}; },
        [](ProgramInputs& in) { in.columns.pop_back(); },
        [](ProgramInputs& in) { in.code[0].to = 6; },
        [](ProgramInputs& in) { in.code[0].a = 1; },
        [](ProgramInputs& in) { in.code[2].b = 4; },
        [](ProgramInputs& in) { in.code[3].to = 1; },
        [](ProgramInputs& in) { in.code[5].b = 5; },
        [](ProgramInputs& in) { in.code[6].to = 1; },
        [](ProgramInputs& in) { in.code[8].b = 5; },
        [](ProgramInputs& in) { in.code[8].c = 1; },
        [](ProgramInputs& in) { in.code[12].c = 3; },
        [](ProgramInputs& in) { in.code[12].op = static_cast<Opcode>(200); },
        [](ProgramInputs& in) { in.members[0][0] = kEntities; },
        [](ProgramInputs& in) { in.variables[1].terms.pop_back(); },
        [](ProgramInputs& in) { in.sinks[0].numbers = {0.5}; },
        [](ProgramInputs& in) { in.sinks[0].inputs = {6}; },
        [](ProgramInputs& in) { in.sinks[1].numbers = {1.0, 0.0, 3.0}; },
        [](ProgramInputs& in) { in.sinks[1].group[0] = 2; },
        [](ProgramInputs& in) { in.sinks[2].numbers = {0.3, 1.0}; },
        [](ProgramInputs& in) { in.sinks[3].numbers = {0.0, 0.0, 1.0}; },
        [](ProgramInputs& in) { in.sinks[3].numbers = {0.0, 1.0, 0x1p40}; },
    };
    for (const auto& broken : breakages) {
        ProgramInputs in = study(Precision::dual);
        broken(in);
        CHECK_THROWS(DataError, static_cast<void>(ProgramPlan(std::move(in))));
    }
}

void what_cannot_be_counted_names_its_sink() {
    ProgramInputs in = study(Precision::dual);
    in.sinks[2].numbers = {0x1p-80, 1.0};
    ProgramState state;
    CHECK_THROWS(DataError, static_cast<void>(ProgramPlan(in).evaluate(0, 100, 2, never(), state)));
    in = study(Precision::dual);
    in.code[1].op = Opcode::log;  // below 0 for u < 1, and no whole number
    CHECK_THROWS(DataError, static_cast<void>(ProgramPlan(in).evaluate(0, 100, 2, never(), state)));
}

}  // namespace

int main() {
    for (const std::string& isa : simd::available_isas()) {
        simd::select_isa(isa);
        counters_add_up_over_ranges_and_threads();
        values_are_in_the_order_of_draws();
        points_fill_every_cell_once_in_every_replicate();
    }
    a_stop_leaves_the_state_alone();
    what_does_not_fit_is_refused();
    what_does_not_couple_is_refused();
    what_cannot_be_counted_names_its_sink();
    return 0;
}
