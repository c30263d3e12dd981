// Expr: exact symbolic counts. An ExprStore is an arena of hash-consed, canonical polynomials with rational
// coefficients over atoms (symbols; floor/ceil division, min, max and sums over an index of other expressions).
// Everything else holds ExprRef: a small integer inline, or the id of an expression in one store.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flopcore/checked.hpp"

namespace flopcore {

// A handle of 8 bytes. Small integers (63 bits, signed) are inline, so bound dims never touch the store; so are
// products of a small integer and a monomial of the store (42 bits and 20), so that sizes with one symbol in them are
// not looked up by the million. Handles are canonical: within one store, equal handles are equal expressions.
class ExprRef {
  public:
    constexpr ExprRef() = default;
    [[nodiscard]] static constexpr bool fits(Int128 value) { return value >= -kLimit && value < kLimit; }
    [[nodiscard]] static constexpr ExprRef small(std::int64_t value) {
        ExprRef ref;
        ref.bits_ = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << 1);
        return ref;
    }
    [[nodiscard]] static constexpr ExprRef stored(std::uint32_t id) {
        ExprRef ref;
        ref.bits_ = static_cast<std::int64_t>((std::uint64_t{id} << 2) | 1U);
        return ref;
    }
    // Coefficient x monomial, where it is inline: there is no other handle of such an expression.
    [[nodiscard]] static constexpr bool fits_term(std::uint32_t monomial, std::int64_t coefficient) {
        return monomial < (1U << kMonomialBits) && coefficient >= -kTermLimit && coefficient < kTermLimit;
    }
    [[nodiscard]] static constexpr ExprRef term(std::uint32_t monomial, std::int64_t coefficient) {
        ExprRef ref;
        ref.bits_ = static_cast<std::int64_t>((static_cast<std::uint64_t>(coefficient) << (kMonomialBits + 2)) |
                                              (std::uint64_t{monomial} << 2) | 3U);
        return ref;
    }
    [[nodiscard]] constexpr bool is_small() const { return (bits_ & 1) == 0; }
    [[nodiscard]] constexpr bool is_term() const { return (bits_ & 3) == 3; }
    [[nodiscard]] constexpr std::int64_t value() const { return bits_ >> 1; }  // of a small integer
    [[nodiscard]] constexpr std::uint32_t id() const { return static_cast<std::uint32_t>(bits_ >> 2); }  // if stored
    [[nodiscard]] constexpr std::uint32_t monomial() const {  // of a term, as the coefficient
        return static_cast<std::uint32_t>(bits_ >> 2) & ((1U << kMonomialBits) - 1);
    }
    [[nodiscard]] constexpr std::int64_t coefficient() const { return bits_ >> (kMonomialBits + 2); }
    [[nodiscard]] constexpr std::int64_t bits() const { return bits_; }
    friend constexpr bool operator==(ExprRef, ExprRef) = default;

    static constexpr Int128 kLimit = Int128{1} << 62;

  private:
    static constexpr int kMonomialBits = 20;
    static constexpr std::int64_t kTermLimit = std::int64_t{1} << (61 - kMonomialBits);
    std::int64_t bits_ = 0;
};

struct Symbol {
    std::string name;
    std::int64_t min = 0;             // smallest value it may take
    std::optional<std::int64_t> max;  // largest, if known
    std::int64_t multiple_of = 1;
};

// symbol name -> expression of the same store.
struct Binding {
    std::string_view name;
    ExprRef value;
};

// symbol name -> integer.
struct Point {
    std::string_view name;
    Int128 value;
};

// symbol name -> its value at each of many points.
struct PointColumn {
    std::string_view name;
    std::span<const std::int64_t> values;
};

struct Interval {  // missing end = unbounded
    std::optional<Rational> low;
    std::optional<Rational> high;
};

// An indivisible factor: a symbol; floor(args[0] / args[1]); the least / greatest of args; the index of a sum, known
// by its level (1 for an innermost sum); the sum of args[1] for index args[0] from args[2] to args[3] - 1.
enum class AtomKind : std::uint8_t { symbol, floordiv, minimum, maximum, index, sum };
struct Head {
    AtomKind kind;
    Symbol symbol;              // for AtomKind::symbol
    std::uint32_t level;        // for AtomKind::index
    std::vector<ExprRef> args;  // for the others
};
// coefficient * product of factor ** exponent; every factor is an expression that is one atom.
struct TermView {
    Rational coefficient;
    std::vector<std::pair<ExprRef, std::uint32_t>> factors;
};

class ExprStore {
  public:
    struct Arena;  // cpp/src/expr_arena.hpp
    ExprStore();
    ~ExprStore();
    ExprStore(ExprStore&&) noexcept;
    ExprStore& operator=(ExprStore&&) noexcept;
    ExprStore(const ExprStore&);  // a deep copy; handles stay valid in the copy
    ExprStore& operator=(const ExprStore&);

    [[nodiscard]] ExprRef constant(Int128 value) {
        return ExprRef::fits(value) ? ExprRef::small(static_cast<std::int64_t>(value)) : big_constant(value);
    }
    [[nodiscard]] ExprRef constant(Rational value);
    // Throws DataError when the name was made before with other bounds, is empty, or the bounds are absurd.
    [[nodiscard]] ExprRef symbol(const Symbol& symbol);

    [[nodiscard]] ExprRef add(ExprRef a, ExprRef b) {
        std::int64_t sum;
        if (a.is_small() && b.is_small() && !__builtin_add_overflow(a.bits(), b.bits(), &sum))
            return ExprRef::small(sum >> 1);
        return add_slow(a, b);
    }
    [[nodiscard]] ExprRef sub(ExprRef a, ExprRef b) { return add(a, negate(b)); }
    [[nodiscard]] ExprRef mul(ExprRef a, ExprRef b) {
        std::int64_t product;
        if (a.is_small() && b.is_small() && !__builtin_mul_overflow(a.value(), b.bits(), &product))
            return ExprRef::small(product >> 1);
        return mul_slow(a, b);
    }
    // Numbers first, so that a symbol among them makes one expression and not one for each factor.
    [[nodiscard]] ExprRef multiply(std::span<const ExprRef> factors) {
        std::int64_t twice = 2, any = 0;  // the handle of a small integer is twice its value: this ends as the handle
        for (const ExprRef factor : factors) {
            any |= factor.bits();
            if (__builtin_mul_overflow(twice, factor.value(), &twice)) [[unlikely]]
                return multiply_slow(factors);
        }
        return (any & 1) == 0 ? ExprRef::small(twice >> 1) : multiply_slow(factors);
    }
    // The monomial of the product of two terms with these.
    [[nodiscard]] std::uint32_t multiply_monomials(std::uint32_t a, std::uint32_t b);
    [[nodiscard]] ExprRef negate(ExprRef a) { return mul(a, ExprRef::small(-1)); }
    [[nodiscard]] ExprRef scale(ExprRef a, Rational factor);
    // Sum of part x factor over many parts, with no expression made on the way.
    [[nodiscard]] ExprRef combine(std::span<const std::pair<ExprRef, Rational>> parts);
    [[nodiscard]] ExprRef pow(ExprRef a, std::uint32_t exponent);
    // Division rounded down / up. A zero or possibly non-positive constant divisor is a ShapeError.
    [[nodiscard]] ExprRef floordiv(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef ceildiv(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef min(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef max(ExprRef a, ExprRef b);
    // Sum of body for index = low, low+1, ..., high-1 (nothing when high <= low); index is a symbol name whose bounds
    // must hold all of them. In closed form when body is a polynomial in index, or holds min and max of forms linear
    // in it; otherwise an atom that evaluate() adds up, up to 2^24 steps.
    [[nodiscard]] ExprRef sum(ExprRef body, std::string_view index, ExprRef low, ExprRef high);

    [[nodiscard]] bool is_constant(ExprRef a) const;
    [[nodiscard]] Rational constant_value(ExprRef a) const;           // a must be constant
    [[nodiscard]] std::optional<Int128> as_integer(ExprRef a) const;  // if it is a constant integer
    // true / false when known for all admissible values, empty when unknown.
    [[nodiscard]] std::optional<bool> equal(ExprRef a, ExprRef b) const;
    [[nodiscard]] std::optional<bool> less_equal(ExprRef a, ExprRef b) const;  // by interval bounds of b - a

    // The same expression in this store; other may be this store.
    [[nodiscard]] ExprRef import(const ExprStore& other, ExprRef a);
    // Symbols replaced by expressions of this store. What replaces a symbol must provably keep its bounds and
    // multiple_of (simplification has relied on them), else DataError. Names that do not occur are ignored.
    [[nodiscard]] ExprRef substitute(ExprRef a, std::span<const Binding> bindings);
    // Exact value; every free symbol must be bound to a constant, else DataError naming all that are missing.
    // Sums are exact however far their terms cancel: only a value beyond 127 bits is an OverflowError_.
    [[nodiscard]] Rational evaluate(ExprRef a, std::span<const Binding> bindings) const;
    [[nodiscard]] Rational evaluate(ExprRef a, std::span<const Point> point) const;
    // Values at points given as columns of equal length; every value must be admissible. The float64 ones differ from
    // the exact ones by at most k u / (1 - k u) times the sum of the magnitudes of the terms, u = 2^-53, k = terms +
    // 2 degree + 3 (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), as long as floor divisions
    // see integers below 2^53; beyond, each may be off by one.
    void evaluate_float(ExprRef a, std::span<const PointColumn> columns, std::span<double> out, unsigned threads) const;
    [[nodiscard]] std::vector<Rational> evaluate_exact(ExprRef a, std::span<const PointColumn> columns,
                                                       std::size_t n) const;
    [[nodiscard]] Interval bounds(ExprRef a) const;  // contain every admissible value
    // An integer that no admissible value is below, of those of 64 bits: the least one if none is known.
    [[nodiscard]] std::int64_t at_least(ExprRef a) const { return a.is_small() ? a.value() : at_least_slow(a); }
    [[nodiscard]] std::vector<Symbol> free_symbols(ExprRef a) const;  // sorted by name
    // Formal degree in name, floor(p / q) counting as p when q is free of it; empty if it stands in a divisor, min,
    // max or sum.
    [[nodiscard]] std::optional<std::uint32_t> degree(ExprRef a, std::string_view name) const;
    [[nodiscard]] std::vector<TermView> terms(ExprRef a) const;  // leading term first; none for zero
    [[nodiscard]] std::optional<Head> head(ExprRef a) const;     // if a is one atom
    [[nodiscard]] std::uint64_t hash(ExprRef a) const;           // of the structure, equal over stores
    // Same structure and same symbols, whatever the stores.
    [[nodiscard]] bool same(ExprRef a, const ExprStore& other, ExprRef b) const;
    [[nodiscard]] std::string text(ExprRef a) const;  // Python-readable
    [[nodiscard]] std::string latex(ExprRef a) const;

    [[nodiscard]] std::size_t n_expressions() const;
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    [[nodiscard]] ExprRef big_constant(Int128 value);
    [[nodiscard]] ExprRef add_slow(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef mul_slow(ExprRef a, ExprRef b);
    [[nodiscard]] ExprRef multiply_slow(std::span<const ExprRef> factors);
    [[nodiscard]] std::int64_t at_least_slow(ExprRef a) const;

    std::unique_ptr<Arena> arena_;
};

}  // namespace flopcore
