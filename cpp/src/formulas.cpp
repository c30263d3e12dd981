#include "flopcore/formulas.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "ops/rules.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kMaxNumbers = 64;  // slots and products
constexpr std::size_t kMaxValues = 64;   // dims, amounts and sizes of extents
constexpr std::int64_t kLargestCoefficient = std::int64_t{1} << 40;

// Rules whose inference tests nothing beside the equality of dims, attributes, and that an output is not empty: what
// they say of symbols then holds for all numbers. The sizes of a kernel are numbers for the rule itself.
struct Family {
    void (*infer)(InferContext&);
    std::size_t fixed_input = ~std::size_t{0}, fixed_from = 0;  // dims that stay numbers
};
constexpr Family kFamilies[] = {
    {ops::infer_elementwise}, {ops::infer_matmul},     {ops::infer_linear}, {ops::infer_conv, 1, 2},
    {ops::infer_row_norm},    {ops::infer_batch_norm}, {ops::infer_same},   {ops::infer_along_axis},
    {ops::infer_reduce},      {ops::infer_transpose},
};

const Family* family_of(const OpRule& rule) {
    const auto found = std::ranges::find(kFamilies, rule.infer, &Family::infer);
    return found == std::end(kFamilies) ? nullptr : found;
}

bool has_polynomials(const AttrView& attrs) {
    for (const AttrView::Item& item : attrs.items()) {
        const auto values = attrs.list(item.key);
        if (!std::ranges::all_of(*values, &ExprRef::is_small)) return false;
    }
    // Whether groups divide the channels is what a symbol cannot tell.
    const auto groups = attrs.scalar(AttrKey::kGroups);
    return !groups || *groups == ExprRef::small(1);
}

}  // namespace

std::optional<Formulas> Formulas::learn(const OpRule& rule, const AttrView& attrs, std::span<const TensorView> inputs,
                                        const ExprStore& exprs, const Formulas* before) {
    if (family_of(rule) == nullptr || !has_polynomials(attrs)) return std::nullopt;
    Formulas formulas;
    if (!formulas.place(rule, inputs, exprs, before)) return std::nullopt;
    try {
        if (!formulas.ask(rule, attrs, inputs)) return std::nullopt;
    } catch (const Error&) {  // the rule needs numbers
        return std::nullopt;
    }
    return formulas;
}

bool Formulas::place(const OpRule& rule, std::span<const TensorView> inputs, const ExprStore& exprs,
                     const Formulas* before) {
    constexpr std::int64_t kLarge = 16;  // a lower bound that lets most windows and paddings cancel
    const Family& family = *family_of(rule);
    std::map<std::pair<std::int64_t, std::uint32_t>, std::uint32_t> known;  // dim and slot before -> slot
    for (std::size_t input = 0; input < inputs.size(); ++input)
        for (std::size_t dim = 0; dim < inputs[input].rank; ++dim) {
            const ExprRef own = inputs[input].dims[dim];
            const std::int64_t known_least = exprs.at_least(own);
            Place here{static_cast<std::uint8_t>(input), static_cast<std::uint8_t>(dim), false, 0, known_least};
            here.fixed =
                (own.is_small() && known_least <= 1) || (input == family.fixed_input && dim >= family.fixed_from);
            if (known_least < 0 || (here.fixed && !own.is_small())) return false;
            const Place* old = before == nullptr ? nullptr : &before->places_[places_.size()];
            if (here.fixed) {
                fixed_.push_back(here);
            } else {
                here.number = known_least >= kLarge ? kLarge : std::min<std::int64_t>(known_least, 2);
                if (old != nullptr && !old->fixed) here.number = std::min(here.number, old->number);
                const auto [slot, fresh] = known.try_emplace({own.bits(), old == nullptr || old->fixed ? 0 : old->slot},
                                                             static_cast<std::uint32_t>(slots_.size() + 1));
                here.slot = slot->second;
                if (fresh) {
                    slots_.push_back({here.input, here.dim, here.number});
                } else {
                    same_.push_back({here.input, here.dim, here.slot});
                    std::int64_t& least = slots_[here.slot - 1].least;
                    least = std::min(least, here.number);
                }
            }
            places_.push_back(here);
        }
    return true;
}

bool Formulas::ask(const OpRule& rule, const AttrView& attrs, std::span<const TensorView> inputs) {
    ExprStore exprs;
    std::vector<ExprRef> symbols;
    factors_.emplace_back();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        symbols.push_back(
            exprs.symbol({.name = "d" + std::to_string(i), .min = slots_[i].least, .max = {}, .multiple_of = 1}));
        factors_.push_back({static_cast<std::uint32_t>(i + 1)});
    }
    std::vector<ExprRef> dims;
    for (const Place& each : places_) dims.push_back(each.fixed ? ExprRef::small(each.number) : symbols[each.slot - 1]);
    dims.push_back({});  // so that a scalar's dims are somewhere
    std::vector<TensorView> views(inputs.begin(), inputs.end());
    const ExprRef* next = dims.data();
    for (TensorView& t : views) {
        if (!t.given()) continue;
        t.dims = next;
        t.elements = exprs.multiply(t.shape());
        next += t.rank;
    }
    ShapeWriter shape;
    InferContext infer{exprs, attrs, views, shape, &rule};
    rule.infer(infer);
    if (shape.n_outputs() != 1) return false;
    const std::span<const ExprRef> out = shape.dims(0);
    std::vector<Extent> extents;
    std::array<ExprRef, kMaxAmounts> bases;
    CountContext count{.exprs = exprs, .extents = extents};
    count.attrs = attrs;
    count.inputs = views;
    count.y = {out.data(), static_cast<std::uint8_t>(out.size()), shape.dtype(0), false, exprs.multiply(out)};
    count.outputs = {&count.y, 1};
    count.bases = bases.data();
    count_node(rule, count);
    if (extents.size() > kMaxExtents) return false;
    std::vector<ExprRef> sizes(out.begin(), out.end());
    sizes.insert(sizes.end(), bases.begin(), bases.begin() + count.n_amounts);
    for (const Extent& each : extents) {
        extents_.push_back({each.kind, each.grade});
        sizes.insert(sizes.end(), {each.nominal, each.used});
    }
    std::vector<Polynomial> polynomials;
    for (const ExprRef size : sizes) {
        Polynomial& polynomial = polynomials.emplace_back();
        for (const TermView& term : exprs.terms(size)) {
            const Rational c = term.coefficient;
            if (c.den != 1 || c.num < -kLargestCoefficient || c.num > kLargestCoefficient) return false;
            Monomial& monomial = polynomial.emplace_back();
            monomial.coefficient = static_cast<std::int64_t>(c.num);
            for (const auto& [factor, exponent] : term.factors) {
                const auto symbol = std::ranges::find(symbols, factor);
                if (symbol == symbols.end()) return false;  // a quotient, a least or greatest
                monomial.slots.insert(monomial.slots.end(), exponent,
                                      static_cast<std::uint32_t>(symbol - symbols.begin() + 1));
            }
            std::ranges::sort(monomial.slots);
        }
    }
    n_dims_ = out.size();
    variant_ = count.variant;
    std::vector<Polynomial> amounts;
    for (std::uint32_t i = 0; i < count.n_amounts; ++i) add_row(polynomials[n_dims_ + i], count.tags[i], amounts);
    n_amounts_ = amounts.size();
    for (std::size_t i = 0; i < n_dims_; ++i) add_value(polynomials[i]);
    for (const Polynomial& each : amounts) add_value(each);
    for (std::size_t i = n_dims_ + count.n_amounts; i < polynomials.size(); ++i) add_value(polynomials[i]);
    return factors_.size() <= kMaxNumbers && first_.size() <= kMaxValues && n_amounts_ <= kMaxAmounts;
}

constexpr std::int64_t kMostScale = 1 << 16;

// Sums of few terms are a part each: rows share them, and with a symbol in one of two they still need no expression.
void Formulas::add_row(const Polynomial& amount, AmountTag tag, std::vector<Polynomial>& amounts) {
    constexpr std::size_t kMostParts = 4;
    RowTag row{tag.feature, tag.extent, static_cast<std::uint16_t>(parts_.size()), 0};
    const bool apart = amount.size() <= kMostParts && std::ranges::all_of(amount, [](const Monomial& each) {
                           return each.coefficient > 0 && each.coefficient <= kMostScale;
                       });
    if (apart)
        for (const Monomial& each : amount) add_part({each}, amounts);
    else
        add_part(amount, amounts);
    row.end = static_cast<std::uint16_t>(parts_.size());
    rows_.push_back(row);
}

// A part for an amount: a multiple of one there is already, or a new one.
void Formulas::add_part(const Polynomial& amount, std::vector<Polynomial>& amounts) {
    // Of two polynomials in proportion, how many times the second the first is; terms are in order.
    const auto ratio = [](const Polynomial& a, const Polynomial& b) {
        const auto cross = [&](const Monomial& x, const Monomial& y) {
            return x.slots == y.slots && static_cast<Int128>(x.coefficient) * b.front().coefficient ==
                                             static_cast<Int128>(y.coefficient) * a.front().coefficient;
        };
        return std::ranges::equal(a, b, cross) && a.front().coefficient % b.front().coefficient == 0
                   ? a.front().coefficient / b.front().coefficient
                   : 0;
    };
    for (std::uint32_t i = 0; i < amounts.size(); ++i) {
        const std::int64_t times = ratio(amount, amounts[i]), divisor = ratio(amounts[i], amount);
        if (times > 0 && times <= kMostScale) {
            parts_.push_back({i, static_cast<std::uint32_t>(times)});
            return;
        }
        const bool small = std::ranges::all_of(
            parts_, [&](const RowPart& part) { return part.position != i || part.scale * divisor <= kMostScale; });
        if (divisor <= 0 || divisor > kMostScale || !small) continue;
        for (RowPart& part : parts_)
            if (part.position == i) part.scale *= static_cast<std::uint32_t>(divisor);
        amounts[i] = amount;
        parts_.push_back({i, 1});
        return;
    }
    parts_.push_back({static_cast<std::uint32_t>(amounts.size()), 1});
    amounts.push_back(amount);
}

void Formulas::add_value(const Polynomial& polynomial) {
    const auto value = static_cast<std::uint32_t>(first_.size());
    if (polynomial.empty()) first_.push_back({value, 0, 0});
    for (std::size_t i = 0; i < polynomial.size(); ++i)
        (i == 0 ? first_ : more_).push_back({value, product_of(polynomial[i].slots), 2 * polynomial[i].coefficient});
}

// The number of the product of these slots, in order.
std::uint32_t Formulas::product_of(std::span<const std::uint32_t> slots) {
    const auto known =
        std::ranges::find_if(factors_, [&](const auto& each) { return std::ranges::equal(each, slots); });
    if (known != factors_.end()) return static_cast<std::uint32_t>(known - factors_.begin());
    const std::uint32_t left = product_of(slots.first(slots.size() - 1));
    products_.push_back({left, slots.back()});
    factors_.emplace_back(slots.begin(), slots.end());
    return static_cast<std::uint32_t>(factors_.size() - 1);
}

bool Formulas::evaluate(std::span<const TensorView> inputs, ExprStore& exprs, ExprRef* dims, ExprRef* bases,
                        Extent* extents) const {
    std::array<std::int64_t, kMaxNumbers> numbers;
    std::array<std::int64_t, kMaxValues> values;
    numbers[0] = 1;
    std::size_t n = 1;
    // Each loop may leave early: they are too short to gain from vector code.
    for (const Slot& slot : slots_) {
        const ExprRef dim = inputs[slot.input].dims[slot.dim];
        if (!dim.is_small())
            return evaluate_terms(inputs, exprs, dims, bases, extents) ||
                   evaluate_symbols(inputs, exprs, dims, bases, extents);
        if (dim.value() < std::max<std::int64_t>(slot.least, 2)) return false;
        numbers[n++] = dim.value();
    }
    for (const Same& same : same_)
        if (inputs[same.input].dims[same.dim] != ExprRef::small(numbers[same.slot])) return false;
    for (const Place& fixed : fixed_)
        if (inputs[fixed.input].dims[fixed.dim] != ExprRef::small(fixed.number)) return false;
    for (const Product& product : products_)
        if (__builtin_mul_overflow(numbers[product.left], numbers[product.right], &numbers[n++])) [[unlikely]]
            return false;
    // Handles of small integers are twice their values.
    std::int64_t* value = values.data();
    for (const Term& term : first_)
        if (__builtin_mul_overflow(numbers[term.product], term.twice, value++)) [[unlikely]]
            return false;
    for (const Term& term : more_) {
        std::int64_t& sum = values[term.value];
        std::int64_t each;
        if (__builtin_mul_overflow(numbers[term.product], term.twice, &each) || __builtin_add_overflow(sum, each, &sum))
            [[unlikely]]
            return false;
    }
    value = values.data();
    for (std::size_t i = 0; i < n_dims_; ++i, ++value) {  // of 1 or more: else the rule has something to say
        if (*value < 2) return false;
        if (dims != nullptr) dims[i] = ExprRef::small(*value >> 1);
    }
    for (std::size_t i = 0; i < n_amounts_; ++i, ++value) {  // the same: amounts of 0 have no rows
        if (*value < 2) return false;
        bases[i] = ExprRef::small(*value >> 1);
    }
    for (std::size_t i = 0; i < extents_.size(); ++i, value += 2)
        extents[i] = {extents_[i].kind, extents_[i].grade, ExprRef::small(value[0] >> 1),
                      ExprRef::small(value[1] >> 1)};
    return true;
}

// Whether the dims that were equal to a slot, or a number, are so here; slots from 1.
bool Formulas::matches(std::span<const TensorView> inputs, std::span<const ExprRef> slots) const {
    for (const Same& same : same_)
        if (inputs[same.input].dims[same.dim] != slots[same.slot]) return false;
    for (const Place& fixed : fixed_)
        if (inputs[fixed.input].dims[fixed.dim] != ExprRef::small(fixed.number)) return false;
    return true;
}

bool Formulas::write(std::span<const ExprRef> values, ExprRef* dims, ExprRef* bases, Extent* extents) const {
    const auto is_positive = [](ExprRef value) { return !value.is_small() || value.value() > 0; };
    const auto of_dims = values.first(n_dims_), amounts = values.subspan(n_dims_, n_amounts_);
    if (dims != nullptr && !std::ranges::all_of(of_dims, is_positive)) return false;
    if (!std::ranges::all_of(amounts, is_positive)) return false;
    if (dims != nullptr) std::ranges::copy(of_dims, dims);
    std::ranges::copy(amounts, bases);
    auto size = values.subspan(n_dims_ + n_amounts_).begin();
    for (std::size_t i = 0; i < extents_.size(); ++i, size += 2)
        extents[i] = {extents_[i].kind, extents_[i].grade, size[0], size[1]};
    return true;
}

// Of symbols too, where each dim and each value is a number or an inline term. A rule that is told more of a dim than
// it was when it was asked says the same of it.
bool Formulas::evaluate_terms(std::span<const TensorView> inputs, ExprStore& exprs, ExprRef* dims, ExprRef* bases,
                              Extent* extents) const {
    std::array<ExprRef, kMaxNumbers> slots;
    struct Number {
        std::int64_t coefficient;
        std::uint32_t monomial;  // 0 of a number
    };
    std::array<Number, kMaxNumbers> numbers;
    std::array<ExprRef, kMaxValues> values;
    numbers[0] = {1, 0};
    std::size_t n = 1;
    for (const Slot& slot : slots_) {
        const ExprRef dim = slots[n] = inputs[slot.input].dims[slot.dim];
        const bool number = dim.is_small();
        if (!number && !dim.is_term()) return false;
        if (exprs.at_least(dim) < (number ? std::max<std::int64_t>(slot.least, 2) : slot.least)) return false;
        numbers[n++] = number ? Number{dim.value(), 0} : Number{dim.coefficient(), dim.monomial()};
    }
    if (!matches(inputs, slots)) return false;
    for (const Product& product : products_) {
        const Number left = numbers[product.left], right = numbers[product.right];
        Number& both = numbers[n++];
        if (__builtin_mul_overflow(left.coefficient, right.coefficient, &both.coefficient)) [[unlikely]]
            return false;
        both.monomial = left.monomial == 0 || right.monomial == 0
                            ? left.monomial + right.monomial
                            : exprs.multiply_monomials(left.monomial, right.monomial);
    }
    const auto value_of = [](Number number, std::int64_t twice, ExprRef& value) {
        std::int64_t bits;
        if (__builtin_mul_overflow(number.coefficient, twice, &bits)) return false;
        if (number.monomial == 0) {
            value = ExprRef::small(bits >> 1);
            return true;
        }
        if (bits == 0 || !ExprRef::fits_term(number.monomial, bits >> 1)) return false;
        value = ExprRef::term(number.monomial, bits >> 1);
        return true;
    };
    const std::size_t skipped = dims == nullptr ? n_dims_ : 0;
    for (const Term& term : std::span(first_).subspan(skipped))
        if (!value_of(numbers[term.product], term.twice, values[term.value])) return false;
    for (const Term& term : more_) {
        if (term.value < skipped) continue;
        ExprRef each;
        if (!value_of(numbers[term.product], term.twice, each)) return false;
        values[term.value] = exprs.add(values[term.value], each);
    }
    return write(values, dims, bases, extents);
}

// Of any expressions.
bool Formulas::evaluate_symbols(std::span<const TensorView> inputs, ExprStore& exprs, ExprRef* dims, ExprRef* bases,
                                Extent* extents) const {
    std::array<ExprRef, kMaxNumbers> numbers;
    std::array<ExprRef, kMaxValues> values;
    numbers[0] = ExprRef::small(1);
    std::size_t n = 1;
    for (const Slot& slot : slots_) {
        const ExprRef dim = numbers[n++] = inputs[slot.input].dims[slot.dim];
        if (exprs.at_least(dim) < (dim.is_small() ? std::max<std::int64_t>(slot.least, 2) : slot.least)) return false;
    }
    if (!matches(inputs, numbers)) return false;
    for (const Product& product : products_) numbers[n++] = exprs.mul(numbers[product.left], numbers[product.right]);
    for (const Term& term : first_)
        values[term.value] = exprs.mul(numbers[term.product], ExprRef::small(term.twice / 2));
    for (const Term& term : more_)
        values[term.value] =
            exprs.add(values[term.value], exprs.mul(numbers[term.product], ExprRef::small(term.twice / 2)));
    return write(values, dims, bases, extents);
}

}  // namespace flopcore
