// Checks a program and lays its counters out.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "flopcore/error.hpp"
#include "flopcore/program.hpp"

namespace flopcore {
namespace {

using simd::Instruction;
using simd::Opcode;

constexpr std::size_t kMostCounters = std::size_t{1} << 31;
constexpr std::size_t kMostJointEntities = std::size_t{1} << 26;  // products of two counts of a tile then fit 64 bits

void require(bool good, const std::string& what) {
    if (!good) throw DataError("program: " + what);
}

// Operands of an instruction that the kernel reads: registers or scalars.
unsigned n_operands(Opcode op) {
    switch (op) {
        case Opcode::fill:
        case Opcode::log:
        case Opcode::log10:
        case Opcode::exp:
        case Opcode::exp10:
        case Opcode::sqrt:
        case Opcode::floor:
        case Opcode::lookup:
            return 1;
        case Opcode::select:
            return 3;
        case Opcode::draw:
        case Opcode::couple:
        case Opcode::store:
        case Opcode::load:
        case Opcode::order:
        case Opcode::sink:
            return 0;
        default:
            return 2;
    }
}

bool is_category_size(double size) { return size >= 1.0 && size <= 0x1p24 && size == std::floor(size); }

}  // namespace

void ProgramPlan::check_code() const {
    const ProgramInputs& in = inputs_;
    require(in.section_ends.size() % 2 == 0 && std::ranges::is_sorted(in.section_ends) &&
                (in.section_ends.empty() ? 0 : in.section_ends.back()) == in.code.size(),
            "sections do not fit the code");
    const std::size_t n_scalars = in.constants.size() + in.n_columns;
    std::size_t section = 0;
    for (std::size_t i = 0; i < in.code.size(); ++i) {
        const Instruction& it = in.code[i];
        while (i >= in.section_ends[section]) ++section;
        const bool entities = section % 2 == 1;
        const std::string where = "instruction " + std::to_string(i) + ": ";
        const std::uint32_t operands[] = {it.a, it.b, it.c};
        require(it.op <= Opcode::sink, where + "unknown opcode");
        for (unsigned k = 0; k < n_operands(it.op); ++k) {
            const bool scalar = (it.scalars >> k & 1u) != 0;
            const std::size_t end = !scalar ? in.n_registers : entities ? n_scalars : in.constants.size();
            require(operands[k] < end, where + "operand out of range");
        }
        const bool writes = it.op != Opcode::store && it.op != Opcode::sink;
        require(!writes || it.to < in.n_registers, where + "target out of range");
        switch (it.op) {
            case Opcode::fill:
                require(it.scalars == 1, where + "fills from a scalar");
                break;
            case Opcode::lookup:
                require(it.c >= 1 && it.c <= in.constants.size() && it.b <= in.constants.size() - it.c,
                        where + "table out of range");
                break;
            case Opcode::draw:
                require(it.a < in.variables.size() && (entities || !in.variables[it.a].of_entities),
                        where + "no such variable here");
                break;
            case Opcode::couple:
                require(it.a < in.variables.size() && it.b < in.n_registers &&
                            (entities || !in.variables[it.a].of_entities),
                        where + "no such variable or scores here");
                break;
            case Opcode::store:
                require(entities && it.a < in.n_registers && it.to < in.n_slots, where + "cannot be stored");
                break;
            case Opcode::load:
                require(entities && it.a < in.n_slots, where + "cannot be loaded");
                break;
            case Opcode::order:
                require(!entities && it.a < in.n_slots && it.c < in.members.size() && it.b < in.members[it.c].size(),
                        where + "no such order statistic");
                break;
            case Opcode::sink:
                require(it.to < in.sinks.size() && in.sinks[it.to].of_entities == entities,
                        where + "no such sink here");
                break;
            default:
                break;
        }
    }
}

void ProgramPlan::check_sink(const Sink& sink) const {
    const auto good = [&](bool condition, const char* what) {
        require(condition, "sink '" + sink.name + "': " + what);
    };
    for (const std::uint32_t input : sink.inputs) good(input < inputs_.n_registers, "input out of range");
    const std::size_t n_values = sink.inputs.size() - (sink.n_categories > 1 ? 1 : 0);
    good(!sink.inputs.empty() && n_values >= 1 && sink.n_categories >= 1, "needs an input");
    good(sink.of_entities || (!sink.apart && sink.group.empty()), "is not of entities");
    switch (sink.kind) {
        case Sink::Kind::exceed: {
            const std::size_t n = sink.n_thresholds, rows = sink.of_entities ? inputs_.n_entities : 1;
            good(n >= 1 && n < 0x7fff && n_values == 1, "needs one value and 1 to 32766 thresholds");
            good(sink.numbers.size() == n || sink.numbers.size() == n * rows,
                 "thresholds are not entities x thresholds");
            good(!sink.of_entities || sink.n_categories == 1, "entities take no category");
            for (std::size_t i = 0; i < sink.numbers.size(); ++i) {
                good(!std::isnan(sink.numbers[i]) && (i % n == 0 || sink.numbers[i] >= sink.numbers[i - 1]),
                     "thresholds do not ascend");
            }
            good(sink.group.empty()
                     ? sink.n_groups == 0 && !sink.joint
                     : sink.group.size() == inputs_.n_entities && *std::ranges::max_element(sink.group) < sink.n_groups,
                 "groups do not fit the entities");
            good(!sink.joint || inputs_.n_entities <= kMostJointEntities, "too many entities for joint counts");
            break;
        }
        case Sink::Kind::table:
            good(sink.numbers.size() == sink.inputs.size() && std::ranges::all_of(sink.numbers, is_category_size),
                 "sizes do not fit the inputs");
            break;
        case Sink::Kind::moments:
            good(sink.numbers.size() == n_values, "units do not fit the inputs");
            for (const double unit : sink.numbers) {
                int exponent = 0;
                good(std::frexp(unit, &exponent) == 0.5 && exponent > -900 && exponent < 900,
                     "a unit is not a power of two");
            }
            break;
        case Sink::Kind::histogram:
            good(sink.inputs.size() == 1 && sink.numbers.size() == 3, "needs an input and three numbers");
            good(std::isfinite(sink.numbers[0]) && std::isfinite(sink.numbers[1]) && sink.numbers[1] > 0.0 &&
                     is_category_size(sink.numbers[2]),
                 "its bins are not finite, or more than 2^24");
            break;
        case Sink::Kind::values:
            break;
    }
}

void ProgramPlan::check() const {
    const ProgramInputs& in = inputs_;
    require(in.n_entities <= 0xfffffffeu, "more than 2^32 - 2 entities");
    require(in.columns.size() == in.n_entities * in.n_columns, "columns are not entities x columns");
    for (const Variable& variable : in.variables) {
        const std::size_t n = variable.of_entities ? in.n_entities : 1;
        require(variable.terms.size() == n && variable.offsets.size() == n, "terms of a variable do not fit");
        require(variable.directions.empty() || (variable.directions.size() == 32 && !variable.of_entities),
                "direction numbers of a variable do not fit");
        for (const Term& term : variable.terms) {
            require(std::isfinite(term.scale) && term.half >= 0.0 && term.half < 1.0, "a term is out of range");
        }
    }
    for (const auto& members : in.members) {
        for (const std::uint32_t m : members) require(m < in.n_entities, "a member is out of range");
    }
    check_code();
    for (const Sink& sink : in.sinks) check_sink(sink);
}

void ProgramPlan::place_counters() {
    std::size_t counts = 0, sums = 0;
    for (const Sink& sink : inputs_.sinks) {
        count_begin_.push_back(counts);
        sum_begin_.push_back(sums);
        std::vector<std::uint32_t>& sizes = group_sizes_.emplace_back(sink.n_groups, 0u);
        for (const std::uint32_t g : sink.group) ++sizes[g];
        const std::size_t places = sink.apart ? inputs_.n_entities : 1, categories = sink.n_categories;
        const std::size_t n_values = sink.inputs.size() - (categories > 1 ? 1 : 0), n = sink.n_thresholds;
        switch (sink.kind) {
            case Sink::Kind::exceed:
                counts += (sink.of_entities ? inputs_.n_entities : categories) * (n + 1);
                for (const std::uint32_t size : sizes) counts += n * (size + std::size_t{1});
                if (sink.joint) sums += n * sink.n_groups * (n * sink.n_groups + 1) / 2;
                break;
            case Sink::Kind::table: {
                double size = static_cast<double>(places);
                for (const double categories_of : sink.numbers) size *= categories_of;
                require(size <= static_cast<double>(kMostCounters), "sink '" + sink.name + "': too many combinations");
                counts += static_cast<std::size_t>(size);
                break;
            }
            case Sink::Kind::moments:
                counts += places * categories;
                sums += places * categories * (n_values + n_values * (n_values + 1) / 2);
                break;
            case Sink::Kind::histogram:
                counts += places * (static_cast<std::size_t>(sink.numbers[2]) + 2);
                break;
            case Sink::Kind::values:
                break;
        }
        require(counts <= kMostCounters && sums <= kMostCounters, "too many counters");
    }
    count_begin_.push_back(counts);
    sum_begin_.push_back(sums);
}

ProgramPlan::ProgramPlan(ProgramInputs inputs) : inputs_(std::move(inputs)) {
    check();
    place_counters();
}

}  // namespace flopcore
