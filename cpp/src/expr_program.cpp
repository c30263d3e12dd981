#include "expr_program.hpp"

#include <algorithm>

#include "flopcore/isa.hpp"
#include "flopcore/parallel.hpp"
namespace flopcore {

using simd::ColumnOp;

namespace {

double to_double(Rational value) { return static_cast<double>(value.num) / static_cast<double>(value.den); }

}  // namespace

FloatProgram::FloatProgram(const ExprStore::Arena& arena, ExprRef root)
    : arena_(arena), kernels_(simd::kernels()), atoms_(arena.reachable_atoms(root)) {
    n_registers_ = static_cast<std::uint32_t>(atoms_.size());
    for (const std::uint32_t atom : atoms_) {
        if (arena.atoms[atom].kind == AtomKind::symbol)
            symbols_.push_back(atom);
        else
            compile_atom(atom);
    }
    result_ = n_registers_++;
    compile(root, result_);
}

std::uint32_t FloatProgram::register_of(std::uint32_t atom) const {
    return static_cast<std::uint32_t>(std::ranges::lower_bound(atoms_, atom) - atoms_.begin());
}

// Code whose first operand is the register computed last prolongs its chain: the value is at hand.
void FloatProgram::emit(ColumnOp op, std::uint32_t to, std::uint32_t a, std::uint32_t b, double constant) {
    n_registers_ = std::max(n_registers_, to + 1);
    const std::uint32_t last = chains_.empty() || op == ColumnOp::floor_quotient ? kNone : chains_.back().to;
    const bool starts = op == ColumnOp::fill || op == ColumnOp::load_scaled;
    const std::uint32_t operand = starts ? a : b;
    const simd::ColumnStep step{op, operand == kNone ? 0 : operand, constant};
    if (!starts && a == last && to == last && b != last) {
        steps_.push_back(step);
    } else if (op == ColumnOp::add && b == last) {
        steps_.push_back({op, a, constant});
        chains_.back().to = to;
    } else {
        chains_.push_back({static_cast<std::uint32_t>(steps_.size()), to});
        if (!starts) steps_.push_back({ColumnOp::load, a, 0});
        steps_.push_back(step);
    }
}

void FloatProgram::compile_atom(std::uint32_t atom) {
    const std::uint32_t to = register_of(atom);
    const auto args = arena_.args_of(atom);
    const AtomKind kind = arena_.atoms[atom].kind;
    FLOPCORE_ASSERT(kind == AtomKind::floordiv || kind == AtomKind::minimum || kind == AtomKind::maximum);
    const std::uint32_t other = n_registers_;
    compile(args[0], to);
    if (kind == AtomKind::floordiv && arena_.is_constant(args[1])) {
        emit(ColumnOp::floor_scaled, to, to, kNone, to_double(arena_.constant_value(args[1])));
        return;
    }
    for (const ExprRef arg : args.subspan(1)) {
        compile(arg, other);
        emit(kind == AtomKind::floordiv  ? ColumnOp::floor_quotient
             : kind == AtomKind::minimum ? ColumnOp::min
                                         : ColumnOp::max,
             to, to, other);
    }
    if (kind == AtomKind::floordiv) {
        chains_.back().divisor = other;
        chains_.back().atom = atom;
    }
}

void FloatProgram::compile(ExprRef expr, std::uint32_t to) {
    std::vector<WorkTerm> terms;
    Term room{};
    for (const Term& term : arena_.terms_of(expr, &room)) {
        const auto factors = arena_.factors_of(term.monomial);
        terms.push_back({{factors.begin(), factors.end()}, to_double(arena_.coef_value(term.coef))});
    }
    compile(std::move(terms), to, std::max(n_registers_, to + 1));
}

// Horner's rule over several variables: the atom that most terms hold is taken out, what is left is added. Every level
// lowers the degree, which bounds the recursion.
void FloatProgram::compile(std::vector<WorkTerm> terms, std::uint32_t to, std::uint32_t free) {
    bool started = false;
    double constant = 0;
    while (!terms.empty()) {
        std::uint32_t best = 0;
        std::size_t most = 0;
        std::vector<std::uint32_t> seen;
        for (const WorkTerm& term : terms)
            for (const Factor& factor : term.factors) {
                if (std::ranges::find(seen, factor.atom) != seen.end()) continue;
                seen.push_back(factor.atom);
                const auto n = static_cast<std::size_t>(std::ranges::count_if(terms, [&](const WorkTerm& other) {
                    return std::ranges::find(other.factors, factor.atom, &Factor::atom) != other.factors.end();
                }));
                if (n > most || (n == most && arena_.compare_atoms(factor.atom, best) < 0)) {
                    most = n;
                    best = factor.atom;
                }
            }
        if (most == 0) {  // one constant term
            constant = terms[0].coef;
            break;
        }
        std::vector<WorkTerm> inside;
        std::vector<WorkTerm> outside;
        std::uint32_t power = kMaxDegree;
        for (WorkTerm& term : terms) {
            const auto factor = std::ranges::find(term.factors, best, &Factor::atom);
            if (factor == term.factors.end()) {
                outside.push_back(std::move(term));
            } else {
                power = std::min(power, factor->exponent);
                inside.push_back(std::move(term));
            }
        }
        for (WorkTerm& term : inside) {
            const auto factor = std::ranges::find(term.factors, best, &Factor::atom);
            factor->exponent -= power;
            if (factor->exponent == 0) term.factors.erase(factor);
        }
        const std::uint32_t target = started ? free : to;
        const std::uint32_t x = register_of(best);
        const bool scaled = inside.size() == 1 && inside[0].factors.empty();
        if (scaled && started && power == 1) {
            emit(ColumnOp::add_scaled, to, to, x, inside[0].coef);
            terms = std::move(outside);
            continue;
        }
        if (scaled) {
            emit(ColumnOp::load_scaled, target, x, kNone, inside[0].coef);
            --power;
        } else {
            compile(std::move(inside), target, std::max(free, target + 1));
        }
        for (; power != 0; --power) emit(ColumnOp::mul, target, target, x);
        if (started) emit(ColumnOp::add, to, to, target);
        started = true;
        terms = std::move(outside);
    }
    if (!started)
        emit(ColumnOp::fill, to, kNone, kNone, constant);
    else if (constant != 0)
        emit(ColumnOp::shift, to, to, kNone, constant);
}

void FloatProgram::execute(std::size_t chain, const double* registers, std::size_t n, double* to) const {
    const Chain& it = chains_[chain];
    if (it.divisor != kNone) {
        const double* divisors = registers + it.divisor * kStride;
        if (!std::all_of(divisors, divisors + n, [](double divisor) { return divisor > 0; }))
            throw DataError("in " + arena_.text(arena_.atoms[it.atom].self, false) +
                            " the divisor is not positive at some point");
    }
    const std::size_t end = chain + 1 < chains_.size() ? chains_[chain + 1].begin : steps_.size();
    const std::size_t whole = (n + simd::kColumnTile - 1) / simd::kColumnTile * simd::kColumnTile;
    kernels_.column_chain(steps_.data() + it.begin, end - it.begin, registers, kStride, whole, to);
}

void FloatProgram::load(std::uint32_t symbol, std::span<const std::int64_t> values, double* to) const {
    const Symbol& dim = arena_.symbol_of(symbol);
    bool refused = kernels_.column_load(values.data(), values.size(), dim.min, dim.max.value_or(INT64_MAX), to) != 0;
    if (dim.multiple_of != 1)
        refused = refused || std::ranges::any_of(values, [&](std::int64_t v) { return v % dim.multiple_of != 0; });
    if (refused)
        for (const std::int64_t value : values) check_admissible(dim, value);
}

void FloatProgram::run(std::span<const std::span<const std::int64_t>> columns, std::span<double> out,
                       unsigned threads) const {
    const std::uint64_t n_pieces = (out.size() + kPiece - 1) / kPiece;
    const BlockFunction piece = [&](std::uint64_t index, unsigned, StopToken&) {
        std::vector<Line> lines(n_registers_ * kStride / 8);
        double* registers = lines[0].lanes;
        const std::size_t end = std::min<std::size_t>(out.size(), (index + 1) * kPiece);
        for (std::size_t begin = index * kPiece; begin < end; begin += kBlock) {
            const std::size_t n = std::min(kBlock, end - begin);
            for (std::size_t i = 0; i < symbols_.size(); ++i)
                load(symbols_[i], columns[i].subspan(begin, n), registers + register_of(symbols_[i]) * kStride);
            // The columns come from memory while earlier blocks are worked on: more streams than the hardware follows,
            // and into the second cache, for the first is full of registers.
            const std::size_t ahead = std::min(begin + kAhead, out.size());
            for (std::size_t i = 0; i < symbols_.size(); ++i)
                for (std::size_t k = ahead; k < std::min(ahead + kBlock, out.size()); k += 8)
                    __builtin_prefetch(columns[i].data() + k, 0, 2);
            double* const result = n == kBlock ? out.data() + begin : registers + result_ * kStride;
            for (std::size_t k = 0; k + 1 < chains_.size(); ++k)
                execute(k, registers, n, registers + chains_[k].to * kStride);
            execute(chains_.size() - 1, registers, n, result);
            if (n != kBlock) std::copy_n(result, n, out.data() + begin);
        }
    };
    static_cast<void>(parallel_blocks(n_pieces, threads, piece, [] { return false; }));
}

}  // namespace flopcore
