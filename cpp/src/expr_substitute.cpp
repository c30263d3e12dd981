// Expressions carried to another store, and symbols replaced by expressions.
#include <algorithm>

#include "expr_arena.hpp"

namespace flopcore {
namespace {

using Arena = ExprStore::Arena;

std::size_t index_of(std::span<const std::uint32_t> reachable, std::uint32_t atom) {
    return static_cast<std::size_t>(std::ranges::lower_bound(reachable, atom) - reachable.begin());
}

// What replaces a symbol must keep the promises that simplification has relied on.
void check_replacement(const Arena& arena, const Symbol& symbol, ExprRef value) {
    if (arena.is_constant(value)) {
        const Rational number = arena.constant_value(value);
        if (!number.is_integer())
            throw DataError("dim '" + symbol.name + "' cannot be " + arena.text(value, false) +
                            ": it must be an integer");
        check_admissible(symbol, number.num);
        return;
    }
    const auto fail = [&](const std::string& promise) {
        throw DataError("dim '" + symbol.name + "' cannot become " + arena.text(value, false) +
                        ": that is not known to be " + promise + "; give its dims tighter bounds");
    };
    const Divisibility known = arena.divisibility(value);
    if (!known.integer) fail("an integer");
    if (known.multiple % symbol.multiple_of != 0) fail("a multiple of " + std::to_string(symbol.multiple_of));
    const Interval range = arena.bounds(value);
    if (!range.low || compare(*range.low, {symbol.min, 1}) < 0) fail("at least " + std::to_string(symbol.min));
    if (symbol.max && (!range.high || compare(*range.high, {*symbol.max, 1}) > 0))
        fail("at most " + std::to_string(*symbol.max));
}

}  // namespace

ExprRef ExprStore::Arena::import(const Arena& other, ExprRef root) {
    const std::vector<std::uint32_t> reachable = other.reachable_atoms(root);
    std::vector<std::uint32_t> here(reachable.size());
    std::vector<Term> mapped;
    std::vector<Factor> mapped_factors;
    // Order depends on names and structure only, so canonical terms stay canonical.
    const auto carry = [&](ExprRef expr) {
        if (expr.is_small()) return expr;
        mapped.clear();
        Term room{};
        for (const Term& term : other.terms_of(expr, &room)) {
            mapped_factors.clear();
            for (const Factor& factor : other.factors_of(term.monomial))
                mapped_factors.push_back({here[index_of(reachable, factor.atom)], factor.exponent});
            const Coef coef = term.coef.is_small() ? term.coef : make_coef(other.coef_value(term.coef));
            mapped.push_back({intern_monomial(mapped_factors), coef});
        }
        return intern(mapped);
    };
    std::vector<ExprRef> arguments;
    for (std::size_t i = 0; i < reachable.size(); ++i) {
        const Atom& atom = other.atoms[reachable[i]];
        if (atom.kind == AtomKind::symbol) {
            here[i] = intern_symbol(other.symbol_of(reachable[i]));
            continue;
        }
        if (atom.kind == AtomKind::index) {
            here[i] = intern_index(atom.symbol, atom.bounds);
            continue;
        }
        arguments.clear();
        for (const ExprRef argument : other.args_of(reachable[i])) arguments.push_back(carry(argument));
        here[i] = intern_atom(atom.kind, arguments);
    }
    return carry(root);
}

ExprRef ExprStore::Arena::substitute(ExprRef root, std::span<const Binding> bindings) {
    std::vector<Replacement> replacements;
    for (const std::uint32_t atom : reachable_atoms(root)) {
        if (atoms[atom].kind != AtomKind::symbol) continue;
        const auto bound = std::ranges::find(bindings, symbol_of(atom).name, &Binding::name);
        if (bound == bindings.end()) continue;
        check_replacement(*this, symbol_of(atom), bound->value);
        replacements.push_back({atom, bound->value});
    }
    return replacements.empty() ? root : replace(root, replacements);
}

ExprRef ExprStore::Arena::replace(ExprRef root, std::span<const Replacement> replacements) {
    const std::vector<std::uint32_t> reachable = reachable_atoms(root);
    std::vector<ExprRef> values(reachable.size());
    const auto rebuild = [&](ExprRef expr) {
        if (expr.is_small()) return expr;
        Term room{};
        const auto stored = terms_of(expr, &room);
        const std::vector<Term> before(stored.begin(), stored.end());
        bool changed = false;
        for (const Term& term : before)
            for (const Factor& factor : factors_of(term.monomial))
                changed = changed || values[index_of(reachable, factor.atom)] != atoms[factor.atom].self;
        if (!changed) return expr;
        std::vector<Term> built;
        for (const Term& term : before) {
            const auto own = factors_of(term.monomial);
            const std::vector<Factor> parts(own.begin(), own.end());
            ExprRef product = intern_single({kUnit, term.coef});
            for (const Factor& factor : parts)
                product = mul(product, pow(values[index_of(reachable, factor.atom)], factor.exponent));
            const auto produced = terms_of(product, &room);
            built.insert(built.end(), produced.begin(), produced.end());
            if (built.size() > kMaxProducts)
                throw OverflowError_("a substitution makes more than " + std::to_string(kMaxProducts) + " terms");
        }
        return collect(built);
    };
    std::vector<ExprRef> arguments;
    for (std::size_t i = 0; i < reachable.size(); ++i) {
        const std::uint32_t atom = reachable[i];
        values[i] = atoms[atom].self;
        const auto replaced = std::ranges::find(replacements, atom, &Replacement::atom);
        if (replaced != replacements.end()) {
            values[i] = replaced->value;
            continue;
        }
        arguments.clear();
        bool changed = false;
        const auto own = args_of(atom);
        const std::vector<ExprRef> before(own.begin(), own.end());
        for (const ExprRef argument : before) {
            arguments.push_back(rebuild(argument));
            changed = changed || arguments.back() != argument;
        }
        if (!changed) continue;
        const AtomKind kind = atoms[atom].kind;
        if (kind == AtomKind::floordiv)
            values[i] = floordiv(arguments[0], arguments[1]);
        else if (kind == AtomKind::sum)
            values[i] = sum(arguments[1], *lone_atom(before[0]), arguments[2], arguments[3]);
        else
            values[i] = extremum(kind, arguments);
    }
    return rebuild(root);
}

}  // namespace flopcore
