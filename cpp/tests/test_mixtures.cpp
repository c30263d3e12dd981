#include <algorithm>
#include <cmath>
#include <functional>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/exact_sum.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/mixtures.hpp"
#include "flopcore/program.hpp"
#include "flopcore/sobol.hpp"

using namespace flopcore;
using simd::Opcode;

namespace {

// f = x + 2 y of the study, or with entities f = x + the sum of y over them.
ProgramInputs program(bool entities, Precision precision) {
    ProgramInputs in;
    in.key = {1, 2};
    in.precision = precision;
    in.n_registers = 3;
    in.constants = {2.0, 0.0};
    in.variables = {{false, {{7, Term::Kind::uniform, 1.0, 0.0}}, {0.5}}, {entities, {}, {}}};
    in.n_entities = entities ? 3 : 0;
    for (std::uint64_t m = 0; m < (entities ? 3u : 1u); ++m) {
        in.variables[1].terms.push_back({100 + m, Term::Kind::normal, 1.0, 0.0});
        in.variables[1].offsets.push_back(0.0);
    }
    Sink output{.name = "f", .kind = Sink::Kind::values, .inputs = {0}};
    if (entities) {
        in.code = {{Opcode::draw, 0, 0, 0, 0, 0},
                   {Opcode::draw, 0, 1, 1, 0, 0},
                   {Opcode::add, 0, 0, 0, 1, 0},
                   {Opcode::sink, 0, 0, 0, 0, 0}};
        in.section_ends = {1, 3, 4, 4};
    } else {
        in.code = {{Opcode::draw, 0, 0, 0, 0, 0},
                   {Opcode::draw, 0, 1, 1, 0, 0},
                   {Opcode::mul, 2, 1, 1, 0, 0},
                   {Opcode::add, 0, 0, 0, 1, 0},
                   {Opcode::sink, 0, 0, 0, 0, 0}};
        in.section_ends = {5, 5};
    }
    in.sinks = {output};
    return in;
}

// f(A), f(B), and f with either input from B less f(A); sums, and the products that indices need.
Mixtures indices(std::uint64_t rows, std::uint32_t batches) {
    Mixtures mixtures;
    mixtures.n_inputs = 2;
    mixtures.n_sets = 2;
    mixtures.input_of = {0, 1};
    mixtures.set_of = {0, 0, 1, 1, 1, 0, 0, 1};
    mixtures.n_plain = 2;
    mixtures.pairs = {0, 4, 1, 4, 0, 0, 2, 4, 1, 2, 2, 2, 3, 3};
    mixtures.batch_rows = rows;
    mixtures.n_batches = batches;
    return mixtures;
}

std::vector<ExactSum> sums(const ProgramPlan& plan, const Mixtures& mixtures, unsigned threads) {
    std::vector<ExactSum> found(mixtures.n_sums());
    CHECK(plan.mixture_sums(mixtures, threads, [] { return false; }, found));
    return found;
}

bool equal(const std::vector<ExactSum>& a, const std::vector<ExactSum>& b) {
    return std::ranges::equal(a, b, {}, &ExactSum::limbs, &ExactSum::limbs);
}

double as_double(const ExactSum& sum) {
    // Below zero the complement, which is 2^-1074 less than the magnitude.
    const bool below = sum.limbs().back() < 0;
    double value = 0.0;
    for (std::size_t k = ExactSum::kLimbs; k-- > 0;) {
        const bool last = k + 1 == ExactSum::kLimbs;
        const std::int64_t limb = sum.limbs()[k], magnitude = !below ? limb : last ? ~limb : ~limb & 0xffffffff;
        value += std::ldexp(static_cast<double>(magnitude), static_cast<int>(32 * k) - 1074);
    }
    return below ? -value : value;
}

void sums_are_exact_in_any_order() {
    std::vector<double> x, y;
    for (int i = 0; i < 2000; ++i) {
        x.push_back(std::ldexp(1.0 + i / 7.0, (i * 37) % 900 - 450) * (i % 3 == 0 ? -1.0 : 1.0));
        y.push_back(std::ldexp(3.0 - i / 11.0, (i * 53) % 900 - 450));
    }
    ExactSum forward, backward, nothing;
    forward.add_products(x.data(), y.data(), x.size());
    std::ranges::reverse(x);
    std::ranges::reverse(y);
    for (std::size_t i = 0; i < x.size(); ++i) backward.add_product(x[i], y[i]);
    forward.normalise();
    backward.normalise();
    CHECK(forward.limbs() == backward.limbs());
    // Everything and its opposite is nothing, to the last limb.
    std::vector<double> minus = x;
    for (double& value : minus) value = -value;
    forward.add_products(minus.data(), y.data(), x.size());
    forward.normalise();
    CHECK(forward.limbs() == nothing.limbs());
    // Small integers: as integers.
    ExactSum squares;
    const std::vector<double> small{1e15, -3.0, 0.0, 7.0};
    squares.add_products(small.data(), nullptr, 4);
    squares.normalise();
    CHECK(as_double(squares) == 1e15 + 4.0);
}

void long_sums_carry() {
    const std::vector<double> ones(1 << 12, std::ldexp(1.0, 52) - 0.5);
    ExactSum sum;
    for (int i = 0; i < 1 << 10; ++i) sum.add_products(ones.data(), nullptr, ones.size());
    sum.normalise();
    CHECK(as_double(sum) == (std::ldexp(1.0, 52) - 0.5) * std::ldexp(1.0, 22));
}

void sums_do_not_depend_on_threads_or_isa() {
    for (const bool entities : {false, true}) {
        for (const Precision precision : {Precision::single, Precision::dual}) {
            const ProgramPlan plan(program(entities, precision));
            const Mixtures mixtures = indices(77, 5);
            const std::vector<ExactSum> expected = sums(plan, mixtures, 1);
            CHECK(equal(expected, sums(plan, mixtures, 4)));
            const std::string before = simd::kernels().name;
            for (const std::string& isa : simd::available_isas()) {
                simd::select_isa(isa);
                CHECK(equal(expected, sums(plan, mixtures, 2)));
            }
            simd::select_isa(before);
        }
    }
}

void set_a_is_the_draws_of_the_program() {
    const ProgramPlan plan(program(false, Precision::dual));
    const std::vector<ExactSum> found = sums(plan, indices(100, 3), 1);
    for (std::uint64_t batch = 0; batch < 3; ++batch) {
        double total = 0.0;
        for (const double value : plan.values(0, 100 * batch, 100 * batch + 100)) total += value;
        CHECK(std::abs(total - as_double(found[batch * 7])) < 1e-10);
    }
}

void indices_of_a_sum_are_its_variances() {
    // Of x uniform on (-1, 1) + 1/2 and 2 z: 1/3 and 4 of 13/3.
    const std::vector<ExactSum> found = sums(ProgramPlan(program(false, Precision::dual)), indices(1 << 16, 1), 2);
    CHECK(std::abs(as_double(found[5]) / (2 << 16) - 1.0 / 3.0) < 0.02);
    CHECK(std::abs(as_double(found[6]) / (2 << 16) - 4.0) < 0.2);
}

Mixtures with_points() {
    Mixtures mixtures = indices(64, 2);
    for (std::uint32_t dim = 0; dim < 4; ++dim) {
        for (std::uint32_t bit = 0; bit < 32; ++bit) mixtures.directions.push_back((dim % 2 ? 3u : 1u) << (31 - bit));
    }
    mixtures.scrambles = {1, 2, 3, 4, 5, 6, 7, 8};
    return mixtures;
}

void sobol_points_fill_every_cell() {
    const ProgramPlan plan(program(false, Precision::dual));
    const std::vector<ExactSum> found = sums(plan, with_points(), 1);
    CHECK(equal(found, sums(plan, with_points(), 2)));
    // 64 balanced points: the mean of f, 1/2, is far nearer than for independent draws.
    CHECK(std::abs(as_double(found[0]) / 64 - 0.5) < 0.05);
    const std::uint32_t directions[32] = {1u << 31, 1u << 30, 1u << 29, 1u << 28};
    std::vector<std::uint32_t> words(16), cells;
    sobol_words(directions, 0, words);
    owen_scramble(words, 12345);
    for (const std::uint32_t word : words) cells.push_back(word >> 28);
    std::ranges::sort(cells);
    for (std::uint32_t cell = 0; cell < 16; ++cell) CHECK(cells[cell] == cell);
}

void words_are_quantiles() {
    Mixtures mixtures = indices(1, 1);
    mixtures.words = {std::uint64_t{1} << 52, 0};
    const std::vector<ExactSum> found = sums(ProgramPlan(program(false, Precision::dual)), mixtures, 1);
    CHECK(std::abs(as_double(found[0]) - 0.5) < 1e-14);
    CHECK(as_double(found[1]) < -0.5 - 2 * 8.0);
    CHECK(std::abs(as_double(found[3]) + 1.0) < 1e-14);
}

void a_stop_is_heard() {
    const ProgramPlan plan(program(true, Precision::dual));
    const Mixtures mixtures = indices(std::uint64_t{1} << 40, 4);
    std::vector<ExactSum> found(mixtures.n_sums());
    CHECK(!plan.mixture_sums(mixtures, 2, [] { return true; }, found));
}

void bad_input_is_refused() {
    const ProgramPlan plan(program(false, Precision::dual)), of_entities(program(true, Precision::dual));
    const auto refused = [&](const ProgramPlan& of, Mixtures mixtures, const std::function<void(Mixtures&)>& spoil) {
        spoil(mixtures);
        CHECK_THROWS(DataError, sums(of, mixtures, 1));
    };
    refused(plan, indices(8, 2), [](Mixtures& m) { m.n_sets = 1; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.n_inputs = 3; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.input_of = {0, 2}; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.input_of = {0}; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.n_plain = 0; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.n_plain = 5; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.pairs[0] = 4; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.pairs[1] = 5; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.batch_rows = 0; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.batch_rows = std::uint64_t{1} << 49; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.words = {0}; });
    refused(plan, indices(8, 2), [](Mixtures& m) { m.words = {0, std::uint64_t{1} << 53}; });
    refused(plan, with_points(), [](Mixtures& m) { m.scrambles.pop_back(); });
    refused(plan, with_points(), [](Mixtures& m) { m.words = {0, 0}; });
    refused(plan, with_points(), [](Mixtures& m) { m.input_of = {0, 0}; });
    refused(of_entities, with_points(), [](Mixtures&) {});
    ProgramInputs infinite = program(false, Precision::dual);
    infinite.code[3].op = Opcode::div;
    infinite.code[2] = {Opcode::fill, 1, 1, 1, 0, 0};
    CHECK_THROWS(DataError, sums(ProgramPlan(infinite), indices(8, 2), 1));
    infinite.sinks[0].kind = Sink::Kind::moments;
    infinite.sinks[0].numbers = {1.0};
    CHECK_THROWS(DataError, sums(ProgramPlan(infinite), indices(8, 2), 1));
}

}  // namespace

int main() {
    sums_are_exact_in_any_order();
    long_sums_carry();
    sums_do_not_depend_on_threads_or_isa();
    set_a_is_the_draws_of_the_program();
    indices_of_a_sum_are_its_variances();
    sobol_points_fill_every_cell();
    words_are_quantiles();
    a_stop_is_heard();
    bad_input_is_refused();
    return 0;
}
