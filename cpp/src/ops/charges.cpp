// Turns the charges and flags of a rule's row into amounts: the one count of most ops.
#include <algorithm>

#include "flopcore/charge.hpp"
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore {
namespace ops {
namespace {

bool holds(const CountContext& context, When when) {
    switch (when.kind) {
        case When::Kind::kAlways:
            return true;
        case When::Kind::kGiven:
            return when.which < context.inputs.size() && context.inputs[when.which].given();
        case When::Kind::kChoice:
            return context.attrs.integer(static_cast<AttrKey>(when.which)) == when.value;
        case When::Kind::kNotChoice:
            return context.attrs.integer(static_cast<AttrKey>(when.which)) != when.value;
    }
    return false;
}

bool is_integer(DType dtype) { return dtype >= DType::kInt64 && dtype <= DType::kUint2; }

}  // namespace

void count_charges(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const OpRule& rule = *context.rule;
    Sizes sizes{context.y.elements};
    if (!context.inputs.empty()) {
        size_of(sizes, Per::kInput) = context.inputs[0].elements;
        if (rule.max_inputs == 255)
            size_of(sizes, Per::kJoin) =
                exprs.mul(context.y.elements, ExprRef::small(static_cast<std::int64_t>(context.inputs.size()) - 1));
    }
    if (rule.measure != nullptr) rule.measure(context, sizes);
    for (const Flag& flag : rule.flags.span())
        if (holds(context, flag.when)) context.flag(flag.variant);
    const auto charges = rule.charges.span();
    for (std::size_t i = 0; i < charges.size();) {  // charges of one feature stand together and make one amount
        const Feature feature = charges[i].feature;
        ExprRef total;
        for (; i < charges.size() && charges[i].feature == feature; ++i) {
            const Charge& charge = charges[i];
            if (!holds(context, charge.when)) continue;
            const ExprRef size = size_of(sizes, charge.per);
            total = exprs.add(total, charge.count == 1 ? size : exprs.mul(size, ExprRef::small(charge.count)));
        }
        context.emit(feature, total);
    }
}

DType result_dtype(const InferContext& context) {
    switch (context.rule->result) {
        case Result::kFirst:
            return context.inputs[0].dtype;
        case Result::kSecond:
            return context.inputs[1].dtype;
        case Result::kBool:
            return DType::kBool;
        case Result::kInt64:
            return DType::kInt64;
        case Result::kAttr:
            return static_cast<DType>(context.attrs.integer(AttrKey::kDtype));
    }
    return context.inputs[0].dtype;
}

}  // namespace ops

void check_dtypes(const OpRule& rule, std::span<const TensorView> inputs) {
    const DTypeRules rules = rule.dtypes;
    if (rules.alike == 0 && rules.integers == 0 && rules.bools == 0) return;
    const TensorView* first = nullptr;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const TensorView& t = inputs[i];
        if (!t.given()) continue;
        const unsigned bit = 1U << std::min<std::size_t>(i, 7);
        const std::string name(info(t.dtype).name);
        if ((rules.integers & bit) != 0 && !ops::is_integer(t.dtype))
            ops::shape_error("input " + std::to_string(i) + " must hold integers, is " + name);
        if ((rules.bools & bit) != 0 && t.dtype != DType::kBool)
            ops::shape_error("input " + std::to_string(i) + " must be bool, is " + name);
        if ((rules.alike & bit) == 0) continue;
        if (first == nullptr) first = &t;
        ops::require_same_dtype(*first, t);
    }
}

}  // namespace flopcore
