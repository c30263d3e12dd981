// Interning and the canonical order of atoms, monomials and polynomials.
#include "expr_arena.hpp"

#include <algorithm>
#include <limits>

namespace flopcore {
namespace {

std::uint64_t hash_text(std::string_view text) {
    std::uint64_t hash = 0x243f6a8885a308d3U;
    for (const char c : text) hash = mix(hash, static_cast<unsigned char>(c));
    return hash;
}

std::uint64_t hash_int(std::uint64_t hash, Int128 value) {
    hash = mix(hash, static_cast<std::uint64_t>(value));
    return mix(hash, static_cast<std::uint64_t>(value >> 64));
}

constexpr std::uint64_t kHashSeed = 0x13198a2e03707344U;
constexpr std::size_t kMaxIds = std::size_t{1} << 31;

std::uint32_t next_id(std::size_t size) {
    if (size >= kMaxIds) throw OverflowError_("an expression store holds at most 2^31 entries");
    return static_cast<std::uint32_t>(size);
}

// A missing end comes first.
int compare_ends(const std::optional<Rational>& a, const std::optional<Rational>& b) {
    if (a && b) return compare(*a, *b);
    return (a ? 1 : 0) - (b ? 1 : 0);
}

std::string describe(const Symbol& symbol) {
    std::string text = "min=" + std::to_string(symbol.min) + ", max=";
    text += symbol.max ? std::to_string(*symbol.max) : "None";
    return text + ", multiple_of=" + std::to_string(symbol.multiple_of);
}

}  // namespace

void InternTable::insert(std::uint64_t hash, std::uint32_t id) {
    if (2 * (n_used_ + 1) > slots_.size()) {
        std::vector<Slot> grown(slots_.empty() ? 16 : 2 * slots_.size());
        const std::size_t mask = grown.size() - 1;
        for (const Slot& slot : slots_) {
            if (slot.id_plus_1 == 0) continue;
            std::size_t at = slot.tag & mask;
            while (grown[at].id_plus_1 != 0) at = (at + 1) & mask;
            grown[at] = slot;
        }
        slots_ = std::move(grown);
    }
    const std::uint32_t tag = tag_of(hash);
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = tag & mask;
    while (slots_[at].id_plus_1 != 0) at = (at + 1) & mask;
    slots_[at] = {id + 1, tag};
    ++n_used_;
}

ExprStore::Arena::Arena() {
    const Rational one{1, 1};
    monomials.push_back({0, 0, 0, true, 1, 1, kHashSeed, {one, one}});
}

Coef ExprStore::Arena::make_coef(Rational value) {
    if (value.den == 1 && ExprRef::fits(value.num)) return ExprRef::small(static_cast<std::int64_t>(value.num));
    const std::uint64_t hash = hash_int(hash_int(0, value.num), value.den);
    if (const auto found = coef_table.find(hash, [&](std::uint32_t id) { return coefs[id] == value; }))
        return ExprRef::stored(*found);
    const std::uint32_t id = next_id(coefs.size());
    coefs.push_back(value);
    coef_table.insert(hash, id);
    return ExprRef::stored(id);
}

std::uint64_t ExprStore::Arena::coef_hash(Coef coef) const {
    if (coef.is_small()) return static_cast<std::uint64_t>(coef.value());
    return hash_int(hash_int(0, coefs[coef.id()].num), coefs[coef.id()].den);
}

Coef ExprStore::Arena::add_coefs(Coef a, Coef b) {
    if (a.is_small() && b.is_small()) {
        const Int128 sum = Int128{a.value()} + b.value();
        if (ExprRef::fits(sum)) return ExprRef::small(static_cast<std::int64_t>(sum));
    }
    return make_coef(flopcore::add(coef_value(a), coef_value(b)));
}

Coef ExprStore::Arena::mul_coefs(Coef a, Coef b) {
    if (a.is_small() && b.is_small()) {
        const Int128 product = Int128{a.value()} * b.value();
        if (ExprRef::fits(product)) return ExprRef::small(static_cast<std::int64_t>(product));
        return make_coef({product, 1});
    }
    return make_coef(flopcore::mul(coef_value(a), coef_value(b)));
}

std::uint32_t ExprStore::Arena::intern_monomial(std::span<const Factor> sorted) {
    if (sorted.empty()) return kUnit;
    std::uint64_t hash = kHashSeed;
    std::uint64_t degree = 0;
    for (const Factor& factor : sorted) {
        hash = mix(mix(hash, atoms[factor.atom].hash), factor.exponent);
        degree += factor.exponent;
    }
    const auto equal = [&](std::uint32_t id) { return std::ranges::equal(factors_of(id), sorted); };
    if (const auto found = monomial_table.find(hash, equal)) return *found;
    if (degree > kMaxDegree)
        throw OverflowError_("an expression of degree " + std::to_string(degree) + " is beyond the limit of " +
                             std::to_string(kMaxDegree));
    bool integer = true;
    std::int64_t multiple = 1;
    for (const Factor& factor : sorted) {
        integer = integer && atoms[factor.atom].integer;
        for (std::uint32_t i = 0; integer && i < factor.exponent; ++i) {
            // A divisor that would leave 62 bits is dropped: a smaller divisor is still a divisor.
            const Int128 wider = Int128{multiple} * atoms[factor.atom].multiple;
            if (!ExprRef::fits(wider) || wider == multiple) break;
            multiple = static_cast<std::int64_t>(wider);
        }
    }
    const std::uint32_t id = next_id(monomials.size());
    const std::uint32_t first = next_id(factors.size());
    factors.insert(factors.end(), sorted.begin(), sorted.end());
    const Interval bounds = product_bounds(sorted);
    monomials.push_back({first, static_cast<std::uint32_t>(sorted.size()), static_cast<std::uint32_t>(degree), integer,
                         integer ? multiple : 1, floor_in_64_bits(bounds.low), hash, bounds});
    monomial_table.insert(hash, id);
    return id;
}

std::uint32_t ExprStore::Arena::mul_monomials(std::uint32_t a, std::uint32_t b) {
    if (a == kUnit) return b;
    if (b == kUnit) return a;
    Product& recent = products[(a + 7 * b) % products.size()];
    if (recent.left == a && recent.right == b) return recent.product;
    scratch_factors.clear();
    const auto left = factors_of(a);
    const auto right = factors_of(b);
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < left.size() && j < right.size()) {
        const int order = compare_atoms(left[i].atom, right[j].atom);
        if (order == 0) {
            scratch_factors.push_back({left[i].atom, left[i].exponent + right[j].exponent});
            ++i;
            ++j;
        } else {
            scratch_factors.push_back(order < 0 ? left[i++] : right[j++]);
        }
    }
    scratch_factors.insert(scratch_factors.end(), left.begin() + static_cast<std::ptrdiff_t>(i), left.end());
    scratch_factors.insert(scratch_factors.end(), right.begin() + static_cast<std::ptrdiff_t>(j), right.end());
    const std::uint32_t product = intern_monomial(scratch_factors);
    recent = {a, b, product};
    return product;
}

std::optional<std::uint32_t> ExprStore::Arena::divide_monomials(std::uint32_t a, std::uint32_t b) {
    if (b == kUnit) return a;
    if (monomials[a].degree < monomials[b].degree) return std::nullopt;
    scratch_factors.clear();
    const auto left = factors_of(a);
    const auto right = factors_of(b);
    std::size_t j = 0;
    for (const Factor& factor : left) {
        if (j < right.size() && right[j].atom == factor.atom) {
            if (right[j].exponent > factor.exponent) return std::nullopt;
            if (factor.exponent > right[j].exponent)
                scratch_factors.push_back({factor.atom, factor.exponent - right[j].exponent});
            ++j;
        } else {
            scratch_factors.push_back(factor);
        }
    }
    if (j < right.size()) return std::nullopt;
    return intern_monomial(scratch_factors);
}

ExprStore::Arena::Difference ExprStore::Arena::monomial_difference(std::uint32_t a, std::uint32_t b) const {
    if (a == b) return {0, 0, 0, false};
    if (monomials[a].degree != monomials[b].degree)
        return {monomials[a].degree > monomials[b].degree ? -1 : 1, 0, 0, false};
    const auto left = factors_of(a);
    const auto right = factors_of(b);
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
        if (left[i].atom != right[i].atom) return {0, left[i].atom, right[i].atom, true};
        if (left[i].exponent != right[i].exponent) return {left[i].exponent > right[i].exponent ? -1 : 1, 0, 0, false};
    }
    return {0, 0, 0, false};  // not reached: equal degrees and equal shared factors are one monomial
}

ExprStore::Arena::Difference ExprStore::Arena::expr_difference(ExprRef a, ExprRef b) const {
    Term left_room{};
    Term right_room{};
    const auto left = terms_of(a, &left_room);
    const auto right = terms_of(b, &right_room);
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
        const Difference monomial = monomial_difference(left[i].monomial, right[i].monomial);
        if (monomial.open || monomial.order != 0) return monomial;
        if (left[i].coef != right[i].coef)
            return {flopcore::compare(coef_value(left[i].coef), coef_value(right[i].coef)), 0, 0, false};
    }
    return {left.size() == right.size() ? 0 : (left.size() < right.size() ? -1 : 1), 0, 0, false};
}

int ExprStore::Arena::compare_atoms(std::uint32_t a, std::uint32_t b) const {
    while (a != b) {
        const Atom& left = atoms[a];
        const Atom& right = atoms[b];
        if (left.kind != right.kind) return left.kind < right.kind ? -1 : 1;
        if (left.kind == AtomKind::symbol) return symbol_of(a).name < symbol_of(b).name ? -1 : 1;
        if (left.kind == AtomKind::index) {
            if (left.symbol != right.symbol) return left.symbol < right.symbol ? -1 : 1;
            const int low = compare_ends(left.bounds.low, right.bounds.low);
            return low != 0 ? low : compare_ends(left.bounds.high, right.bounds.high);
        }
        if (left.n_args != right.n_args) return left.n_args < right.n_args ? -1 : 1;
        std::uint32_t i = 0;
        while (args[left.first_arg + i] == args[right.first_arg + i]) ++i;  // interned: some argument differs
        const Difference difference = expr_difference(args[left.first_arg + i], args[right.first_arg + i]);
        if (!difference.open) return difference.order;
        a = difference.left_atom;
        b = difference.right_atom;
    }
    return 0;
}

int ExprStore::Arena::compare_monomials(std::uint32_t a, std::uint32_t b) const {
    const Difference difference = monomial_difference(a, b);
    return difference.open ? compare_atoms(difference.left_atom, difference.right_atom) : difference.order;
}

int ExprStore::Arena::compare_exprs(ExprRef a, ExprRef b) const {
    const Difference difference = expr_difference(a, b);
    return difference.open ? compare_atoms(difference.left_atom, difference.right_atom) : difference.order;
}

ExprRef ExprStore::Arena::intern_single(Term term) {
    if (term.coef.is_small()) {
        if (term.monomial == kUnit || term.coef == ExprRef::small(0)) return term.coef;
        if (ExprRef::fits_term(term.monomial, term.coef.value()))
            return ExprRef::term(term.monomial, term.coef.value());
    }
    return intern_stored({&term, 1});
}

std::uint64_t ExprStore::Arena::hash_of(std::span<const Term> canonical) const {
    std::uint64_t hash = canonical.size();
    for (const Term& term : canonical) hash = mix(mix(hash, monomials[term.monomial].hash), coef_hash(term.coef));
    return hash;
}

std::uint64_t ExprStore::Arena::hash_of(ExprRef a) const {
    if (!a.is_term()) return polynomials[a.id()].hash;
    Term room{};
    return hash_of(terms_of(a, &room));
}

ExprRef ExprStore::Arena::intern(std::span<const Term> canonical) {
    if (canonical.empty()) return ExprRef::small(0);
    return canonical.size() == 1 ? intern_single(canonical[0]) : intern_stored(canonical);
}

ExprRef ExprStore::Arena::intern_stored(std::span<const Term> canonical) {
    if (canonical.size() > kMaxTerms)
        throw OverflowError_("an expression of " + std::to_string(canonical.size()) + " terms is beyond the limit of " +
                             std::to_string(kMaxTerms));
    const std::uint64_t hash = hash_of(canonical);
    const auto equal = [&](std::uint32_t id) {
        const Polynomial& p = polynomials[id];
        if (p.n != canonical.size()) return false;
        const Term* stored = terms.data() + p.first;
        for (const Term& term : canonical) {
            if (stored->monomial != term.monomial || stored->coef != term.coef) return false;
            ++stored;
        }
        return true;
    };
    if (const auto found = polynomial_table.find(hash, equal)) return ExprRef::stored(*found);
    const std::uint32_t id = next_id(polynomials.size());
    const std::uint32_t first = next_id(terms.size() + canonical.size()) - static_cast<std::uint32_t>(canonical.size());
    terms.insert(terms.end(), canonical.begin(), canonical.end());
    polynomials.push_back({first, static_cast<std::uint32_t>(canonical.size()), hash});
    polynomial_table.insert(hash, id);
    return ExprRef::stored(id);
}

ExprRef ExprStore::Arena::collect(std::vector<Term>& any_order) {
    std::ranges::sort(any_order, [this](const Term& a, const Term& b) {
        return a.monomial != b.monomial && compare_monomials(a.monomial, b.monomial) < 0;
    });
    std::size_t n = 0;
    for (std::size_t i = 0; i < any_order.size();) {
        Term sum = any_order[i];
        for (++i; i < any_order.size() && any_order[i].monomial == sum.monomial; ++i)
            sum.coef = add_coefs(sum.coef, any_order[i].coef);
        if (sum.coef != ExprRef::small(0)) any_order[n++] = sum;
    }
    any_order.resize(n);
    return intern(any_order);
}

std::uint32_t ExprStore::Arena::add_atom(Atom atom) {
    const std::uint32_t id = next_id(atoms.size());
    atoms.push_back(atom);
    const Factor factor{id, 1};
    const ExprRef self = intern_single({intern_monomial({&factor, 1}), ExprRef::small(1)});
    atoms[id].self = self;
    atom_table.insert(atom.hash, id);
    return id;
}

std::optional<std::uint32_t> ExprStore::Arena::find_symbol(std::string_view name) const {
    return atom_table.find(hash_text(name), [&](std::uint32_t id) {
        return atoms[id].kind == AtomKind::symbol && symbol_of(id).name == name;
    });
}

std::uint32_t ExprStore::Arena::intern_symbol(const Symbol& symbol) {
    if (const auto found = find_symbol(symbol.name)) {
        const Symbol& known = symbol_of(*found);
        if (known.min != symbol.min || known.max != symbol.max || known.multiple_of != symbol.multiple_of)
            throw DataError("dim '" + symbol.name + "' was made with " + describe(known) + " and again with " +
                            describe(symbol) + "; use one definition");
        return *found;
    }
    if (symbol.name.empty()) throw DataError("a dim needs a name that is not empty");
    if (symbol.multiple_of < 1)
        throw DataError("dim '" + symbol.name + "': multiple_of must be positive, not " +
                        std::to_string(symbol.multiple_of));
    const Int128 step = symbol.multiple_of;
    const Int128 low = ceil_div(symbol.min, step) * step;
    Interval bounds{Rational{low, 1}, std::nullopt};
    if (symbol.max) {
        const Int128 high = floor_div(*symbol.max, step) * step;
        if (high < low) throw DataError("dim '" + symbol.name + "' can take no value: " + describe(symbol));
        bounds.high = Rational{high, 1};
    }
    const auto index = next_id(symbols.size());
    symbols.push_back(symbol);
    return add_atom({AtomKind::symbol, true, 1, 0, 0, index, 0, 0, hash_text(symbol.name), step, bounds, {}});
}

std::uint32_t ExprStore::Arena::intern_index(std::uint32_t level, const Interval& range) {
    std::uint64_t hash = mix(mix(0x082efa98ec4e6c89U, static_cast<std::uint64_t>(AtomKind::index)), level);
    for (const auto& end : {range.low, range.high}) hash = end ? hash_int(hash, end->num) : mix(hash, 0x452821e6U);
    const auto equal = [&](std::uint32_t id) {
        return atoms[id].kind == AtomKind::index && atoms[id].symbol == level && atoms[id].bounds.low == range.low &&
               atoms[id].bounds.high == range.high;
    };
    if (const auto found = atom_table.find(hash, equal)) return *found;
    return add_atom({AtomKind::index, true, 1, 0, 0, level, 0, 1U << level, hash, 1, range, {}});
}

std::uint32_t ExprStore::Arena::intern_atom(AtomKind kind, std::span<const ExprRef> arguments) {
    std::uint64_t hash = mix(0xa4093822299f31d0U, static_cast<std::uint64_t>(kind));
    for (const ExprRef argument : arguments)
        hash = mix(hash, argument.is_small() ? static_cast<std::uint64_t>(argument.value()) : hash_of(argument));
    const auto equal = [&](std::uint32_t id) {
        return atoms[id].kind == kind && std::ranges::equal(args_of(id), arguments);
    };
    if (const auto found = atom_table.find(hash, equal)) return *found;

    Atom atom{kind, true, 1, next_id(args.size()), static_cast<std::uint32_t>(arguments.size()), 0, 0, 0, hash,
              1,    {},   {}};
    Divisibility common;
    for (const ExprRef argument : arguments) {
        Term room{};
        for (const Term& term : terms_of(argument, &room))
            for (const Factor& factor : factors_of(term.monomial)) {
                atom.depth = std::max(atom.depth, atoms[factor.atom].depth + 1);
                atom.height = std::max(atom.height, atoms[factor.atom].height);
                atom.open |= atoms[factor.atom].open;
            }
        const Divisibility own = divisibility(argument);
        common.integer = common.integer && own.integer;
        common.multiple = static_cast<Int128>(gcd(magnitude(common.multiple), magnitude(own.multiple)));
    }
    if (atom.depth > kMaxDepth)
        throw OverflowError_("an expression nests more than " + std::to_string(kMaxDepth) +
                             " divisions, min, max or sums");
    if (kind == AtomKind::floordiv) {
        atom.bounds = quotient_bounds(bounds(arguments[0]), bounds(arguments[1]));
        for (auto* end : {&atom.bounds.low, &atom.bounds.high})
            if (*end) *end = Rational{floor_of(**end), 1};
    } else if (kind == AtomKind::sum) {
        const std::uint32_t level = atoms[*lone_atom(arguments[0])].symbol;
        const Divisibility own = divisibility(arguments[1]);
        atom.height = level;
        atom.open &= ~(1U << level);
        atom.integer = own.integer;
        if (own.integer) atom.multiple = own.multiple;
        atom.bounds = sum_bounds(arguments[1], arguments[2], arguments[3]);
    } else {
        atom.integer = common.integer;
        if (common.integer) atom.multiple = common.multiple;
        bool first = true;
        const bool least = kind == AtomKind::minimum;
        for (const ExprRef argument : arguments) {
            const Interval own = bounds(argument);
            if (first) {
                atom.bounds = own;
                first = false;
                continue;
            }
            // min: the least of the lower ends, unbounded if any is; the least of the upper ends that exist.
            auto& all = least ? atom.bounds.low : atom.bounds.high;
            auto& any = least ? atom.bounds.high : atom.bounds.low;
            const auto& own_all = least ? own.low : own.high;
            const auto& own_any = least ? own.high : own.low;
            const int sign = least ? 1 : -1;
            if (!own_all || !all)
                all.reset();
            else if (sign * flopcore::compare(*own_all, *all) < 0)
                all = own_all;
            if (own_any && (!any || sign * flopcore::compare(*own_any, *any) < 0)) any = own_any;
        }
    }
    args.insert(args.end(), arguments.begin(), arguments.end());
    return add_atom(atom);
}

std::optional<std::uint32_t> ExprStore::Arena::lone_atom(ExprRef a) const {
    Term room{};
    const auto own = terms_of(a, &room);
    if (own.size() != 1 || own[0].coef != ExprRef::small(1) || monomials[own[0].monomial].degree != 1)
        return std::nullopt;
    return factors_of(own[0].monomial)[0].atom;
}

std::vector<std::uint32_t> ExprStore::Arena::reachable_atoms(ExprRef root) const {
    std::vector<std::uint32_t> found;
    if (root.is_small()) return found;
    std::vector<bool> seen(atoms.size());
    const auto visit = [&](ExprRef expr) {
        Term room{};
        for (const Term& term : terms_of(expr, &room))
            for (const Factor& factor : factors_of(term.monomial))
                if (!seen[factor.atom]) {
                    seen[factor.atom] = true;
                    found.push_back(factor.atom);
                }
    };
    visit(root);
    for (std::size_t i = 0; i < found.size(); ++i)
        for (const ExprRef argument : args_of(found[i])) visit(argument);
    std::ranges::sort(found);
    return found;
}

std::size_t ExprStore::Arena::memory_bytes() const {
    std::size_t total = sizeof(Arena) + symbols.capacity() * sizeof(Symbol) + atoms.capacity() * sizeof(Atom) +
                        args.capacity() * sizeof(ExprRef) + monomials.capacity() * sizeof(Monomial) +
                        factors.capacity() * sizeof(Factor) + polynomials.capacity() * sizeof(Polynomial) +
                        terms.capacity() * sizeof(Term) + coefs.capacity() * sizeof(Rational) +
                        scratch.capacity() * sizeof(Term) + scratch_factors.capacity() * sizeof(Factor);
    for (const InternTable* table : {&atom_table, &monomial_table, &polynomial_table, &coef_table})
        total += table->memory_bytes();
    return total;
}

}  // namespace flopcore
