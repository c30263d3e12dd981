// floor(a / b) in normal form: whole parts are split off, nested divisions are merged, exact divisions vanish.
#include <algorithm>

#include "expr_arena.hpp"

namespace flopcore {
namespace {

constexpr Int128 kMaxResidues = 1024;  // points tried to see whether a division is exact
constexpr std::size_t kMaxDivisionSteps = 4096;

Int128 common_multiple(Int128 a, Int128 b) {
    const auto common = static_cast<Int128>(gcd(magnitude(a), magnitude(b)));
    return checked_mul(a / common, b);
}

Rational negative(Rational value) { return {checked_sub(0, value.num), value.den}; }

using Arena = ExprStore::Arena;

// floor(p) while p is taken apart: whole + floor(rest + fraction).
struct Floor {
    ExprRef whole = ExprRef::small(0);
    std::vector<Term> rest;  // no constant term
    Rational fraction{0, 1};
    bool integer = true;  // grain * rest is an integer for every admissible value
    Int128 grain = 1;
};

// Moves all that is certainly an integer out of p.
Floor split(Arena& arena, ExprRef p) {
    Floor result;
    std::vector<Term> whole;
    Term room{};
    const auto own = arena.terms_of(p, &room);
    const std::vector<Term> terms(own.begin(), own.end());
    for (const Term& term : terms) {
        const Rational coef = arena.coef_value(term.coef);
        if (term.monomial == kUnit) {
            result.fraction = coef;
            continue;
        }
        const Arena::Monomial monomial = arena.monomials[term.monomial];
        if (!monomial.integer) {
            result.integer = false;
            result.rest.push_back(term);
            continue;
        }
        // coef * monomial = (coef * multiple) * (monomial / multiple), the last factor an integer.
        const Rational scaled = mul(coef, {monomial.multiple, 1});
        const Int128 units = scaled.num / scaled.den;
        if (units != 0) {
            const Rational part = make_rational(units, monomial.multiple);
            whole.push_back({term.monomial, arena.make_coef(part)});
            const Rational left = add(coef, negative(part));
            if (left.num == 0) continue;
            result.rest.push_back({term.monomial, arena.make_coef(left)});
        } else {
            result.rest.push_back(term);
        }
        result.grain = common_multiple(result.grain, scaled.den);
    }
    result.whole = arena.intern(whole);
    return result;
}

// True when num mod den is the same at every integer point, and then what it is.
std::optional<Int128> constant_residue(const Arena& arena, std::span<const Term> num, Int128 den) {
    std::vector<std::uint32_t> atoms;
    std::uint32_t degree = 0;
    for (const Term& term : num) {
        degree = std::max(degree, arena.monomials[term.monomial].degree);
        for (const Factor& factor : arena.factors_of(term.monomial)) {
            if (!arena.atoms[factor.atom].integer) return std::nullopt;
            if (std::ranges::find(atoms, factor.atom) == atoms.end()) atoms.push_back(factor.atom);
        }
    }
    if (degree < 2 || den > kMaxResidues)
        return std::nullopt;  // a linear form whose residue is constant has been split off already
    Int128 n_points = 1;
    for (std::size_t i = 0; i < atoms.size(); ++i) {
        n_points *= den;
        if (n_points > kMaxResidues) return std::nullopt;
    }
    std::optional<Int128> residue;
    for (Int128 point = 0; point < n_points; ++point) {
        Int128 sum = 0;
        for (const Term& term : num) {
            Int128 product = arena.coef_value(term.coef).num % den;
            for (const Factor& factor : arena.factors_of(term.monomial)) {
                Int128 digit = point;
                for (const std::uint32_t atom : atoms) {
                    if (atom == factor.atom) break;
                    digit /= den;
                }
                digit = digit % den * (arena.atoms[factor.atom].multiple % den) % den;
                for (std::uint32_t i = 0; i < factor.exponent; ++i) product = product * digit % den;
            }
            sum = (sum + product) % den;
        }
        sum = (sum + den) % den;
        if (residue && *residue != sum) return std::nullopt;
        residue = sum;
    }
    return residue;
}

ExprRef floordiv_symbolic(Arena& arena, ExprRef a, ExprRef b);

// floor(p).
ExprRef floor_expr(Arena& arena, ExprRef p) {
    ExprRef total = ExprRef::small(0);
    bool negated = false;  // the answer is total + (negated ? -1 : 1) * floor(p)
    const auto finish = [&](ExprRef value) {
        return arena.add(total, negated ? arena.scale(value, ExprRef::small(-1)) : value);
    };
    for (;;) {
        Floor parts = split(arena, p);
        const Int128 grain = parts.grain;
        bool flip = false;
        if (parts.integer && !parts.rest.empty()) {
            // rest moves in steps of 1/grain, so the constant may be rounded down to such a step.
            parts.fraction = make_rational(floor_of(mul(parts.fraction, {grain, 1})), grain);
            flip = arena.coef_value(parts.rest[0].coef).num < 0;
        }
        if (flip) {
            // floor(r) = -ceil(-r) = -floor(-r + (grain - 1) / grain)
            for (Term& term : parts.rest) term.coef = arena.make_coef(negative(arena.coef_value(term.coef)));
            parts.fraction = add(negative(parts.fraction), make_rational(grain - 1, grain));
        }
        const Int128 carry = floor_of(parts.fraction);
        parts.fraction = add(parts.fraction, negative({carry, 1}));
        total = finish(parts.whole);
        negated = negated != flip;
        total = finish(arena.constant({carry, 1}));
        if (parts.rest.empty()) return total;

        const Interval known = arena.bounds(parts.rest);
        if (known.low && known.high) {
            const Int128 low = floor_of(add(*known.low, parts.fraction));
            if (low == floor_of(add(*known.high, parts.fraction))) return finish(arena.constant({low, 1}));
        }

        Int128 den = parts.fraction.den;
        for (const Term& term : parts.rest) den = common_multiple(den, arena.coef_value(term.coef).den);
        std::vector<Term> num;
        for (const Term& term : parts.rest)
            num.push_back({term.monomial, arena.make_coef(mul(arena.coef_value(term.coef), {den, 1}))});
        if (parts.fraction.num != 0) num.push_back({kUnit, arena.make_coef(mul(parts.fraction, {den, 1}))});

        if (parts.integer && parts.rest.size() == 1) {
            // floor((floor(x / y) + n) / k) = floor((x + n y) / (y k)) for integers n, k.
            const Term& only = parts.rest[0];
            const Rational coef = arena.coef_value(only.coef);
            const Rational n = mul(parts.fraction, {coef.den, 1});
            if (coef.num == 1 && n.is_integer() && arena.monomials[only.monomial].degree == 1) {
                const std::uint32_t atom = arena.factors_of(only.monomial)[0].atom;
                if (arena.atoms[atom].kind == AtomKind::floordiv) {
                    const ExprRef x = arena.args_of(atom)[0];
                    const ExprRef y = arena.args_of(atom)[1];
                    const ExprRef shifted = arena.add(x, arena.scale(y, arena.make_coef(n)));
                    const ExprRef divisor = arena.scale(y, arena.make_coef({coef.den, 1}));
                    if (!arena.is_constant(divisor)) return finish(floordiv_symbolic(arena, shifted, divisor));
                    const Rational k = arena.constant_value(divisor);
                    p = arena.scale(shifted, arena.make_coef(make_rational(k.den, k.num)));
                    continue;
                }
            }
        }
        if (const auto residue = constant_residue(arena, num, den)) {
            const ExprRef exact = arena.add(arena.intern(num), arena.constant({-*residue, 1}));
            return finish(arena.scale(exact, arena.make_coef(make_rational(1, den))));
        }
        const ExprRef arguments[] = {arena.intern(num), arena.constant({den, 1})};
        return finish(arena.atoms[arena.intern_atom(AtomKind::floordiv, arguments)].self);
    }
}

// Divides a and b by what surely cancels: rational content, and powers of atoms that are at least 1.
void cancel(Arena& arena, ExprRef& a, ExprRef& b) {
    if (a == ExprRef::small(0)) return;
    Term room{};
    const auto own = arena.terms_of(b, &room);
    const std::vector<Term> divisor(own.begin(), own.end());
    Int128 content = 0;
    Int128 den = 1;
    for (const Term& term : divisor) {
        const Rational coef = arena.coef_value(term.coef);
        content = static_cast<Int128>(gcd(magnitude(content), magnitude(coef.num)));
        den = common_multiple(den, coef.den);
    }
    const Coef inverse = arena.make_coef(make_rational(den, content));
    a = arena.scale(a, inverse);
    b = arena.scale(b, inverse);

    Term a_room{};
    Term b_room{};
    const auto a_terms = arena.terms_of(a, &a_room);
    const auto b_terms = arena.terms_of(b, &b_room);
    std::vector<Factor> common;
    const auto first = arena.factors_of(b_terms[0].monomial);
    for (Factor factor : std::vector<Factor>(first.begin(), first.end())) {
        const auto& low = arena.atoms[factor.atom].bounds.low;
        if (!low || low->num <= 0) continue;
        for (const auto& side : {a_terms, b_terms})
            for (const Term& term : side) {
                std::uint32_t power = 0;
                for (const Factor& other : arena.factors_of(term.monomial))
                    if (other.atom == factor.atom) power = other.exponent;
                factor.exponent = std::min(factor.exponent, power);
            }
        if (factor.exponent != 0) common.push_back(factor);
    }
    if (common.empty()) return;
    const std::uint32_t shared = arena.intern_monomial(common);
    for (ExprRef* side : {&a, &b}) {
        Term side_room{};
        const auto side_terms = arena.terms_of(*side, &side_room);
        std::vector<Term> reduced(side_terms.begin(), side_terms.end());
        for (Term& term : reduced) term.monomial = *arena.divide_monomials(term.monomial, shared);
        *side = arena.intern(reduced);
    }
}

// a = q b + r by polynomial long division, keeping in q only terms that are surely integers.
ExprRef divide_polynomials(Arena& arena, ExprRef a, ExprRef b, ExprRef& rest) {
    std::vector<Term> quotient;
    std::vector<Term> left_over;
    Term b_room{};
    const Term lead = arena.terms_of(b, &b_room)[0];
    const Rational lead_coef = arena.coef_value(lead.coef);
    for (std::size_t step = 0; step < kMaxDivisionSteps && a != ExprRef::small(0); ++step) {
        Term a_room{};
        const Term top = arena.terms_of(a, &a_room)[0];
        ExprRef subtract = arena.intern_single(top);
        const auto monomial = arena.divide_monomials(top.monomial, lead.monomial);
        bool divides = false;
        if (monomial) {
            const Rational coef = mul(arena.coef_value(top.coef), make_rational(lead_coef.den, lead_coef.num));
            const Term term{*monomial, arena.make_coef(coef)};
            if (arena.divisibility({&term, 1}).integer) {
                divides = true;
                quotient.push_back(term);
                subtract = arena.mul(arena.intern_single(term), b);
            }
        }
        if (!divides) left_over.push_back(top);
        a = arena.add(a, arena.scale(subtract, ExprRef::small(-1)));
    }
    rest = arena.add(arena.collect(left_over), a);
    return arena.collect(quotient);
}

// floor(a / b) for a divisor with symbols, taken to be positive wherever the expression has a value. Repeats until
// nothing changes, so that the normal form of a normal form is itself.
ExprRef floordiv_symbolic(Arena& arena, ExprRef a, ExprRef b) {
    ExprRef total = ExprRef::small(0);
    bool negated = false;  // the answer is total + (negated ? -1 : 1) * floor(a / b)
    const auto plus = [&](ExprRef value) {
        return arena.add(total, negated ? arena.scale(value, ExprRef::small(-1)) : value);
    };
    for (;;) {
        const ExprRef before_a = a;
        const ExprRef before_b = b;
        cancel(arena, a, b);
        if (arena.is_constant(b)) {
            const Rational k = arena.constant_value(b);
            return plus(floor_expr(arena, arena.scale(a, arena.make_coef(make_rational(k.den, k.num)))));
        }
        ExprRef rest;
        total = plus(divide_polynomials(arena, a, b, rest));
        if (rest == ExprRef::small(0)) return total;
        const Interval known = arena.quotient_bounds(arena.bounds(rest), arena.bounds(b));
        if (known.low && known.high && floor_of(*known.low) == floor_of(*known.high))
            return plus(arena.constant({floor_of(*known.low), 1}));
        a = rest;
        Term room{};
        if (arena.coef_value(arena.terms_of(a, &room)[0].coef).num < 0 && arena.divisibility(a).integer &&
            arena.divisibility(b).integer) {
            // floor(r / b) = -1 - floor((-r - 1) / b) for integers: the leading term is made positive.
            total = plus(ExprRef::small(-1));
            negated = !negated;
            a = arena.add(arena.scale(a, ExprRef::small(-1)), ExprRef::small(-1));
        }
        if (a != before_a || b != before_b) continue;
        const ExprRef arguments[] = {a, b};
        return plus(arena.atoms[arena.intern_atom(AtomKind::floordiv, arguments)].self);
    }
}

}  // namespace

ExprRef ExprStore::Arena::floordiv(ExprRef a, ExprRef b) {
    if (is_constant(b)) {
        const Rational divisor = constant_value(b);
        if (divisor.num <= 0)
            throw ShapeError("division of " + text(a, false) + " by " + text(b, false) +
                             ": the divisor must be positive");
        return floor_expr(*this, scale(a, make_coef({divisor.den, divisor.num})));
    }
    const Interval known = bounds(b);
    if (known.high && known.high->num <= 0)
        throw ShapeError("division of " + text(a, false) + " by " + text(b, false) + ", which is never positive");
    return floordiv_symbolic(*this, a, b);
}

ExprRef ExprStore::Arena::ceildiv(ExprRef a, ExprRef b) {
    // ceil(a / b) = -floor(-a / b); the normal form turns the sign back where it can.
    return scale(floordiv(scale(a, ExprRef::small(-1)), b), ExprRef::small(-1));
}

}  // namespace flopcore
