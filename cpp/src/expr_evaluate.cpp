// Exact values at a point. The fast path keeps every atom in 127 bits and sums terms in 256; whatever does not fit
// there is computed again with integers that grow, so only a value that does not fit is an error.
#include <algorithm>

#include "expr_arena.hpp"
#include "wide.hpp"

namespace flopcore {
namespace {

using Arena = ExprStore::Arena;

std::size_t index_of(std::span<const std::uint32_t> reachable, std::uint32_t atom) {
    return static_cast<std::size_t>(std::ranges::lower_bound(reachable, atom) - reachable.begin());
}

[[noreturn]] void throw_bad_divisor(const Arena& arena, std::uint32_t atom) {
    throw DataError("in " + arena.text(arena.atoms[atom].self, false) + " the divisor is not positive at this point");
}

// Values of the reachable atoms so far, all integers of 127 bits; empty results mean "does not fit here".
class FastPoint {
  public:
    FastPoint(const Arena& arena, std::span<const std::uint32_t> reachable, std::span<const Int128> symbols)
        : arena_(arena), reachable_(reachable), symbols_(symbols), values_(reachable.size()) {}

    [[nodiscard]] std::optional<Rational> run(ExprRef root) {
        for (std::size_t i = 0; i < reachable_.size(); ++i) {
            const std::optional<Int128> value = atom(i);
            if (!value) return std::nullopt;
            values_[i] = *value;
        }
        return polynomial(root);
    }

  private:
    [[nodiscard]] std::optional<Int128> atom(std::size_t i) const {
        const std::uint32_t id = reachable_[i];
        const auto args = arena_.args_of(id);
        const AtomKind kind = arena_.atoms[id].kind;
        if (kind == AtomKind::symbol) return symbols_[i];
        if (kind == AtomKind::floordiv) {
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
        std::optional<Int128> best;
        for (const ExprRef arg : args) {
            const auto value = polynomial(arg);
            if (!value || !value->is_integer()) return std::nullopt;
            if (!best || (kind == AtomKind::minimum ? value->num < *best : value->num > *best)) best = value->num;
        }
        return best;
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
                const Int128 value = values_[index_of(reachable_, factor.atom)];
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
    std::span<const std::uint32_t> reachable_;
    std::span<const Int128> symbols_;
    std::vector<Int128> values_;
};

// The same without any limit but BigInt's own.
class BigPoint {
  public:
    BigPoint(const Arena& arena, std::span<const std::uint32_t> reachable, std::span<const Int128> symbols)
        : arena_(arena), reachable_(reachable), symbols_(symbols), values_(reachable.size()) {}

    [[nodiscard]] BigRational run(ExprRef root) {
        for (std::size_t i = 0; i < reachable_.size(); ++i) values_[i] = atom(i);
        return polynomial(root);
    }

  private:
    [[nodiscard]] BigRational atom(std::size_t i) const {
        const std::uint32_t id = reachable_[i];
        const auto args = arena_.args_of(id);
        const AtomKind kind = arena_.atoms[id].kind;
        if (kind == AtomKind::symbol) return {BigInt(symbols_[i]), BigInt(1)};
        if (kind == AtomKind::floordiv) {
            const BigRational num = polynomial(args[0]);
            const BigRational den = polynomial(args[1]);
            if (den.num.is_zero() || den.num.is_negative()) throw_bad_divisor(arena_, id);
            return {BigInt::floor_divide(num.num * den.den, num.den * den.num), BigInt(1)};
        }
        BigRational best = polynomial(args[0]);
        for (const ExprRef arg : args.subspan(1)) {
            BigRational value = polynomial(arg);
            const int order = compare(value, best);
            if (kind == AtomKind::minimum ? order < 0 : order > 0) best = std::move(value);
        }
        return best;
    }

    [[nodiscard]] BigRational polynomial(ExprRef expr) const {
        BigRational total;
        Term room{};
        for (const Term& term : arena_.terms_of(expr, &room)) {
            const Rational coef = arena_.coef_value(term.coef);
            BigRational product{BigInt(coef.num), BigInt(coef.den)};
            for (const Factor& factor : arena_.factors_of(term.monomial))
                for (std::uint32_t k = 0; k < factor.exponent; ++k)
                    product = mul(product, values_[index_of(reachable_, factor.atom)]);
            total = add(total, product);
        }
        return total;
    }

    const Arena& arena_;
    std::span<const std::uint32_t> reachable_;
    std::span<const Int128> symbols_;
    std::vector<BigRational> values_;
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

Rational ExprStore::Arena::evaluate(ExprRef root, std::span<const Point> point) const {
    if (root.is_small()) return {root.value(), 1};
    const std::vector<std::uint32_t> reachable = reachable_atoms(root);
    std::vector<Int128> values(reachable.size());
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < reachable.size(); ++i) {
        if (atoms[reachable[i]].kind != AtomKind::symbol) continue;
        const Symbol& symbol = symbol_of(reachable[i]);
        const auto bound = std::ranges::find(point, symbol.name, &Point::name);
        if (bound == point.end()) {
            missing.push_back(symbol.name);
            continue;
        }
        check_admissible(symbol, bound->value);
        values[i] = bound->value;
    }
    if (!missing.empty()) {
        std::ranges::sort(missing);
        std::string names;
        for (const std::string& name : missing) names += (names.empty() ? "'" : ", '") + name + "'";
        throw DataError("no value for dim " + names + "; bind every dim to get a number");
    }
    if (const auto value = FastPoint(*this, reachable, values).run(root)) return *value;
    const std::optional<Rational> value = BigPoint(*this, reachable, values).run(root).as_rational();
    if (!value) throw_overflow("value of an expression");
    return *value;
}

}  // namespace flopcore
