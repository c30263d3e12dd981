// The elementwise ops: rows of one table under one shared rule.
#pragma once

#include "attrs.hpp"
#include "rules.hpp"

namespace flopcore::ops {
namespace elementwise {

using F = Feature;
using P = Per;
using R = Result;
using V = Variant;

constexpr std::string_view kGeluChoices[] = {"none", "tanh"};
constexpr std::string_view kBoundChoices[] = {"both", "low", "high"};
constexpr AttrSpec kGelu[] = {{AttrKey::kApproximate, AttrKind::kChoice, false, 0, kGeluChoices}};
constexpr AttrSpec kClamp[] = {{AttrKey::kBounds, AttrKind::kChoice, false, 0, kBoundChoices}};
constexpr When kExact = choice_is(AttrKey::kApproximate, 0), kTanh = choice_is(AttrKey::kApproximate, 1);
constexpr When kBoth = choice_is(AttrKey::kBounds, 0), kOneSide = choice_is_not(AttrKey::kBounds, 0);

constexpr OpRule kRules[] = {
    // clang-format off
    {Op::kAdd, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kSub, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kMul, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul}}, {}, R::kFirst, kAlike},
    {Op::kDiv, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kDiv}}, {}, R::kFirst, kAlike},
    {Op::kRelu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}},
    {Op::kGelu, 1, 1, 0, false, kGelu, infer_elementwise, count_charges, {{F::kMul, 3, P::kOutput, kExact}, {F::kMul, 6, P::kOutput, kTanh}, {F::kAdd, 1, P::kOutput, kExact}, {F::kAdd, 2, P::kOutput, kTanh}, {F::kErf, 1, P::kOutput, kExact}, {F::kTanh, 1, P::kOutput, kTanh}}, {{V::kTanh, kTanh}}},
    {Op::kSilu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}, {F::kAdd}, {F::kDiv}, {F::kMul}}},
    {Op::kSigmoid, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}, {F::kAdd}, {F::kDiv}}},
    {Op::kTanh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTanh}}},
    {Op::kCast, 1, 1, 0, false, kCast, infer_elementwise, count_per_output, {{F::kMove}}, {}, R::kAttr},
    {Op::kNeg, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kAdd}}},
    {Op::kAbs, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}},
    {Op::kSign, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp, 2}, {F::kAdd}}},
    {Op::kReciprocal, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kDiv}}},
    {Op::kSquare, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul}}},
    {Op::kSqrt, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kSqrt}}},
    {Op::kRsqrt, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kRsqrt}}},
    {Op::kExp, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}}},
    {Op::kExp2, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}}},
    {Op::kExpm1, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}}},
    {Op::kLog, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kLog}}},
    {Op::kLog2, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kLog}}},
    {Op::kLog10, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kLog}}},
    {Op::kLog1p, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kLog}}},
    {Op::kSin, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kCos, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kTan, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kAsin, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kAcos, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kAtan, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kSinh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kCosh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kAsinh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kAcosh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kAtanh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}},
    {Op::kErf, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kErf}}},
    {Op::kErfc, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kErf}}},
    {Op::kErfinv, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kErf}}},
    {Op::kLogit, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kAdd}, {F::kDiv}, {F::kLog}}},
    {Op::kFloor, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kRound}}},
    {Op::kCeil, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kRound}}},
    {Op::kRound, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kRound}}},
    {Op::kTrunc, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kRound}}},
    {Op::kFrac, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kRound}, {F::kAdd}}},
    {Op::kPow, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kPow}}},
    {Op::kFmod, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kDiv}, {F::kRound}, {F::kMul}, {F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kRemainder, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kDiv}, {F::kRound}, {F::kMul}, {F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kFloorDivide, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kDiv}, {F::kRound}}, {}, R::kFirst, kAlike},
    {Op::kAtan2, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kTrig}}, {}, R::kFirst, kAlike},
    {Op::kHypot, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul, 2}, {F::kAdd}, {F::kSqrt}}, {}, R::kFirst, kAlike},
    {Op::kLogaddexp, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kAdd, 2}, {F::kExp}, {F::kLog}}, {}, R::kFirst, kAlike},
    {Op::kFma, 3, 3, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul}, {F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kAddcmul, 3, 3, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul, 2}, {F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kAddcdiv, 3, 3, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul}, {F::kDiv}, {F::kAdd}}, {}, R::kFirst, kAlike},
    {Op::kLerp, 3, 3, 0, false, {}, infer_elementwise, count_per_output, {{F::kAdd, 2}, {F::kMul}}, {}, R::kFirst, kAlike},
    {Op::kMaximum, 1, 255, 0, false, {}, infer_elementwise, count_charges, {{F::kCmp, 1, P::kJoin}}, {}, R::kFirst, kAlike},
    {Op::kMinimum, 1, 255, 0, false, {}, infer_elementwise, count_charges, {{F::kCmp, 1, P::kJoin}}, {}, R::kFirst, kAlike},
    {Op::kAddN, 1, 255, 0, false, {}, infer_elementwise, count_charges, {{F::kAdd, 1, P::kJoin}}, {}, R::kFirst, kAlike},
    {Op::kMeanN, 1, 255, 0, false, {}, infer_elementwise, count_charges, {{F::kAdd, 1, P::kJoin}, {F::kDiv}}, {}, R::kFirst, kAlike},
    {Op::kClamp, 1, 1, 0, false, kClamp, infer_elementwise, count_charges, {{F::kCmp, 2, P::kOutput, kBoth}, {F::kCmp, 1, P::kOutput, kOneSide}}},
    {Op::kEqual, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool, kAlike},
    {Op::kNotEqual, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool, kAlike},
    {Op::kLess, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool, kAlike},
    {Op::kLessEqual, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool, kAlike},
    {Op::kGreater, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool, kAlike},
    {Op::kGreaterEqual, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool, kAlike},
    {Op::kIsnan, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool},
    {Op::kIsinf, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool},
    {Op::kIsfinite, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}}, {}, R::kBool},
    {Op::kLogicalAnd, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kBool, kAlike},
    {Op::kLogicalOr, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kBool, kAlike},
    {Op::kLogicalXor, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kBool, kAlike},
    {Op::kLogicalNot, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kBool},
    {Op::kBitwiseAnd, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kFirst, kAlikeIntegers},
    {Op::kBitwiseOr, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kFirst, kAlikeIntegers},
    {Op::kBitwiseXor, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kFirst, kAlikeIntegers},
    {Op::kBitwiseNot, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kFirst, kAnyIntegers},
    {Op::kShiftLeft, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kFirst, kAlikeIntegers},
    {Op::kShiftRight, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kIntOp}}, {}, R::kFirst, kAlikeIntegers},
    {Op::kMaskedFill, 2, 2, 0, false, {}, infer_elementwise, count_per_output, {{F::kSelect}}, {}, R::kFirst, {.bools = 2}},
    {Op::kWhere, 3, 3, 0, false, {}, infer_elementwise, count_per_output, {{F::kSelect}}, {}, R::kSecond, {.alike = 6, .bools = 1}},
    {Op::kRelu6, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp, 2}}},
    {Op::kLeakyRelu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kMul}, {F::kSelect}}},
    {Op::kPrelu, 2, 2, slots({1}), false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kMul}, {F::kSelect}}, {}, R::kFirst, kAlike},
    {Op::kRrelu, 1, 1, 0, false, kMode, infer_elementwise, count_charges, {{F::kCmp}, {F::kMul}, {F::kSelect}, {F::kRng, 1, P::kOutput, kTraining}}, {{V::kTrain, kTraining}}},
    {Op::kElu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kExp}, {F::kAdd}, {F::kMul}, {F::kSelect}}},
    {Op::kSelu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kExp}, {F::kAdd}, {F::kMul, 2}, {F::kSelect}}},
    {Op::kCelu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kDiv}, {F::kExp}, {F::kAdd}, {F::kMul}, {F::kSelect}}},
    {Op::kSoftplus, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}, {F::kAdd}, {F::kLog}}},
    {Op::kSoftsign, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kAdd}, {F::kDiv}}},
    {Op::kHardSigmoid, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul}, {F::kAdd}, {F::kCmp, 2}}},
    {Op::kHardSwish, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul, 2}, {F::kAdd}, {F::kCmp, 2}}},
    {Op::kHardTanh, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp, 2}}},
    {Op::kQuickGelu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kMul, 2}, {F::kExp}, {F::kAdd}, {F::kDiv}}},
    {Op::kMish, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}, {F::kAdd}, {F::kLog}, {F::kTanh}, {F::kMul}}},
    {Op::kThresholdedRelu, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp}, {F::kSelect}}},
    {Op::kHardShrink, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp, 2}, {F::kSelect}}},
    {Op::kSoftShrink, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kCmp, 2}, {F::kAdd}, {F::kSelect}}},
    {Op::kTanhShrink, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kTanh}, {F::kAdd}}},
    {Op::kLogSigmoid, 1, 1, 0, false, {}, infer_elementwise, count_per_output, {{F::kExp}, {F::kAdd}, {F::kLog}}},
    // clang-format on
};

}  // namespace elementwise
}  // namespace flopcore::ops
