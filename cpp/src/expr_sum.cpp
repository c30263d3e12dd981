// Sums over an index. A range is cut where a min or max of forms linear in the index changes its mind; on each piece a
// polynomial is summed by Faulhaber's formula; what is left becomes an atom that evaluation adds up.
#include <algorithm>

#include "expr_arena.hpp"

namespace flopcore {
namespace {

using Arena = ExprStore::Arena;

constexpr std::size_t kMaxCuts = 256;
constexpr std::uint32_t kMaxPower = 24;  // of the index, in closed form
constexpr Int128 kMaxWrittenOut = 64;    // steps of a sum with constant ends that are written out

// Terms of p by their power of the index; empty when the index also stands inside another atom.
std::optional<std::vector<std::vector<Term>>> by_power(Arena& arena, ExprRef p, std::uint32_t index,
                                                       std::span<const std::uint32_t> dependent) {
    std::vector<std::vector<Term>> powers(1);
    Term room{};
    const auto own = arena.terms_of(p, &room);
    for (const Term& term : std::vector<Term>(own.begin(), own.end())) {
        std::uint32_t power = 0;
        for (const Factor& factor : arena.factors_of(term.monomial)) {
            if (factor.atom == index)
                power = factor.exponent;
            else if (std::ranges::binary_search(dependent, factor.atom))
                return std::nullopt;
        }
        if (powers.size() <= power) powers.resize(power + 1);
        const Factor index_power{index, power};
        const std::uint32_t divisor = power == 0 ? kUnit : arena.intern_monomial({&index_power, 1});
        powers[power].push_back({*arena.divide_monomials(term.monomial, divisor), term.coef});
    }
    return powers;
}

bool depends(const Arena& arena, ExprRef p, std::uint32_t index, std::span<const std::uint32_t> dependent) {
    Term room{};
    for (const Term& term : arena.terms_of(p, &room))
        for (const Factor& factor : arena.factors_of(term.monomial))
            if (factor.atom == index || std::ranges::binary_search(dependent, factor.atom)) return true;
    return false;
}

// Atoms of p that depend on the index, itself not among them; ascending.
std::vector<std::uint32_t> dependent_atoms(const Arena& arena, ExprRef p, std::uint32_t index) {
    std::vector<std::uint32_t> found;
    for (const std::uint32_t atom : arena.reachable_atoms(p))
        if (std::ranges::any_of(arena.args_of(atom),
                                [&](ExprRef argument) { return depends(arena, argument, index, found); }))
            found.push_back(atom);
    return found;
}

// Sum of i ** k for i = 0 .. n-1, as coefficients of n ** 0, n ** 1, ...: from
// n ** (k+1) = sum over j <= k of binomial(k+1, j) * S_j(n), which telescopes (i+1) ** (k+1) - i ** (k+1).
std::vector<std::vector<Rational>> power_sums(std::uint32_t highest) {
    std::vector<std::vector<Rational>> sums;
    for (std::uint32_t k = 0; k <= highest; ++k) {
        std::vector<Rational> sum(k + 2, Rational{0, 1});
        sum[k + 1] = {1, 1};
        Int128 binomial = 1;
        for (std::uint32_t j = 0; j < k; ++j) {
            for (std::size_t i = 0; i < sums[j].size(); ++i) sum[i] = add(sum[i], mul({-binomial, 1}, sums[j][i]));
            binomial = checked_mul(binomial, k + 1 - j) / (j + 1);
        }
        for (Rational& coef : sum) coef = mul(coef, {1, k + 1});
        sums.push_back(std::move(sum));
    }
    return sums;
}

ExprRef subtract(Arena& arena, ExprRef a, ExprRef b) { return arena.add(a, arena.scale(b, ExprRef::small(-1))); }

// p at n, by Horner's rule.
ExprRef polynomial_at(Arena& arena, std::span<const Rational> coefs, ExprRef n) {
    ExprRef value = ExprRef::small(0);
    for (std::size_t i = coefs.size(); i-- > 0;) value = arena.add(arena.mul(value, n), arena.constant(coefs[i]));
    return value;
}

struct Piece {  // factor * sum of body
    std::uint32_t index;
    ExprRef factor;
    ExprRef body;
    ExprRef low;
    ExprRef high;
    bool ordered;  // low <= high wherever the expression has a value; else high < low means nothing is added
};

// Two arguments of one min or max whose order along the index is known: their difference is slope * i + offset.
struct Crossing {
    std::uint32_t atom;
    std::size_t left, right;  // positions among the arguments
    ExprRef slope, offset;
    int sign;  // of slope
};

// The index atom for a sum of this body and range.
std::uint32_t bound_index(Arena& arena, ExprRef body, ExprRef low, ExprRef high) {
    std::uint32_t height = 0;
    for (const std::uint32_t atom : arena.reachable_atoms(body)) height = std::max(height, arena.atoms[atom].height);
    if (height + 1 > kMaxLevel)
        throw OverflowError_("sums nest more than " + std::to_string(kMaxLevel) + " levels without a closed form");
    return arena.intern_index(height + 1,
                              {arena.bounds(low).low, arena.bounds(subtract(arena, high, ExprRef::small(1))).high});
}

class Summation {
  public:
    explicit Summation(Arena& arena) : arena_(arena) {}

    ExprRef run(const Piece& whole) {
        todo_ = {whole};
        std::size_t n_cuts = 0;
        while (!todo_.empty()) {
            Piece piece = todo_.back();
            todo_.pop_back();
            if (piece.low == piece.high || piece.body == ExprRef::small(0)) continue;
            const std::vector<std::uint32_t> dependent = dependent_atoms(arena_, piece.body, piece.index);
            const auto powers = by_power(arena_, piece.body, piece.index, dependent);
            if (powers && powers->size() <= kMaxPower + 1) {
                put_in_order(piece);
                add_polynomial(piece, *powers);
            } else if (!separate(piece, dependent)) {
                if (!powers && n_cuts < kMaxCuts && cut(piece, dependent))
                    ++n_cuts;
                else if (const std::uint32_t index = bound_index(arena_, piece.body, piece.low, piece.high);
                         index != piece.index)
                    rename(piece, index);  // tighter bounds may let the body simplify
                else
                    add(piece, arena_.lazy_sum(piece.body, piece.index, piece.low, piece.high));
            }
        }
        return total_;
    }

  private:
    void put_in_order(Piece& piece) {
        const ExprRef ends[] = {piece.low, piece.high};
        if (!piece.ordered) piece.high = arena_.extremum(AtomKind::maximum, ends);
        piece.ordered = true;
    }

    void rename(Piece piece, std::uint32_t index) {
        const Arena::Replacement renamed[] = {{piece.index, arena_.atoms[index].self}};
        piece.body = arena_.replace(piece.body, renamed);
        piece.index = index;
        todo_.push_back(piece);
    }

    void add(const Piece& piece, ExprRef value) { total_ = arena_.add(total_, arena_.mul(piece.factor, value)); }

    void add_polynomial(const Piece& piece, std::span<const std::vector<Term>> powers) {
        const auto sums = power_sums(static_cast<std::uint32_t>(powers.size() - 1));
        for (std::size_t k = 0; k < powers.size(); ++k) {
            std::vector<Term> coefficient = powers[k];
            const ExprRef steps =
                subtract(arena_, polynomial_at(arena_, sums[k], piece.high), polynomial_at(arena_, sums[k], piece.low));
            add(piece, arena_.mul(arena_.collect(coefficient), steps));
        }
    }

    // Takes a sum apart into its terms and pulls out what is free of the index; false if the body is one bare term.
    bool separate(const Piece& piece, std::span<const std::uint32_t> dependent) {
        Term room{};
        const auto own = arena_.terms_of(piece.body, &room);
        const std::vector<Term> terms(own.begin(), own.end());
        std::vector<Term> polynomial;
        for (const Term& term : terms) {
            std::vector<Factor> inner;
            std::vector<Factor> outer;
            bool bare = true;
            for (const Factor& factor : arena_.factors_of(term.monomial)) {
                const bool hidden = std::ranges::binary_search(dependent, factor.atom);
                bare = bare && !hidden;
                (hidden || factor.atom == piece.index ? inner : outer).push_back(factor);
            }
            const bool power_fits = inner.empty() || inner[0].exponent <= kMaxPower;
            if (bare && power_fits) {
                polynomial.push_back(term);
                continue;
            }
            if (terms.size() == 1 && outer.empty() && term.coef == ExprRef::small(1)) return false;
            const ExprRef factor = arena_.intern_single({arena_.intern_monomial(outer), term.coef});
            const ExprRef body = arena_.intern_single({arena_.intern_monomial(inner), ExprRef::small(1)});
            todo_.push_back(
                {piece.index, arena_.mul(piece.factor, factor), body, piece.low, piece.high, piece.ordered});
        }
        todo_.push_back({piece.index, piece.factor, arena_.intern(polynomial), piece.low, piece.high, piece.ordered});
        return true;
    }

    // Resolves one min or max: by merging arguments of equal slope, or by cutting the range where two arguments
    // cross. False when there is none to resolve.
    bool cut(Piece piece, std::span<const std::uint32_t> dependent) {
        std::optional<Crossing> chosen;
        for (const std::uint32_t atom : dependent) {
            const AtomKind kind = arena_.atoms[atom].kind;
            if (kind != AtomKind::minimum && kind != AtomKind::maximum) continue;
            // The first in canonical order, so that the result does not depend on how the body was built.
            if (chosen && arena_.compare_atoms(chosen->atom, atom) < 0) continue;
            if (const auto crossing = find_crossing(atom, piece.index, dependent)) chosen = crossing;
        }
        if (!chosen) return false;
        const auto own = arena_.args_of(chosen->atom);
        const std::vector<ExprRef> args(own.begin(), own.end());
        const auto without = [&](std::size_t dropped, ExprRef low, ExprRef high) {
            std::vector<ExprRef> kept = args;
            kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(dropped));
            const Arena::Replacement simpler[] = {
                {chosen->atom, arena_.extremum(arena_.atoms[chosen->atom].kind, kept)}};
            todo_.push_back({piece.index, piece.factor, arena_.replace(piece.body, simpler), low, high, true});
        };
        if (chosen->sign == 0) {
            // a i + b against a i + c: merge to a i + min(b, c).
            const AtomKind kind = arena_.atoms[chosen->atom].kind;
            const ExprRef shifts[] = {chosen->offset, ExprRef::small(0)};
            std::vector<ExprRef> kept = args;
            kept[chosen->left] = arena_.add(args[chosen->right], arena_.extremum(kind, shifts));
            kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(chosen->right));
            const Arena::Replacement simpler[] = {{chosen->atom, arena_.extremum(kind, kept)}};
            todo_.push_back(
                {piece.index, piece.factor, arena_.replace(piece.body, simpler), piece.low, piece.high, piece.ordered});
            return true;
        }
        // With slope > 0 the left argument is at most the right one up to i = floor(-offset / slope), then more.
        put_in_order(piece);
        std::size_t lower = chosen->left;
        std::size_t upper = chosen->right;
        ExprRef slope = chosen->slope;
        ExprRef offset = chosen->offset;
        if (chosen->sign < 0) {
            std::swap(lower, upper);
            slope = arena_.scale(slope, ExprRef::small(-1));
            offset = arena_.scale(offset, ExprRef::small(-1));
        }
        ExprRef turn = arena_.floordiv(arena_.scale(offset, ExprRef::small(-1)), slope);
        turn = arena_.add(turn, ExprRef::small(1));
        const ExprRef from_low[] = {turn, piece.low};
        const ExprRef to_high[] = {arena_.extremum(AtomKind::maximum, from_low), piece.high};
        turn = arena_.extremum(AtomKind::minimum, to_high);
        const bool least = arena_.atoms[chosen->atom].kind == AtomKind::minimum;
        without(least ? upper : lower, piece.low, turn);
        without(least ? lower : upper, turn, piece.high);
        return true;
    }

    std::optional<Crossing> find_crossing(std::uint32_t atom, std::uint32_t index,
                                          std::span<const std::uint32_t> dependent) {
        const auto own = arena_.args_of(atom);
        const std::vector<ExprRef> args(own.begin(), own.end());
        for (std::size_t i = 0; i < args.size(); ++i)
            for (std::size_t j = i + 1; j < args.size(); ++j) {
                const ExprRef difference = subtract(arena_, args[i], args[j]);
                const auto powers = by_power(arena_, difference, index, dependent);
                if (!powers || powers->size() > 2) continue;
                std::vector<Term> offset = (*powers)[0];
                Crossing crossing{atom, i, j, ExprRef::small(0), arena_.collect(offset), 0};
                if (powers->size() == 1) {
                    if (depends(arena_, args[i], index, dependent)) return crossing;
                    continue;
                }
                std::vector<Term> slope = (*powers)[1];
                crossing.slope = arena_.collect(slope);
                const Interval known = arena_.bounds(crossing.slope);
                if (known.low && known.low->num > 0) crossing.sign = 1;
                if (known.high && known.high->num < 0) crossing.sign = -1;
                if (crossing.sign != 0) return crossing;
            }
        return std::nullopt;
    }

    Arena& arena_;
    std::vector<Piece> todo_;
    ExprRef total_ = ExprRef::small(0);
};

}  // namespace

ExprRef ExprStore::Arena::sum(ExprRef body, std::uint32_t index, ExprRef low, ExprRef high) {
    const Interval steps = difference_bounds(high, low);
    if (steps.high && steps.high->num <= 0) return ExprRef::small(0);
    const std::uint32_t bound = bound_index(*this, body, low, high);
    const Replacement renamed[] = {{index, atoms[bound].self}};
    return Summation(*this).run({bound, ExprRef::small(1), replace(body, renamed), low, high, false});
}

ExprRef ExprStore::Arena::lazy_sum(ExprRef body, std::uint32_t index, ExprRef low, ExprRef high) {
    if (is_constant(low) && is_constant(high)) {
        const Int128 first = constant_value(low).num;
        const Int128 steps = constant_value(high).num - first;
        if (steps <= kMaxWrittenOut) {
            ExprRef total = ExprRef::small(0);
            for (Int128 i = 0; i < steps; ++i) {
                const Replacement step[] = {{index, constant({first + i, 1})}};
                total = add(total, replace(body, step));
            }
            return total;
        }
    }
    const ExprRef arguments[] = {atoms[index].self, body, low, high};
    const ExprRef atom = atoms[intern_atom(AtomKind::sum, arguments)].self;
    // Nothing left to bind: a number.
    const bool closed = std::ranges::none_of(reachable_atoms(atom), [&](std::uint32_t id) {
        return atoms[id].kind == AtomKind::symbol || (atoms[id].open & ~((2U << atoms[index].symbol) - 1)) != 0;
    });
    return closed ? constant(evaluate(atom, {})) : atom;
}

}  // namespace flopcore
