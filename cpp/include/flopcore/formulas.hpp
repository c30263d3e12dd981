// Formulas: what a rule infers and counts of many nodes that differ in their sizes alone, as polynomials in the dims of
// their inputs. The rule is asked once, with symbols in place of numbers; a node is then a few multiplications.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "flopcore/rule.hpp"

namespace flopcore {

class Formulas {
  public:
    // From one node, whose dims are of `exprs`; empty when the rule has no polynomials for nodes like it. `before`:
    // formulas that do not hold for this node; the new ones hold for those nodes too, unless a dim is 1 in one of them
    // only.
    [[nodiscard]] static std::optional<Formulas> learn(const OpRule& rule, const AttrView& attrs,
                                                       std::span<const TensorView> inputs, const ExprStore& exprs,
                                                       const Formulas* before);

    // The dims of the output (null: not wanted), the amounts and the extents of a node. Returns false where the
    // formulas do not hold or a number leaves 62 bits, having written nothing that means anything.
    [[nodiscard]] bool evaluate(std::span<const TensorView> inputs, ExprStore& exprs, ExprRef* dims, ExprRef* bases,
                                Extent* extents) const;

    [[nodiscard]] std::size_t rank() const { return n_dims_; }
    [[nodiscard]] std::span<const RowTag> rows() const { return rows_; }
    [[nodiscard]] std::span<const RowPart> parts() const { return parts_; }
    [[nodiscard]] std::size_t n_amounts() const { return n_amounts_; }
    [[nodiscard]] std::size_t n_extents() const { return extents_.size(); }
    [[nodiscard]] std::uint32_t variant() const { return variant_; }

    static constexpr std::size_t kMaxExtents = 4;

  private:
    // A dim of an input: of equal dims, the first is a slot, the variable of the polynomials.
    struct Place {
        std::uint8_t input, dim;
        bool fixed;           // always this number
        std::uint32_t slot;   // from 1
        std::int64_t number;  // if fixed; else the least that the rule was told of the slot
    };
    struct Slot {
        std::uint8_t input, dim;
        std::int64_t least;  // of a symbol's values; numbers are 2 or more, for a rule may take those of 1 apart
    };
    struct Same {
        std::uint8_t input, dim;
        std::uint32_t slot;
    };
    struct Product {
        std::uint32_t left, right;
    };
    struct Term {
        std::uint32_t value;  // which one it is a term of
        std::uint32_t product;
        std::int64_t twice;  // the coefficient, doubled: values are handles
    };
    struct Kind {
        ExtentKind kind;
        Grade grade;
    };
    struct Monomial {
        std::vector<std::uint32_t> slots;
        std::int64_t coefficient;
    };
    using Polynomial = std::vector<Monomial>;

    [[nodiscard]] bool place(const OpRule& rule, std::span<const TensorView> inputs, const ExprStore& exprs,
                             const Formulas* before);
    [[nodiscard]] bool ask(const OpRule& rule, const AttrView& attrs, std::span<const TensorView> inputs);
    [[nodiscard]] bool evaluate_terms(std::span<const TensorView> inputs, ExprStore& exprs, ExprRef* dims,
                                      ExprRef* bases, Extent* extents) const;
    [[nodiscard]] bool evaluate_symbols(std::span<const TensorView> inputs, ExprStore& exprs, ExprRef* dims,
                                        ExprRef* bases, Extent* extents) const;
    void add_row(const Polynomial& amount, AmountTag tag, std::vector<Polynomial>& amounts);
    void add_part(const Polynomial& amount, std::vector<Polynomial>& amounts);
    void add_value(const Polynomial& polynomial);
    [[nodiscard]] bool matches(std::span<const TensorView> inputs, std::span<const ExprRef> slots) const;
    [[nodiscard]] bool write(std::span<const ExprRef> values, ExprRef* dims, ExprRef* bases, Extent* extents) const;
    [[nodiscard]] std::uint32_t product_of(std::span<const std::uint32_t> slots);

    std::vector<Place> places_;
    std::vector<Slot> slots_;
    std::vector<Same> same_;
    std::vector<Place> fixed_;
    std::vector<Product> products_;  // product i has number 1 + slots + i; number 0 is 1, then come the slots
    std::vector<std::vector<std::uint32_t>> factors_;  // slots of each number
    // Values: dims of the output, amounts, nominal and used sizes of the extents.
    std::vector<Term> first_;  // one of each value, in order
    std::vector<Term> more_;   // all others
    std::vector<RowTag> rows_;
    std::vector<RowPart> parts_;
    std::vector<Kind> extents_;
    std::size_t n_dims_ = 0, n_amounts_ = 0;
    std::uint32_t variant_ = 0;
};

}  // namespace flopcore
