// Ring operations on canonical polynomials, and the public face of the arena.
#include "flopcore/expr.hpp"

#include <algorithm>
#include <unordered_map>

#include "expr_arena.hpp"

namespace flopcore {

ExprRef ExprStore::Arena::constant(Rational value) {
    if (value.den == 1 && ExprRef::fits(value.num)) return ExprRef::small(static_cast<std::int64_t>(value.num));
    return intern_single({kUnit, make_coef(value)});
}

bool ExprStore::Arena::is_constant(ExprRef a) const {
    Term room{};
    const auto own = terms_of(a, &room);
    return own.empty() || (own.size() == 1 && own[0].monomial == kUnit);
}

Rational ExprStore::Arena::constant_value(ExprRef a) const {
    FLOPCORE_ASSERT(is_constant(a));
    return a.is_small() ? Rational{a.value(), 1} : coef_value(terms[polynomials[a.id()].first].coef);
}

ExprRef ExprStore::Arena::add(ExprRef a, ExprRef b) {
    if (a.is_term() && b.is_term() && a.monomial() == b.monomial())
        return intern_single({a.monomial(), ExprRef::small(a.coefficient() + b.coefficient())});
    Term left_room{};
    Term right_room{};
    const auto left = terms_of(a, &left_room);
    const auto right = terms_of(b, &right_room);
    if (left.empty()) return b;
    if (right.empty()) return a;
    scratch.clear();
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < left.size() && j < right.size()) {
        const int order = compare_monomials(left[i].monomial, right[j].monomial);
        if (order == 0) {
            const Coef sum = add_coefs(left[i].coef, right[j].coef);
            if (sum != ExprRef::small(0)) scratch.push_back({left[i].monomial, sum});
            ++i;
            ++j;
        } else {
            scratch.push_back(order < 0 ? left[i++] : right[j++]);
        }
    }
    scratch.insert(scratch.end(), left.begin() + static_cast<std::ptrdiff_t>(i), left.end());
    scratch.insert(scratch.end(), right.begin() + static_cast<std::ptrdiff_t>(j), right.end());
    return intern(scratch);
}

ExprRef ExprStore::Arena::scale(ExprRef a, Coef factor) {
    if (factor == ExprRef::small(1)) return a;
    if (factor == ExprRef::small(0)) return factor;
    Term room{};
    const auto own = terms_of(a, &room);
    if (own.size() == 1) {
        const Term only = own[0];
        return intern_single({only.monomial, mul_coefs(only.coef, factor)});
    }
    scratch.clear();
    for (const Term& term : own) scratch.push_back({term.monomial, mul_coefs(term.coef, factor)});
    return intern(scratch);
}

ExprRef ExprStore::Arena::mul(ExprRef a, ExprRef b) {
    if (b.is_small()) return scale(a, b);
    if (a.is_small()) return scale(b, a);
    Term left_room{};
    Term right_room{};
    auto left = terms_of(a, &left_room);
    auto right = terms_of(b, &right_room);
    if (left.size() > right.size()) {
        std::swap(a, b);
        std::swap(left, right);
    }
    if (left.size() == 1) {
        const Term factor = left[0];
        if (factor.monomial == kUnit) return scale(b, factor.coef);
        if (right.size() == 1) {
            const Term other = right[0];
            return intern_single({mul_monomials(factor.monomial, other.monomial), mul_coefs(factor.coef, other.coef)});
        }
        // Multiplying by one term keeps the order of terms.
        scratch.clear();
        for (const Term& other : right)
            scratch.push_back({mul_monomials(factor.monomial, other.monomial), mul_coefs(factor.coef, other.coef)});
        return intern(scratch);
    }
    if (left.size() * right.size() > kMaxProducts)
        throw OverflowError_("a product of " + std::to_string(left.size()) + " by " + std::to_string(right.size()) +
                             " terms is beyond the limit of " + std::to_string(kMaxProducts) + " products");
    scratch.clear();
    for (const Term& x : left)
        for (const Term& y : right)
            scratch.push_back({mul_monomials(x.monomial, y.monomial), mul_coefs(x.coef, y.coef)});
    return collect(scratch);
}

ExprRef ExprStore::Arena::pow(ExprRef a, std::uint32_t exponent) {
    ExprRef result = ExprRef::small(1);
    for (ExprRef square = a; exponent != 0; exponent >>= 1) {
        if (exponent & 1U) result = mul(result, square);
        if (exponent > 1) square = mul(square, square);
    }
    return result;
}

ExprStore::ExprStore() : arena_(std::make_unique<Arena>()) {}
ExprStore::~ExprStore() = default;
ExprStore::ExprStore(ExprStore&&) noexcept = default;
ExprStore& ExprStore::operator=(ExprStore&&) noexcept = default;
ExprStore::ExprStore(const ExprStore& other) : arena_(std::make_unique<Arena>(*other.arena_)) {}
ExprStore& ExprStore::operator=(const ExprStore& other) {
    if (this != &other) arena_ = std::make_unique<Arena>(*other.arena_);
    return *this;
}

ExprRef ExprStore::big_constant(Int128 value) { return arena_->constant(Rational{value, 1}); }
ExprRef ExprStore::constant(Rational value) { return arena_->constant(value); }
ExprRef ExprStore::symbol(const Symbol& symbol) { return arena_->atoms[arena_->intern_symbol(symbol)].self; }

ExprRef ExprStore::add_slow(ExprRef a, ExprRef b) {
    if (a.is_small() && b.is_small()) return constant(Int128{a.value()} + b.value());
    return arena_->add(a, b);
}

ExprRef ExprStore::combine(std::span<const std::pair<ExprRef, Rational>> parts) {
    std::unordered_map<std::uint32_t, Rational> sums;  // of the coefficients, by monomial
    for (const auto& [part, factor] : parts) {
        Term room{};
        for (const Term& term : arena_->terms_of(part, &room)) {
            const auto [sum, fresh] = sums.try_emplace(term.monomial, Rational{0, 1});
            sum->second = flopcore::add(sum->second, flopcore::mul(arena_->coef_value(term.coef), factor));
        }
    }
    std::vector<Term> terms;
    for (const auto& [monomial, sum] : sums) terms.push_back({monomial, arena_->make_coef(sum)});
    return arena_->collect(terms);
}

ExprRef ExprStore::multiply_slow(std::span<const ExprRef> factors) {
    ExprRef numbers = ExprRef::small(1), others = numbers;
    for (const ExprRef factor : factors) {
        ExprRef& part = factor.is_small() ? numbers : others;
        part = mul(part, factor);
    }
    return mul(others, numbers);
}
ExprRef ExprStore::mul_slow(ExprRef a, ExprRef b) {
    if (a.is_small() && b.is_small()) return constant(Int128{a.value()} * b.value());
    return arena_->mul(a, b);
}
ExprRef ExprStore::scale(ExprRef a, Rational factor) {
    return arena_->scale(a, arena_->make_coef(make_rational(factor.num, factor.den)));
}
ExprRef ExprStore::pow(ExprRef a, std::uint32_t exponent) { return arena_->pow(a, exponent); }
// Plain integers, which a walk over bound dims divides by the million, never touch the arena.
ExprRef ExprStore::floordiv(ExprRef a, ExprRef b) {
    if (!a.is_small() || !b.is_small() || b.value() <= 0) return arena_->floordiv(a, b);
    const std::int64_t quotient = a.value() / b.value();
    return ExprRef::small(quotient - (a.value() % b.value() < 0 ? 1 : 0));
}
ExprRef ExprStore::ceildiv(ExprRef a, ExprRef b) {
    if (!a.is_small() || !b.is_small() || b.value() <= 0) return arena_->ceildiv(a, b);
    const std::int64_t quotient = a.value() / b.value();
    return ExprRef::small(quotient + (a.value() % b.value() > 0 ? 1 : 0));
}
ExprRef ExprStore::min(ExprRef a, ExprRef b) {
    if (a.is_small() && b.is_small()) return a.value() < b.value() ? a : b;
    const ExprRef both[] = {a, b};
    return arena_->extremum(AtomKind::minimum, both);
}
ExprRef ExprStore::max(ExprRef a, ExprRef b) {
    if (a.is_small() && b.is_small()) return a.value() > b.value() ? a : b;
    const ExprRef both[] = {a, b};
    return arena_->extremum(AtomKind::maximum, both);
}

ExprRef ExprStore::sum(ExprRef body, std::string_view index, ExprRef low, ExprRef high) {
    for (const ExprRef end : {low, high})
        if (!arena_->divisibility(end).integer)
            throw DataError("a sum over '" + std::string(index) + "' needs integer ends, not " + text(end));
    const std::optional<std::uint32_t> atom = arena_->find_symbol(index);
    if (!atom) return mul(body, sub(max(low, high), low));  // body cannot depend on it
    const Symbol& symbol = arena_->symbol_of(*atom);
    const Interval first = bounds(low);
    const Interval last = bounds(high);
    const bool fits = first.low && compare(*first.low, {symbol.min, 1}) >= 0 && symbol.multiple_of == 1 &&
                      (!symbol.max || (last.high && compare(*last.high, {Int128{*symbol.max} + 1, 1}) <= 0));
    if (!fits && low != high)
        throw DataError("the sum over '" + symbol.name + "' from " + text(low) + " to " + text(high) +
                        " - 1 leaves what that dim may be (min=" + std::to_string(symbol.min) +
                        ", max=" + (symbol.max ? std::to_string(*symbol.max) : "None") +
                        ", multiple_of=" + std::to_string(symbol.multiple_of) + ")");
    return arena_->sum(body, *atom, low, high);
}

bool ExprStore::is_constant(ExprRef a) const { return arena_->is_constant(a); }
Rational ExprStore::constant_value(ExprRef a) const { return arena_->constant_value(a); }
std::optional<Int128> ExprStore::as_integer(ExprRef a) const {
    if (a.is_small()) return a.value();
    if (!is_constant(a)) return std::nullopt;
    const Rational value = constant_value(a);
    return value.is_integer() ? std::optional<Int128>(value.num) : std::nullopt;
}

std::optional<bool> ExprStore::equal(ExprRef a, ExprRef b) const {
    if (a == b) return true;
    const Interval difference = arena_->difference_bounds(a, b);
    if ((difference.low && difference.low->num > 0) || (difference.high && difference.high->num < 0)) return false;
    return std::nullopt;
}
std::optional<bool> ExprStore::less_equal(ExprRef a, ExprRef b) const {
    if (a == b) return true;
    if (a.is_small() && b.is_small()) return a.value() <= b.value();
    const Interval difference = arena_->difference_bounds(b, a);
    if (difference.low && difference.low->num >= 0) return true;
    if (difference.high && difference.high->num < 0) return false;
    // Intervals lose that min(x, y) <= x; its arguments tell: each of a max must be below, of a min one suffices.
    const auto arguments = [&](ExprRef e, AtomKind kind) -> std::span<const ExprRef> {
        const auto atom = arena_->lone_atom(e);
        if (!atom || arena_->atoms[*atom].kind != kind) return {};
        return arena_->args_of(*atom);
    };
    const auto below = [&](ExprRef argument) { return less_equal(argument, b) == true; };
    const auto above = [&](ExprRef argument) { return less_equal(a, argument) == true; };
    if (const auto args = arguments(a, AtomKind::maximum); !args.empty() && std::ranges::all_of(args, below))
        return true;
    if (const auto args = arguments(b, AtomKind::minimum); !args.empty() && std::ranges::all_of(args, above))
        return true;
    if (std::ranges::any_of(arguments(a, AtomKind::minimum), below)) return true;
    if (std::ranges::any_of(arguments(b, AtomKind::maximum), above)) return true;
    return std::nullopt;
}

ExprRef ExprStore::import(const ExprStore& other, ExprRef a) {
    if (&other == this || a.is_small()) return a;
    return arena_->import(*other.arena_, a);
}
ExprRef ExprStore::substitute(ExprRef a, std::span<const Binding> bindings) { return arena_->substitute(a, bindings); }
Rational ExprStore::evaluate(ExprRef a, std::span<const Point> point) const { return arena_->evaluate(a, point); }
Rational ExprStore::evaluate(ExprRef a, std::span<const Binding> bindings) const {
    std::vector<Point> point;
    for (const Binding& binding : bindings) {
        const std::optional<Int128> value = as_integer(binding.value);
        if (!value)
            throw DataError("dim '" + std::string(binding.name) + "' is bound to " + text(binding.value) +
                            "; a value needs an integer");
        point.push_back({binding.name, *value});
    }
    return arena_->evaluate(a, point);
}
void ExprStore::evaluate_float(ExprRef a, std::span<const PointColumn> columns, std::span<double> out,
                               unsigned threads) const {
    arena_->evaluate_float(a, columns, out, threads);
}
std::vector<Rational> ExprStore::evaluate_exact(ExprRef a, std::span<const PointColumn> columns, std::size_t n) const {
    return arena_->evaluate_exact(a, columns, n);
}
Interval ExprStore::bounds(ExprRef a) const { return arena_->bounds(a); }
std::int64_t ExprStore::at_least_slow(ExprRef a) const {
    if (a.is_term() && a.coefficient() == 1) return arena_->monomials[a.monomial()].at_least;
    return floor_in_64_bits(bounds(a).low);
}
std::uint32_t ExprStore::multiply_monomials(std::uint32_t a, std::uint32_t b) { return arena_->mul_monomials(a, b); }

std::vector<Symbol> ExprStore::free_symbols(ExprRef a) const {
    std::vector<Symbol> found;
    for (const std::uint32_t atom : arena_->reachable_atoms(a))
        if (arena_->atoms[atom].kind == AtomKind::symbol) found.push_back(arena_->symbol_of(atom));
    std::ranges::sort(found, {}, &Symbol::name);
    return found;
}

std::optional<std::uint32_t> ExprStore::degree(ExprRef a, std::string_view name) const {
    const Arena& arena = *arena_;
    const std::vector<std::uint32_t> reachable = arena.reachable_atoms(a);
    std::vector<std::optional<std::uint32_t>> degrees(reachable.size());  // of each atom
    const auto degree_of = [&](ExprRef expr) -> std::optional<std::uint32_t> {
        std::uint32_t highest = 0;
        Term room{};
        for (const Term& term : arena.terms_of(expr, &room)) {
            std::uint32_t sum = 0;
            for (const Factor& factor : arena.factors_of(term.monomial)) {
                const auto at = std::ranges::lower_bound(reachable, factor.atom) - reachable.begin();
                const auto& own = degrees[static_cast<std::size_t>(at)];
                if (!own) return std::nullopt;
                sum += *own * factor.exponent;
            }
            highest = std::max(highest, sum);
        }
        return highest;
    };
    for (std::size_t i = 0; i < reachable.size(); ++i) {
        const std::uint32_t atom = reachable[i];
        const auto args = arena.args_of(atom);
        switch (arena.atoms[atom].kind) {
            case AtomKind::symbol:
                degrees[i] = arena.symbol_of(atom).name == name ? 1U : 0U;
                break;
            case AtomKind::floordiv:
                if (degree_of(args[1]) == 0U) degrees[i] = degree_of(args[0]);
                break;
            case AtomKind::index:
                degrees[i] = 0U;
                break;
            case AtomKind::minimum:
            case AtomKind::maximum:
            case AtomKind::sum:
                if (std::ranges::all_of(args, [&](ExprRef arg) { return degree_of(arg) == 0U; })) degrees[i] = 0U;
                break;
        }
    }
    return degree_of(a);
}

std::vector<TermView> ExprStore::terms(ExprRef a) const {
    std::vector<TermView> result;
    Term room{};
    for (const Term& term : arena_->terms_of(a, &room)) {
        TermView view{arena_->coef_value(term.coef), {}};
        for (const Factor& factor : arena_->factors_of(term.monomial))
            view.factors.emplace_back(arena_->atoms[factor.atom].self, factor.exponent);
        result.push_back(std::move(view));
    }
    return result;
}

std::optional<Head> ExprStore::head(ExprRef a) const {
    const std::optional<std::uint32_t> atom = arena_->lone_atom(a);
    if (!atom) return std::nullopt;
    Head head{arena_->atoms[*atom].kind, {}, 0, {}};
    if (head.kind == AtomKind::symbol) head.symbol = arena_->symbol_of(*atom);
    if (head.kind == AtomKind::index) head.level = arena_->atoms[*atom].symbol;
    const auto args = arena_->args_of(*atom);
    head.args.assign(args.begin(), args.end());
    return head;
}

std::uint64_t ExprStore::hash(ExprRef a) const {
    return a.is_small() ? mix(0, static_cast<std::uint64_t>(a.value())) : arena_->hash_of(a);
}

bool ExprStore::same(ExprRef a, const ExprStore& other, ExprRef b) const {
    if (&other == this || a.is_small() || b.is_small()) return a == b;
    if (hash(a) != other.hash(b)) return false;
    // Equal hashes are all but proof; importing both into one arena is the proof.
    try {
        Arena both;
        const ExprRef left = both.import(*arena_, a);
        return left == both.import(*other.arena_, b);
    } catch (const DataError&) {  // one name with two definitions: different dims
        return false;
    }
}

std::string ExprStore::text(ExprRef a) const { return arena_->text(a, false); }
std::string ExprStore::latex(ExprRef a) const { return arena_->text(a, true); }

std::size_t ExprStore::n_expressions() const { return arena_->polynomials.size(); }
std::size_t ExprStore::memory_bytes() const { return arena_->memory_bytes(); }

}  // namespace flopcore
