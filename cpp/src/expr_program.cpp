#include "expr_program.hpp"

#include <algorithm>

#include "flopcore/isa.hpp"
#include "flopcore/parallel.hpp"
namespace flopcore {
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

void FloatProgram::emit(Code code, std::uint32_t to, std::uint32_t a, std::uint32_t b, double constant) {
    n_registers_ = std::max(n_registers_, to + 1);
    if (!ops_.empty()) {  // two passes over a block joined to one; each result is rounded as before
        Op& last = ops_.back();
        if (code == Code::add && last.code == Code::scale && last.to == b && b != a) {
            last = {Code::add_scaled, to, a, last.a, last.constant, 0};
            return;
        }
        if (code == Code::shift && last.code == Code::mul && last.to == a && to == a) {
            last.code = Code::mul_shift;
            last.constant = constant;
            return;
        }
    }
    ops_.push_back({code, to, a, b, constant, 0});
}

void FloatProgram::compile_atom(std::uint32_t atom) {
    const std::uint32_t to = register_of(atom);
    const auto args = arena_.args_of(atom);
    const AtomKind kind = arena_.atoms[atom].kind;
    FLOPCORE_ASSERT(kind == AtomKind::floordiv || kind == AtomKind::minimum || kind == AtomKind::maximum);
    const std::uint32_t other = n_registers_;
    compile(args[0], to);
    if (kind == AtomKind::floordiv && arena_.is_constant(args[1])) {
        emit(Code::floor_scaled, to, to, to, to_double(arena_.constant_value(args[1])));
    } else {
        for (const ExprRef arg : args.subspan(1)) {
            compile(arg, other);
            emit(kind == AtomKind::floordiv  ? Code::floor_quotient
                 : kind == AtomKind::minimum ? Code::min
                                             : Code::max,
                 to, to, other);
        }
    }
    ops_.back().atom = atom;
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
        if (inside.size() == 1 && inside[0].factors.empty()) {
            emit(Code::scale, target, x, x, inside[0].coef);
            --power;
        } else {
            compile(std::move(inside), target, std::max(free, target + 1));
        }
        for (; power != 0; --power) emit(Code::mul, target, target, x);
        if (started) emit(Code::add, to, to, target);
        started = true;
        terms = std::move(outside);
    }
    if (!started)
        emit(Code::fill, to, to, to, constant);
    else if (constant != 0)
        emit(Code::shift, to, to, to, constant);
}

void FloatProgram::execute(const Op& op, const double* registers, double* to, std::size_t n) const {
    const double* a = registers + op.a * kStride;
    const double* b = registers + op.b * kStride;
    const double c = op.constant;
    switch (op.code) {
        case Code::fill:
            return void(std::fill_n(to, n, c));
        case Code::scale:
            return kernels_.column_scale(a, n, c, to);
        case Code::shift:
            return kernels_.column_shift(a, n, c, to);
        case Code::mul_shift:
            return kernels_.column_mul_shift(a, b, n, c, to);
        case Code::add_scaled:
            return kernels_.column_add_scaled(a, b, n, c, to);
        case Code::add:
            return kernels_.column_add(a, b, n, to);
        case Code::mul:
            return kernels_.column_mul(a, b, n, to);
        case Code::min:
            return kernels_.column_min(a, b, n, to);
        case Code::max:
            return kernels_.column_max(a, b, n, to);
        case Code::floor_scaled:
            return kernels_.column_floor_scaled(a, n, c, to);
        case Code::floor_quotient:
            if (!std::all_of(b, b + n, [](double divisor) { return divisor > 0; }))
                throw DataError("in " + arena_.text(arena_.atoms[op.atom].self, false) +
                                " the divisor is not positive at some point");
            return kernels_.column_floor_quotient(a, b, n, to);
    }
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
            // The columns of the next block come from memory while this one is worked on: more streams than the
            // hardware follows.
            const std::size_t ahead = std::min(kBlock, end - begin - n);
            for (std::size_t i = 0; i < symbols_.size(); ++i)
                for (std::size_t k = 0; k < ahead; k += 8) __builtin_prefetch(columns[i].data() + begin + n + k);
            for (const Op& op : std::span(ops_).first(ops_.size() - 1))
                execute(op, registers, registers + op.to * kStride, n);
            execute(ops_.back(), registers, out.data() + begin, n);  // the result
        }
    };
    static_cast<void>(parallel_blocks(n_pieces, threads, piece, [] { return false; }));
}

}  // namespace flopcore
