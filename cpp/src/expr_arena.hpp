// The arena behind ExprStore: interned atoms, monomials and polynomials in flat arrays, children before parents.
// Relies on checked.hpp for coefficients. An atom's arguments only mention atoms of smaller ids, so whatever visits
// an expression is a loop over ascending atom ids, never recursion.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "flopcore/expr.hpp"

namespace flopcore {

// A coefficient packed like ExprRef: a small integer inline, or the id of an interned Rational; never a term.
using Coef = ExprRef;

struct Term {
    std::uint32_t monomial;
    Coef coef;
};

struct Factor {
    std::uint32_t atom;
    std::uint32_t exponent;
    friend bool operator==(Factor, Factor) = default;
};

inline constexpr std::uint32_t kUnit = 0;              // the monomial without factors
inline constexpr std::size_t kMaxTerms = 1U << 16;     // in one polynomial
inline constexpr std::size_t kMaxProducts = 1U << 20;  // in one multiplication, before like terms are combined
inline constexpr std::uint32_t kMaxDegree = 512;
inline constexpr std::uint32_t kMaxDepth = 100;       // of nested floordiv / min / max
inline constexpr std::size_t kMaxArgs = 64;           // of one min or max
inline constexpr std::uint32_t kMaxLevel = 8;         // of sums inside sums
inline constexpr std::uint64_t kMaxSteps = 1U << 24;  // of all sums in one evaluation

[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
    return hash ^ (hash >> 29);
}

// Open addressing over ids; the owner of the ids says what equal means.
class InternTable {
  public:
    template <class Equal>
    [[nodiscard]] std::optional<std::uint32_t> find(std::uint64_t hash, Equal equal) const {
        if (slots_.empty()) return std::nullopt;
        const std::uint32_t tag = tag_of(hash);
        const std::size_t mask = slots_.size() - 1;
        for (std::size_t at = tag & mask; slots_[at].id_plus_1 != 0; at = (at + 1) & mask)
            if (slots_[at].tag == tag && equal(slots_[at].id_plus_1 - 1)) return slots_[at].id_plus_1 - 1;
        return std::nullopt;
    }
    void insert(std::uint64_t hash, std::uint32_t id);
    [[nodiscard]] std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

  private:
    struct Slot {
        std::uint32_t id_plus_1 = 0;
        std::uint32_t tag = 0;
    };
    [[nodiscard]] static std::uint32_t tag_of(std::uint64_t hash) {
        return static_cast<std::uint32_t>(hash ^ (hash >> 32));
    }
    std::vector<Slot> slots_;
    std::size_t n_used_ = 0;
};

// What is known of an expression's values: integers, and all of them divisible by multiple (0 = always zero).
struct Divisibility {
    bool integer = true;
    Int128 multiple = 0;
};

struct ExprStore::Arena {
    struct Atom {
        AtomKind kind;
        bool integer;
        std::uint32_t depth;      // 1 for a symbol
        std::uint32_t first_arg;  // into args
        std::uint32_t n_args;
        std::uint32_t symbol;  // into symbols, for a symbol; the level, for an index
        std::uint32_t height;  // greatest level of a sum in it, itself included; 0 without
        std::uint32_t open;    // bit l set: depends on an index of level l that no sum in it binds
        std::uint64_t hash;
        Int128 multiple;
        Interval bounds;
        ExprRef self;  // the atom as an expression
    };
    struct Monomial {
        std::uint32_t first;  // into factors
        std::uint32_t n;
        std::uint32_t degree;
        bool integer;
        std::int64_t multiple;
        std::int64_t at_least;  // of its values, as floor_in_64_bits says of the bounds
        std::uint64_t hash;
        Interval bounds;
    };
    struct Polynomial {
        std::uint32_t first;  // into terms
        std::uint32_t n;
        std::uint64_t hash;
    };

    std::vector<Symbol> symbols;
    std::vector<Atom> atoms;
    std::vector<ExprRef> args;
    std::vector<Monomial> monomials;
    std::vector<Factor> factors;
    std::vector<Polynomial> polynomials;
    std::vector<Term> terms;
    std::vector<Rational> coefs;
    InternTable atom_table, monomial_table, polynomial_table, coef_table;
    std::vector<Term> scratch;  // terms of the polynomial being built
    std::vector<Factor> scratch_factors;
    // Products of monomials made of late, by a few bits of their ids.
    struct Product {
        std::uint32_t left, right, product;
    };
    std::array<Product, 64> products{};

    Arena();

    // expr_arena.cpp: coefficients, monomials, order, interning
    [[nodiscard]] Coef make_coef(Rational value);
    [[nodiscard]] Rational coef_value(Coef coef) const {
        return coef.is_small() ? Rational{coef.value(), 1} : coefs[coef.id()];
    }
    [[nodiscard]] Coef add_coefs(Coef a, Coef b);
    [[nodiscard]] Coef mul_coefs(Coef a, Coef b);
    [[nodiscard]] std::uint64_t coef_hash(Coef coef) const;
    [[nodiscard]] std::span<const Factor> factors_of(std::uint32_t monomial) const {
        const Monomial& m = monomials[monomial];
        return {factors.data() + m.first, m.n};
    }
    [[nodiscard]] std::span<const ExprRef> args_of(std::uint32_t atom) const {
        return {args.data() + atoms[atom].first_arg, atoms[atom].n_args};
    }
    [[nodiscard]] std::uint32_t intern_monomial(std::span<const Factor> sorted);
    [[nodiscard]] std::uint32_t mul_monomials(std::uint32_t a, std::uint32_t b);
    [[nodiscard]] std::optional<std::uint32_t> divide_monomials(std::uint32_t a, std::uint32_t b);
    // Order of terms: -1 when the first argument comes first. Depends on names and structure only.
    [[nodiscard]] int compare_atoms(std::uint32_t a, std::uint32_t b) const;
    [[nodiscard]] int compare_monomials(std::uint32_t a, std::uint32_t b) const;
    [[nodiscard]] int compare_exprs(ExprRef a, ExprRef b) const;
    // The first difference of two expressions: decided (-1, 0, 1), or two atoms still to be compared.
    struct Difference {
        int order;
        std::uint32_t left_atom, right_atom;
        bool open;
    };
    [[nodiscard]] Difference monomial_difference(std::uint32_t a, std::uint32_t b) const;
    [[nodiscard]] Difference expr_difference(ExprRef a, ExprRef b) const;
    // Terms of any expression; those of one that is inline are written to *room.
    [[nodiscard]] std::span<const Term> terms_of(ExprRef a, Term* room) const {
        if (a.is_term()) {
            *room = {a.monomial(), ExprRef::small(a.coefficient())};
            return {room, 1};
        }
        if (!a.is_small()) {
            const Polynomial& p = polynomials[a.id()];
            return {terms.data() + p.first, p.n};
        }
        if (a.value() == 0) return {};
        *room = {kUnit, a};
        return {room, 1};
    }
    [[nodiscard]] std::uint64_t hash_of(std::span<const Term> canonical) const;
    [[nodiscard]] std::uint64_t hash_of(ExprRef a) const;                  // not of a small integer
    [[nodiscard]] ExprRef intern(std::span<const Term> canonical);         // sorted, no zeros, no duplicates
    [[nodiscard]] ExprRef intern_stored(std::span<const Term> canonical);  // that are not inline
    [[nodiscard]] ExprRef intern_single(Term term);
    [[nodiscard]] ExprRef collect(std::vector<Term>& any_order);  // sorts, combines, interns
    [[nodiscard]] std::uint32_t intern_symbol(const Symbol& symbol);
    [[nodiscard]] std::uint32_t intern_atom(AtomKind kind, std::span<const ExprRef> arguments);
    [[nodiscard]] std::uint32_t intern_index(std::uint32_t level, const Interval& range);
    [[nodiscard]] std::uint32_t add_atom(Atom atom);
    [[nodiscard]] std::optional<std::uint32_t> find_symbol(std::string_view name) const;
    [[nodiscard]] std::optional<std::uint32_t> lone_atom(ExprRef a) const;         // if a is 1 * atom ** 1
    [[nodiscard]] std::vector<std::uint32_t> reachable_atoms(ExprRef root) const;  // ascending
    [[nodiscard]] Symbol& symbol_of(std::uint32_t atom) { return symbols[atoms[atom].symbol]; }
    [[nodiscard]] const Symbol& symbol_of(std::uint32_t atom) const { return symbols[atoms[atom].symbol]; }

    // expr.cpp: ring operations
    [[nodiscard]] ExprRef constant(Rational value);
    [[nodiscard]] ExprRef add(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef mul(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef scale(ExprRef a, Coef factor);
    [[nodiscard]] ExprRef pow(ExprRef a, std::uint32_t exponent);
    [[nodiscard]] bool is_constant(ExprRef a) const;
    [[nodiscard]] Rational constant_value(ExprRef a) const;

    // expr_division.cpp: floor division
    [[nodiscard]] ExprRef floordiv(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef ceildiv(ExprRef a, ExprRef b);

    // expr_extremum.cpp: min and max
    [[nodiscard]] ExprRef extremum(AtomKind kind, std::span<const ExprRef> arguments);

    // expr_sum.cpp
    [[nodiscard]] ExprRef sum(ExprRef body, std::uint32_t index, ExprRef low, ExprRef high);
    [[nodiscard]] ExprRef lazy_sum(ExprRef body, std::uint32_t index, ExprRef low, ExprRef high);

    // expr_bounds.cpp
    [[nodiscard]] Interval product_bounds(std::span<const Factor> product_of) const;
    [[nodiscard]] Interval bounds(std::span<const Term> polynomial) const;
    [[nodiscard]] Interval bounds(ExprRef a) const;
    [[nodiscard]] Interval difference_bounds(ExprRef a, ExprRef b) const;  // of a - b
    [[nodiscard]] Divisibility divisibility(std::span<const Term> polynomial) const;
    [[nodiscard]] Divisibility divisibility(ExprRef a) const;
    [[nodiscard]] Interval quotient_bounds(const Interval& num, const Interval& den) const;  // den > 0
    [[nodiscard]] Interval sum_bounds(ExprRef body, ExprRef low, ExprRef high) const;

    // expr_evaluate.cpp
    [[nodiscard]] Rational evaluate(ExprRef root, std::span<const Point> point) const;
    void evaluate_float(ExprRef root, std::span<const PointColumn> columns, std::span<double> out,
                        unsigned threads) const;
    [[nodiscard]] std::vector<Rational> evaluate_exact(ExprRef root, std::span<const PointColumn> columns,
                                                       std::size_t n) const;
    // Positions among columns or points of the symbols of atoms; DataError naming all that are missing.
    template <class Bound>
    [[nodiscard]] std::vector<std::size_t> find_bound(std::span<const std::uint32_t> symbols_only,
                                                      std::span<const Bound> bound) const;

    // expr_substitute.cpp
    [[nodiscard]] ExprRef import(const Arena& other, ExprRef root);
    [[nodiscard]] ExprRef substitute(ExprRef root, std::span<const Binding> bindings);
    // The expression with some atoms replaced, built up again; nothing is checked.
    struct Replacement {
        std::uint32_t atom;
        ExprRef value;
    };
    [[nodiscard]] ExprRef replace(ExprRef root, std::span<const Replacement> replacements);

    // expr_text.cpp
    [[nodiscard]] std::string text(ExprRef root, bool latex) const;

    [[nodiscard]] std::size_t memory_bytes() const;
};

// Throws DataError naming the dim when value is not one it may take.
void check_admissible(const Symbol& symbol, Int128 value);
// floor of a fraction.
[[nodiscard]] inline Int128 floor_of(Rational value) { return floor_div(value.num, value.den); }

// The same of a lower bound as an integer of 64 bits; the least of them without one.
[[nodiscard]] std::int64_t floor_in_64_bits(const std::optional<Rational>& low);

}  // namespace flopcore
