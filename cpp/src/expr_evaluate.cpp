// Exact values at a point. The fast path keeps every atom in 127 bits and sums terms in 256; whatever does not fit
// there is computed again with integers that grow, so only a value that does not fit is an error.
#include <algorithm>

#include "expr_program.hpp"
#include "wide.hpp"

namespace flopcore {
namespace {

using Arena = ExprStore::Arena;

// What is evaluated, in order: positions are those of the reachable atoms, ascending.
struct Plan {
    std::vector<std::uint32_t> atoms;
    std::vector<Int128> symbols;                  // value at the position of a symbol
    std::vector<std::vector<std::size_t>> steps;  // at the position of a sum: what one step computes anew, ascending

    [[nodiscard]] std::size_t position(std::uint32_t atom) const {
        return static_cast<std::size_t>(std::ranges::lower_bound(atoms, atom) - atoms.begin());
    }
};

class StepCounter {
  public:
    // Before a loop, so that a hopeless one is not even begun.
    void add(const BigInt& n) {
        const std::optional<Int128> steps = n.as_int128();
        if (!steps || *steps > static_cast<Int128>(kMaxSteps - n_))
            throw OverflowError_("a sum without closed form takes more than " + std::to_string(kMaxSteps) + " steps");
        if (*steps > 0) n_ += static_cast<std::uint64_t>(*steps);
    }

  private:
    std::uint64_t n_ = 0;
};

[[noreturn]] void throw_bad_divisor(const Arena& arena, std::uint32_t atom) {
    throw DataError("in " + arena.text(arena.atoms[atom].self, false) + " the divisor is not positive at this point");
}

// Values of the reachable atoms so far, all integers of 127 bits; empty results mean "does not fit here".
class FastPoint {
  public:
    FastPoint(const Arena& arena, const Plan& plan) : arena_(arena), plan_(plan), values_(plan.atoms.size()) {}

    [[nodiscard]] std::optional<Rational> run(ExprRef root) {
        for (std::size_t i = 0; i < plan_.atoms.size(); ++i)
            if (arena_.atoms[plan_.atoms[i]].open == 0 && !compute(i)) return std::nullopt;
        return polynomial(root);
    }

  private:
    [[nodiscard]] bool compute(std::size_t i) {
        const std::optional<Int128> value = atom(i);
        if (value) values_[i] = *value;
        return value.has_value();
    }

    [[nodiscard]] std::optional<Int128> atom(std::size_t i) {
        const std::uint32_t id = plan_.atoms[i];
        const auto args = arena_.args_of(id);
        const AtomKind kind = arena_.atoms[id].kind;
        switch (kind) {
            case AtomKind::symbol:
                return plan_.symbols[i];
            case AtomKind::index:
                return values_[i];
            case AtomKind::sum:
                return sum(i);
            case AtomKind::floordiv: {
                const auto num = polynomial(args[0]);
                const auto den = polynomial(args[1]);
                if (!num || !den) return std::nullopt;
                if (den->num <= 0) throw_bad_divisor(arena_, id);
                Int128 divisor;
                Int128 top;
                if (__builtin_mul_overflow(num->num, den->den, &top) ||
                    __builtin_mul_overflow(num->den, den->num, &divisor))
                    return std::nullopt;
                return floor_div(top, divisor);
            }
            case AtomKind::minimum:
            case AtomKind::maximum:
                break;
        }
        std::optional<Int128> best;
        for (const ExprRef arg : args) {
            const auto value = polynomial(arg);
            if (!value || !value->is_integer()) return std::nullopt;
            if (!best || (kind == AtomKind::minimum ? value->num < *best : value->num > *best)) best = value->num;
        }
        return best;
    }

    // Sums nest at most kMaxLevel deep, and so do these calls.
    [[nodiscard]] std::optional<Int128> sum(std::size_t i) {
        const auto args = arena_.args_of(plan_.atoms[i]);
        const auto low = polynomial(args[2]);
        const auto high = polynomial(args[3]);
        if (!low || !high || !low->is_integer() || !high->is_integer()) return std::nullopt;
        const std::size_t index = plan_.position(*arena_.lone_atom(args[0]));
        steps_.add(BigInt(high->num) + BigInt(low->num).negated());
        Wide total;
        for (Int128 step = low->num; step < high->num; ++step) {
            values_[index] = step;
            for (const std::size_t position : plan_.steps[i])
                if (!compute(position)) return std::nullopt;
            const auto value = polynomial(args[1]);
            if (!value || !value->is_integer() || !total.add(Wide(value->num))) return std::nullopt;
        }
        return total.as_int128();
    }

    [[nodiscard]] std::optional<Rational> polynomial(ExprRef expr) const {
        Term room{};
        const auto terms = arena_.terms_of(expr, &room);
        std::uint64_t den = 1;
        for (const Term& term : terms) {
            if (term.coef.is_small()) continue;
            const auto own = static_cast<UInt128>(arena_.coef_value(term.coef).den);
            const UInt128 common = own / gcd(own, den) * den;
            if (own >> 64 != 0 || common >> 64 != 0) return std::nullopt;
            den = static_cast<std::uint64_t>(common);
        }
        Wide total;
        for (const Term& term : terms) {
            const Rational coef = arena_.coef_value(term.coef);
            Wide product(coef.num);
            if (den != 1 && !product.multiply(static_cast<Int128>(den) / coef.den)) return std::nullopt;
            for (const Factor& factor : arena_.factors_of(term.monomial)) {
                const Int128 value = values_[plan_.position(factor.atom)];
                for (std::uint32_t k = 0; k < factor.exponent; ++k)
                    if (!product.multiply(value)) return std::nullopt;
            }
            if (!total.add(product)) return std::nullopt;
        }
        if (den != 1) {
            const auto common = static_cast<std::uint64_t>(gcd(total.remainder(den), den));
            static_cast<void>(total.divide(common));
            den /= common;
        }
        const std::optional<Int128> num = total.as_int128();
        if (!num) return std::nullopt;
        return Rational{*num, static_cast<Int128>(den)};
    }

    const Arena& arena_;
    const Plan& plan_;
    std::vector<Int128> values_;
    StepCounter steps_;
};

// The same without any limit but BigInt's own.
class BigPoint {
  public:
    BigPoint(const Arena& arena, const Plan& plan) : arena_(arena), plan_(plan), values_(plan.atoms.size()) {}

    [[nodiscard]] BigRational run(ExprRef root) {
        for (std::size_t i = 0; i < plan_.atoms.size(); ++i)
            if (arena_.atoms[plan_.atoms[i]].open == 0) values_[i] = atom(i);
        return polynomial(root);
    }

  private:
    [[nodiscard]] BigRational atom(std::size_t i) {
        const std::uint32_t id = plan_.atoms[i];
        const auto args = arena_.args_of(id);
        const AtomKind kind = arena_.atoms[id].kind;
        switch (kind) {
            case AtomKind::symbol:
                return {BigInt(plan_.symbols[i]), BigInt(1)};
            case AtomKind::index:
                return values_[i];
            case AtomKind::sum:
                return sum(i);
            case AtomKind::floordiv: {
                const BigRational num = polynomial(args[0]);
                const BigRational den = polynomial(args[1]);
                if (den.num.is_zero() || den.num.is_negative()) throw_bad_divisor(arena_, id);
                return {BigInt::floor_divide(num.num * den.den, num.den * den.num), BigInt(1)};
            }
            case AtomKind::minimum:
            case AtomKind::maximum:
                break;
        }
        BigRational best = polynomial(args[0]);
        for (const ExprRef arg : args.subspan(1)) {
            BigRational value = polynomial(arg);
            const int order = compare(value, best);
            if (kind == AtomKind::minimum ? order < 0 : order > 0) best = std::move(value);
        }
        return best;
    }

    [[nodiscard]] BigRational sum(std::size_t i) {
        const auto args = arena_.args_of(plan_.atoms[i]);
        const BigRational low = polynomial(args[2]);
        const BigRational high = polynomial(args[3]);
        const std::size_t index = plan_.position(*arena_.lone_atom(args[0]));
        steps_.add(high.num + low.num.negated());  // ends of sums are integers
        BigRational total;
        for (BigRational step = low; compare(step, high) < 0; step = add(step, {BigInt(1), BigInt(1)})) {
            values_[index] = step;
            for (const std::size_t position : plan_.steps[i]) values_[position] = atom(position);
            total = add(total, polynomial(args[1]));
        }
        return total;
    }

    [[nodiscard]] BigRational polynomial(ExprRef expr) const {
        BigRational total;
        Term room{};
        for (const Term& term : arena_.terms_of(expr, &room)) {
            const Rational coef = arena_.coef_value(term.coef);
            BigRational product{BigInt(coef.num), BigInt(coef.den)};
            for (const Factor& factor : arena_.factors_of(term.monomial))
                for (std::uint32_t k = 0; k < factor.exponent; ++k)
                    product = mul(product, values_[plan_.position(factor.atom)]);
            total = add(total, product);
        }
        return total;
    }

    const Arena& arena_;
    const Plan& plan_;
    std::vector<BigRational> values_;
    StepCounter steps_;
};

[[nodiscard]] Plan make_plan(const Arena& arena, ExprRef root) {
    Plan plan;
    plan.atoms = arena.reachable_atoms(root);
    plan.symbols.resize(plan.atoms.size());
    plan.steps.resize(plan.atoms.size());
    for (std::size_t i = 0; i < plan.atoms.size(); ++i) {
        if (arena.atoms[plan.atoms[i]].kind != AtomKind::sum) continue;
        const auto args = arena.args_of(plan.atoms[i]);
        const std::uint32_t index = *arena.lone_atom(args[0]);
        for (const std::uint32_t atom : arena.reachable_atoms(args[1]))
            if (atom != index && (arena.atoms[atom].open & arena.atoms[index].open) != 0)
                plan.steps[i].push_back(plan.position(atom));
    }
    return plan;
}

// Evaluates one expression at one point after another.
class Evaluator {
  public:
    Evaluator(const Arena& arena, ExprRef root) : arena_(arena), root_(root), plan_(make_plan(arena, root)) {
        for (const std::uint32_t atom : plan_.atoms)
            if (arena.atoms[atom].kind == AtomKind::symbol) symbols_.push_back(atom);
    }

    [[nodiscard]] std::span<const std::uint32_t> symbols() const { return symbols_; }

    // values: of symbols(), in their order.
    [[nodiscard]] Rational at(std::span<const Int128> values) {
        for (std::size_t i = 0; i < values.size(); ++i) plan_.symbols[plan_.position(symbols_[i])] = values[i];
        if (const auto value = FastPoint(arena_, plan_).run(root_)) return *value;
        const std::optional<Rational> value = BigPoint(arena_, plan_).run(root_).as_rational();
        if (!value) throw_overflow("value of an expression");
        return *value;
    }

  private:
    const Arena& arena_;
    ExprRef root_;
    Plan plan_;
    std::vector<std::uint32_t> symbols_;
};

}  // namespace

void check_admissible(const Symbol& symbol, Int128 value) {
    const char* rule = nullptr;
    std::string bound;
    if (value < symbol.min) {
        rule = "at least";
        bound = std::to_string(symbol.min);
    } else if (symbol.max && value > *symbol.max) {
        rule = "at most";
        bound = std::to_string(*symbol.max);
    } else if (value % symbol.multiple_of != 0) {
        rule = "a multiple of";
        bound = std::to_string(symbol.multiple_of);
    }
    if (rule != nullptr)
        throw DataError("dim '" + symbol.name + "' cannot be " + to_decimal(value) + ": it must be " + rule + " " +
                        bound);
}

template <class Bound>
std::vector<std::size_t> ExprStore::Arena::find_bound(std::span<const std::uint32_t> symbols_only,
                                                      std::span<const Bound> bound) const {
    std::vector<std::size_t> found;
    std::vector<std::string> missing;
    for (const std::uint32_t atom : symbols_only) {
        const auto at = std::ranges::find(bound, symbol_of(atom).name, &Bound::name);
        if (at == bound.end()) missing.push_back(symbol_of(atom).name);
        found.push_back(static_cast<std::size_t>(at - bound.begin()));
    }
    if (missing.empty()) return found;
    std::ranges::sort(missing);
    std::string names;
    for (const std::string& name : missing) names += (names.empty() ? "'" : ", '") + name + "'";
    throw DataError("no value for dim " + names + "; bind every dim to get a number");
}

Rational ExprStore::Arena::evaluate(ExprRef root, std::span<const Point> point) const {
    if (root.is_small()) return {root.value(), 1};
    Evaluator evaluator(*this, root);
    const std::vector<std::size_t> found = find_bound(evaluator.symbols(), point);
    std::vector<Int128> values;
    for (std::size_t i = 0; i < found.size(); ++i) {
        values.push_back(point[found[i]].value);
        check_admissible(symbol_of(evaluator.symbols()[i]), values.back());
    }
    return evaluator.at(values);
}

std::vector<Rational> ExprStore::Arena::evaluate_exact(ExprRef root, std::span<const PointColumn> columns,
                                                       std::size_t n) const {
    Evaluator evaluator(*this, root);
    const std::vector<std::size_t> found = find_bound(evaluator.symbols(), columns);
    std::vector<Rational> results;
    std::vector<Int128> values(found.size());
    for (std::size_t point = 0; point < n; ++point) {
        for (std::size_t i = 0; i < found.size(); ++i) {
            values[i] = columns[found[i]].values[point];
            check_admissible(symbol_of(evaluator.symbols()[i]), values[i]);
        }
        results.push_back(evaluator.at(values));
    }
    return results;
}

void ExprStore::Arena::evaluate_float(ExprRef root, std::span<const PointColumn> columns, std::span<double> out,
                                      unsigned threads) const {
    const std::vector<std::uint32_t> reachable = reachable_atoms(root);
    if (std::ranges::any_of(reachable, [this](std::uint32_t atom) { return atoms[atom].kind == AtomKind::sum; })) {
        const std::vector<Rational> exact = evaluate_exact(root, columns, out.size());
        std::ranges::transform(exact, out.begin(), [](const Rational& value) {
            return static_cast<double>(value.num) / static_cast<double>(value.den);
        });
        return;
    }
    const FloatProgram program(*this, root);
    std::vector<std::span<const std::int64_t>> ordered;
    for (const std::size_t at : find_bound(program.symbols(), columns)) ordered.push_back(columns[at].values);
    program.run(ordered, out, threads);
}

}  // namespace flopcore
