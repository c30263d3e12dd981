// The table of all rules, and the size features every op shares.
#include <algorithm>

#include "attrs.hpp"
#include "contraction.hpp"
#include "elementwise.hpp"
#include "flopcore/error.hpp"
#include "recurrence.hpp"
#include "rules.hpp"

namespace flopcore {
namespace {

using K = AttrKey;
using A = AttrKind;
constexpr AttrSpec kAxisLast[] = {{K::kAxis, A::kInt, false, -1}};
constexpr AttrSpec kRowNorm[] = {{K::kNormalizedNdim, A::kInt, false, 1}};
constexpr AttrSpec kPool[] = {{K::kKernel, A::kInts, true},
                              {K::kStride, A::kInts},
                              {K::kDilation, A::kInts},
                              {K::kPadding, A::kInts},
                              {K::kCeilMode, A::kBool}};
constexpr AttrSpec kReduce[] = {{K::kAxes, A::kInts}, {K::kKeepdims, A::kBool}};
constexpr std::string_view kNormChoices[] = {"l2", "l1"};
constexpr std::string_view kGateChoices[] = {"sigmoid", "silu", "gelu", "relu", "none"};
constexpr std::string_view kLossChoices[] = {"mean", "sum", "none"};
constexpr std::string_view kSampleChoices[] = {"linear", "nearest", "cubic"};
constexpr std::string_view kScatterChoices[] = {"none", "add", "mul", "max", "min"};
constexpr std::string_view kBagChoices[] = {"mean", "sum", "max"};
constexpr When kL2 = ops::choice_is(K::kNorm, 0), kL1 = ops::choice_is(K::kNorm, 1);
constexpr When kSigmoidGate = ops::choice_is(K::kActivation, 0), kSiluGate = ops::choice_is(K::kActivation, 1),
               kGeluGate = ops::choice_is(K::kActivation, 2), kReluGate = ops::choice_is(K::kActivation, 3);
constexpr When kMean = ops::choice_is(K::kReduction, 0);
static_assert(kLossChoices[ops::kReductionNone] == "none");
constexpr When kBlend = ops::choice_is_not(K::kMode, 1);
constexpr When kWritten = ops::choice_is(K::kReduction, 0), kAdded = ops::choice_is(K::kReduction, 1),
               kMultiplied = ops::choice_is(K::kReduction, 2), kMaximum = ops::choice_is(K::kReduction, 3),
               kMinimum = ops::choice_is(K::kReduction, 4);
constexpr When kMeanBag = ops::choice_is(K::kMode, 0), kMaxBag = ops::choice_is(K::kMode, 2),
               kNotMaxBag = ops::choice_is_not(K::kMode, 2);
constexpr AttrSpec kAxis[] = {{K::kAxis, A::kInt, true}};
constexpr AttrSpec kAxes[] = {{K::kAxes, A::kInts, true}};
constexpr AttrSpec kLpNormalize[] = {{K::kAxis, A::kInt, false, -1}, {K::kNorm, A::kChoice, false, 0, kNormChoices}};
constexpr AttrSpec kTopK[] = {{K::kAxis, A::kInt, false, -1}, {K::kSize, A::kDim, true}};
constexpr AttrSpec kGlu[] = {{K::kAxis, A::kInt, false, -1}, {K::kActivation, A::kChoice, false, 0, kGateChoices}};
constexpr AttrSpec kSized[] = {{K::kSize, A::kDim, true}};
constexpr AttrSpec kWindowSize[] = {{K::kSize, A::kInt, true}};
constexpr AttrSpec kGroups[] = {{K::kGroups, A::kInt, true}};
constexpr AttrSpec kLoss[] = {{K::kReduction, A::kChoice, false, 0, kLossChoices}};
constexpr AttrSpec kResize[] = {{K::kOutputSize, A::kDims, true}};
constexpr AttrSpec kFiltered[] = {{K::kOutputSize, A::kDims, true}, {K::kAntialias, A::kBool}};
constexpr AttrSpec kUnique[] = {{K::kSize, A::kDim, true}, {K::kAxes, A::kInts}};
constexpr AttrSpec kFractional[] = {{K::kKernel, A::kInts, true}, {K::kOutputSize, A::kInts, true}};
constexpr AttrSpec kGridSample[] = {{K::kMode, A::kChoice, false, 0, kSampleChoices}};
constexpr AttrSpec kRoiAlign[] = {{K::kOutputSize, A::kInts, true}, {K::kSamplingRatio, A::kInt, true}};
constexpr AttrSpec kUnfold[] = {
    {K::kKernel, A::kInts, true}, {K::kStride, A::kInts}, {K::kDilation, A::kInts}, {K::kPadding, A::kInts}};
constexpr AttrSpec kFold[] = {{K::kOutputSize, A::kInts, true},
                              {K::kKernel, A::kInts, true},
                              {K::kStride, A::kInts},
                              {K::kDilation, A::kInts},
                              {K::kPadding, A::kInts}};
constexpr AttrSpec kFilled[] = {{K::kShape, A::kDims, true}, {K::kDtype, A::kDtype, true}};
constexpr AttrSpec kSteps[] = {{K::kSize, A::kDim, true}, {K::kDtype, A::kDtype, true}};
constexpr AttrSpec kTile[] = {{K::kRepeats, A::kDims, true}};
constexpr AttrSpec kRepeat[] = {{K::kAxis, A::kInt, true}, {K::kSize, A::kDim, true}};
constexpr AttrSpec kPad[] = {{K::kPadding, A::kDims, true}};
constexpr AttrSpec kBlock[] = {{K::kBlock, A::kInt, true}};
constexpr AttrSpec kReverse[] = {{K::kAxis, A::kInt, false, 1}, {K::kTimeAxis, A::kInt, false, 0}};
constexpr AttrSpec kBatchDims[] = {{K::kBatchDims, A::kInt, false, 0}};
constexpr AttrSpec kScatter[] = {{K::kAxis, A::kInt, true}, {K::kReduction, A::kChoice, false, 0, kScatterChoices}};
constexpr AttrSpec kScatterNd[] = {{K::kReduction, A::kChoice, false, 0, kScatterChoices}};
constexpr AttrSpec kBag[] = {{K::kMode, A::kChoice, false, 0, kBagChoices}};
constexpr AttrSpec kOneHot[] = {
    {K::kAxis, A::kInt, false, -1}, {K::kSize, A::kDim, true}, {K::kDtype, A::kDtype, true}};
constexpr AttrSpec kDropout[] = {{K::kMode, A::kChoice, false, 0, ops::kModeChoices}, {K::kRatio, A::kRatio}};
constexpr AttrSpec kFft[] = {{K::kAxis, A::kInt, false, -1}, {K::kOnesided, A::kBool}, {K::kDtype, A::kDtype, true}};
constexpr AttrSpec kTriangular[] = {{K::kUnitDiagonal, A::kBool}};
constexpr AttrSpec kStft[] = {{K::kSize, A::kInt, true},
                              {K::kStep, A::kInt, true},
                              {K::kOnesided, A::kBool, false, 1},
                              {K::kDtype, A::kDtype, true}};
constexpr AttrSpec kReshape[] = {{K::kShape, A::kDims, true}};
constexpr AttrSpec kFlatten[] = {{K::kAxis, A::kInt, false, 1}, {K::kEndAxis, A::kInt, false, -1}};
constexpr AttrSpec kTranspose[] = {{K::kPermutation, A::kInts, true}};
constexpr AttrSpec kConcat[] = {{K::kAxis, A::kInt, true}};
constexpr AttrSpec kSlice[] = {
    {K::kAxis, A::kInt, true}, {K::kStart, A::kDim, true}, {K::kStop, A::kDim, true}, {K::kStep, A::kInt, false, 1}};

constexpr AttrSpec kSplit[] = {{K::kAxis, A::kInt, true}, {K::kSizes, A::kDims, true}};

constexpr OpRule kOther[] = {
    {.op = Op::kInput, .min_inputs = 0, .max_inputs = 0},
    {.op = Op::kParameter, .min_inputs = 0, .max_inputs = 0},
    {.op = Op::kConstant, .min_inputs = 0, .max_inputs = 0},
    {Op::kBatchNorm, 1, 5, ops::slots({1, 2, 3, 4}), false, ops::kMode, ops::infer_batch_norm, ops::count_batch_norm},
    {Op::kLayerNorm, 1, 3, ops::slots({1, 2}), false, kRowNorm, ops::infer_row_norm, ops::count_layer_norm},
    {Op::kRmsNorm, 1, 2, ops::slots({1}), false, kRowNorm, ops::infer_row_norm, ops::count_rms_norm},
    {Op::kReshape, 1, 1, 0, true, kReshape, ops::infer_reshape, ops::count_view},
    {Op::kFlatten, 1, 1, 0, true, kFlatten, ops::infer_flatten, ops::count_view},
    {Op::kTranspose, 1, 1, 0, false, kTranspose, ops::infer_transpose, ops::count_move},
    {Op::kConcat, 1, 255, 0, false, kConcat, ops::infer_concat, ops::count_move, {}, {}, Result::kFirst, ops::kAlike},
    {Op::kSlice, 1, 1, 0, false, kSlice, ops::infer_slice, ops::count_move},
    {Op::kSplit, 1, 1, 0, false, kSplit, ops::infer_split, ops::count_move},
};

using F = Feature;
constexpr Per I = Per::kInput, O = Per::kOutput, R = Per::kRow, T = Per::kTap;
constexpr auto kCharges = &ops::count_charges;

// Rules whose count is their charges, and those of matrices.
constexpr OpRule kCharged[] = {
    // clang-format off
    // Reductions over axes: I elements become O.
    {Op::kReduceSum, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kRows, 1, O}}},
    {Op::kReduceMean, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kDiv, 1, O}, {F::kRows, 1, O}}},
    {Op::kReduceMax, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, O}, {F::kRows, 1, O}}},
    {Op::kReduceMin, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, O}, {F::kRows, 1, O}}},
    {Op::kReduceProd, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kMul, 1, I}, {F::kMul, -1, O}, {F::kRows, 1, O}}},
    {Op::kReduceL1, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kCmp, 1, I}, {F::kRows, 1, O}}},
    {Op::kReduceL2, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kMul, 1, I}, {F::kSqrt, 1, O}, {F::kRows, 1, O}}},
    {Op::kReduceLp, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kCmp, 1, I}, {F::kPow, 1, I}, {F::kPow, 1, O}, {F::kRows, 1, O}}},
    {Op::kReduceLogSum, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kLog, 1, O}, {F::kRows, 1, O}}},
    {Op::kReduceLogSumExp, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 2, I}, {F::kCmp, 1, I}, {F::kCmp, -1, O}, {F::kExp, 1, I}, {F::kLog, 1, O}, {F::kRows, 1, O}}},
    {Op::kReduceSumSquare, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, O}, {F::kMul, 1, I}, {F::kRows, 1, O}}},
    {Op::kReduceVar, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 3, I}, {F::kAdd, -2, O}, {F::kMul, 1, I}, {F::kDiv, 2, O}, {F::kRows, 1, O}}},
    {Op::kReduceStd, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kAdd, 3, I}, {F::kAdd, -2, O}, {F::kMul, 1, I}, {F::kDiv, 2, O}, {F::kSqrt, 1, O}, {F::kRows, 1, O}}},
    {Op::kReduceAll, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kIntOp, 1, I}, {F::kIntOp, -1, O}, {F::kRows, 1, O}}, {}, Result::kBool},
    {Op::kReduceAny, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kIntOp, 1, I}, {F::kIntOp, -1, O}, {F::kRows, 1, O}}, {}, Result::kBool},
    {Op::kArgmax, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, O}, {F::kRows, 1, O}}, {}, Result::kInt64},
    {Op::kArgmin, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, O}, {F::kRows, 1, O}}, {}, Result::kInt64},
    {Op::kCountNonzero, 1, 1, 0, false, kReduce, ops::infer_reduce, kCharges, {{F::kCmp, 1, I}, {F::kIntOp, 1, I}, {F::kIntOp, -1, O}, {F::kRows, 1, O}}, {}, Result::kInt64},
    // Along one axis: R rows.
    {Op::kSoftmax, 1, 1, 0, false, kAxisLast, ops::infer_along_axis, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kAdd, 2, I}, {F::kAdd, -1, R}, {F::kExp, 1, I}, {F::kDiv, 1, I}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kLogSoftmax, 1, 1, 0, false, kAxisLast, ops::infer_along_axis, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kAdd, 3, I}, {F::kAdd, -1, R}, {F::kExp, 1, I}, {F::kLog, 1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kHardmax, 1, 1, 0, false, kAxisLast, ops::infer_along_axis, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kAssign, 1, I}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kLpNormalize, 1, 1, 0, false, kLpNormalize, ops::infer_along_axis, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, R}, {F::kMul, 1, I, kL2}, {F::kCmp, 1, I, kL1}, {F::kSqrt, 1, R, kL2}, {F::kDiv, 1, I}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kCumsum, 1, 1, 0, false, kAxis, ops::infer_along_axis, kCharges, {{F::kAdd, 1, I}, {F::kAdd, -1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kCumprod, 1, 1, 0, false, kAxis, ops::infer_along_axis, kCharges, {{F::kMul, 1, I}, {F::kMul, -1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kLogcumsumexp, 1, 1, 0, false, kAxis, ops::infer_along_axis, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kAdd, 2, I}, {F::kAdd, -2, R}, {F::kExp, 1, I}, {F::kExp, -1, R}, {F::kLog, 1, I}, {F::kLog, -1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kCummax, 1, 1, 0, false, kAxis, ops::infer_values_and_indices, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kCummin, 1, 1, 0, false, kAxis, ops::infer_values_and_indices, kCharges, {{F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_along_axis},
    {Op::kSort, 1, 1, 0, false, kAxisLast, ops::infer_values_and_indices, kCharges, {{F::kCmp, 1, T}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_sort},
    {Op::kTopK, 1, 1, 0, false, kTopK, ops::infer_top_k, kCharges, {{F::kCmp, 1, T}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_top_k},
    {Op::kGlu, 1, 1, 0, false, kGlu, ops::infer_glu, kCharges, {{F::kMul, 1}, {F::kMul, 1, O, kSiluGate}, {F::kMul, 3, O, kGeluGate}, {F::kAdd, 1, O, kSigmoidGate}, {F::kAdd, 1, O, kSiluGate}, {F::kAdd, 1, O, kGeluGate}, {F::kDiv, 1, O, kSigmoidGate}, {F::kDiv, 1, O, kSiluGate}, {F::kExp, 1, O, kSigmoidGate}, {F::kExp, 1, O, kSiluGate}, {F::kErf, 1, O, kGeluGate}, {F::kCmp, 1, O, kReluGate}}},
    {Op::kUnique, 1, 1, 0, false, kUnique, ops::infer_unique, kCharges, {{F::kCmp, 1, T}, {F::kCmp, 1, R}, {F::kMove, 1}}, {}, {}, {}, ops::measure_unique},
    {Op::kSearchsorted, 2, 2, 0, false, {}, ops::infer_searchsorted, kCharges, {{F::kCmp, 1, T}}, {}, {}, {}, ops::measure_searchsorted},
    {Op::kBincount, 1, 1, 0, false, kSized, ops::infer_sized_vector, kCharges, {{F::kIntOp, 1, I}, {F::kAssign, 1}}, {}, Result::kInt64, {.integers = 1}},
    {Op::kHistogram, 1, 1, 0, false, kSized, ops::infer_sized_vector, kCharges, {{F::kAdd, 1, I}, {F::kMul, 1, I}, {F::kRound, 1, I}, {F::kIntOp, 1, I}, {F::kAssign, 1}}, {}, Result::kInt64},
    // Norms.
    {Op::kGroupNorm, 1, 3, ops::slots({1, 2}), false, kGroups, ops::infer_group_norm, kCharges, {{F::kAdd, 3, I}, {F::kAdd, 1, I, ops::given(2)}, {F::kAdd, -1, R}, {F::kMul, 2, I}, {F::kMul, 1, I, ops::given(1)}, {F::kDiv, 2, R}, {F::kRsqrt, 1, R}, {F::kRows, 1, R}}, {{Variant::kAffine, ops::given(1)}}, {}, {}, ops::measure_groups},
    {Op::kInstanceNorm, 1, 3, ops::slots({1, 2}), false, {}, ops::infer_instance_norm, kCharges, {{F::kAdd, 3, I}, {F::kAdd, 1, I, ops::given(2)}, {F::kAdd, -1, R}, {F::kMul, 2, I}, {F::kMul, 1, I, ops::given(1)}, {F::kDiv, 2, R}, {F::kRsqrt, 1, R}, {F::kRows, 1, R}}, {{Variant::kAffine, ops::given(1)}}, {}, {}, ops::measure_channels},
    {Op::kLocalResponseNorm, 1, 1, 0, false, kWindowSize, ops::infer_local_response_norm, kCharges, {{F::kMul, 2}, {F::kAdd, 1, T}, {F::kPow, 1}, {F::kDiv, 1}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_channel_windows},
    {Op::kWeightNorm, 2, 2, ops::slots({0, 1}), false, kAxis, ops::infer_weight_norm, kCharges, {{F::kMul, 2, I}, {F::kAdd, 1, I}, {F::kAdd, -1, R}, {F::kSqrt, 1, R}, {F::kDiv, 1, R}, {F::kRows, 1, R}}, {}, {}, {}, ops::measure_weight_norm},
    // Losses of I elements or R targets.
    {Op::kMseLoss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 2, I}, {F::kAdd, -1, O}, {F::kMul, 1, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kL1Loss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 2, I}, {F::kAdd, -1, O}, {F::kCmp, 1, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kHuberLoss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 3, I}, {F::kAdd, -1, O}, {F::kMul, 3, I}, {F::kCmp, 2, I}, {F::kSelect, 1, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kSmoothL1Loss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 3, I}, {F::kAdd, -1, O}, {F::kMul, 3, I}, {F::kCmp, 2, I}, {F::kSelect, 1, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kBceLoss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 4, I}, {F::kAdd, -1, O}, {F::kMul, 2, I}, {F::kLog, 2, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kBceWithLogitsLoss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 4, I}, {F::kAdd, -1, O}, {F::kMul, 1, I}, {F::kCmp, 2, I}, {F::kExp, 1, I}, {F::kLog, 1, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kKlDivLoss, 2, 2, 0, false, kLoss, ops::infer_loss, kCharges, {{F::kAdd, 2, I}, {F::kAdd, -1, O}, {F::kMul, 1, I}, {F::kLog, 1, I}, {F::kDiv, 1, O, kMean}}, {}, {}, ops::kAlike},
    {Op::kNllLoss, 2, 3, ops::slots({2}), false, kLoss, ops::infer_class_loss, kCharges, {{F::kGather, 1, R}, {F::kMul, 1, R, ops::given(2)}, {F::kAdd, 1, R}, {F::kAdd, -1, O}, {F::kDiv, 1, O, kMean}}, {}, {}, {.integers = 2}, ops::measure_targets},
    {Op::kCrossEntropyLoss, 2, 3, ops::slots({2}), false, kLoss, ops::infer_class_loss, kCharges, {{F::kGather, 1, R}, {F::kMul, 1, R, ops::given(2)}, {F::kCmp, 1, I}, {F::kCmp, -1, R}, {F::kAdd, 3, I}, {F::kAdd, -1, O}, {F::kExp, 1, I}, {F::kLog, 1, R}, {F::kDiv, 1, O, kMean}, {F::kRows, 1, R}}, {}, {}, {.integers = 2}, ops::measure_targets},
    // Windows and resampling: T elements are visited.
    {Op::kMaxPool, 1, 1, 0, false, kPool, ops::infer_pool, kCharges, {{F::kCmp, 1, T}, {F::kCmp, -1, O}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_windows},
    {Op::kAveragePool, 1, 1, 0, false, kPool, ops::infer_pool, kCharges, {{F::kAdd, 1, T}, {F::kAdd, -1, O}, {F::kDiv, 1, O}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_windows},
    {Op::kLpPool, 1, 1, 0, false, kPool, ops::infer_pool, kCharges, {{F::kAdd, 1, T}, {F::kAdd, -1, O}, {F::kCmp, 1, T}, {F::kPow, 1, T}, {F::kPow, 1, O}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_windows},
    {Op::kMaxPoolWithIndices, 1, 1, 0, false, kPool, ops::infer_pool_with_indices, kCharges, {{F::kCmp, 1, T}, {F::kCmp, -1, O}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_windows},
    {Op::kAdaptiveAveragePool, 1, 1, 0, false, kResize, ops::infer_resize, kCharges, {{F::kAdd, 1, T}, {F::kAdd, -1, O}, {F::kDiv, 1, O}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_adaptive},
    {Op::kAdaptiveMaxPool, 1, 1, 0, false, kResize, ops::infer_resize, kCharges, {{F::kCmp, 1, T}, {F::kCmp, -1, O}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_adaptive},
    {Op::kMaxUnpool, 2, 2, 0, false, kResize, ops::infer_max_unpool, kCharges, {{F::kAssign, 1, I}, {F::kAssign, 1, O}}, {}, {}, {.integers = 2}},
    {Op::kFractionalMaxPool, 1, 1, 0, false, kFractional, ops::infer_fractional_max_pool, kCharges, {{F::kCmp, 1, T}, {F::kCmp, -1, O}, {F::kRng, 1, R}, {F::kKernelElems, 1, T}}, {}, {}, {}, ops::measure_fractional},
    {Op::kInterpolateNearest, 1, 1, 0, false, kResize, ops::infer_resize, kCharges, {{F::kGather}}},
    {Op::kInterpolateLinear, 1, 1, 0, false, kFiltered, ops::infer_resize, kCharges, {{F::kGather, 1, T}, {F::kMul, 1, T}, {F::kAdd, 1, T}, {F::kAdd, -1, O}}, {}, {}, {}, ops::measure_linear},
    {Op::kInterpolateCubic, 1, 1, 0, false, kFiltered, ops::infer_resize, kCharges, {{F::kGather, 1, T}, {F::kMul, 1, T}, {F::kAdd, 1, T}, {F::kAdd, -1, O}}, {}, {}, {}, ops::measure_cubic},
    {Op::kGridSample, 2, 2, 0, false, kGridSample, ops::infer_grid_sample, kCharges, {{F::kGather, 1, T}, {F::kMul, 1, T, kBlend}, {F::kMul, 2, R}, {F::kAdd, 1, T, kBlend}, {F::kAdd, -1, O, kBlend}, {F::kAdd, 2, R}, {F::kRound, 1, R}}, {}, {}, {}, ops::measure_grid_sample},
    {Op::kRoiAlign, 3, 3, 0, false, kRoiAlign, ops::infer_roi_align, kCharges, {{F::kGather, 1, T}, {F::kMul, 1, T}, {F::kAdd, 1, T}, {F::kAdd, -1, O}, {F::kDiv, 1, O}}, {}, {}, {.integers = 4}, ops::measure_samples},
    {Op::kUnfold, 1, 1, 0, false, kUnfold, ops::infer_unfold, kCharges, {{F::kMove}}},
    {Op::kFold, 1, 1, 0, false, kFold, ops::infer_fold, kCharges, {{F::kAdd, 1, I}}},
    {Op::kNms, 2, 2, 0, false, kSized, ops::infer_nms, kCharges, {{F::kCmp, 8, T}, {F::kAdd, 4, T}, {F::kAdd, 2, R}, {F::kMul, 1, T}, {F::kMul, 1, R}, {F::kDiv, 1, T}}, {}, {}, {}, ops::measure_nms},
    // Copies, views, new tensors.
    {Op::kIdentity, 1, 1, 0, true, {}, ops::infer_same, ops::count_view},
    {Op::kClone, 1, 1, 0, false, {}, ops::infer_same, kCharges, {{F::kMove}}},
    {Op::kFillLike, 1, 1, 0, false, {}, ops::infer_same, kCharges, {{F::kAssign}}},
    {Op::kRandomLike, 1, 1, 0, false, {}, ops::infer_same, kCharges, {{F::kRng}}},
    {Op::kBernoulli, 1, 1, 0, false, {}, ops::infer_same, kCharges, {{F::kRng}, {F::kCmp}}},
    {Op::kMultinomial, 1, 1, 0, false, kSized, ops::infer_multinomial, kCharges, {{F::kRng}, {F::kAdd, 1, I}, {F::kAdd, -1, R}, {F::kMul}, {F::kCmp, 1, T}}, {}, {}, {}, ops::measure_multinomial},
    {Op::kRandomUniform, 0, 0, 0, false, kFilled, ops::infer_filled, kCharges, {{F::kRng}}, {}, Result::kAttr},
    {Op::kRandomNormal, 0, 0, 0, false, kFilled, ops::infer_filled, kCharges, {{F::kRng}}, {}, Result::kAttr},
    {Op::kRandomIntegers, 0, 0, 0, false, kFilled, ops::infer_filled, kCharges, {{F::kRng}}, {}, Result::kAttr},
    {Op::kFull, 0, 0, 0, false, kFilled, ops::infer_filled, kCharges, {{F::kAssign}}, {}, Result::kAttr},
    {Op::kEye, 0, 0, 0, false, kFilled, ops::infer_filled, kCharges, {{F::kAssign}}, {}, Result::kAttr},
    {Op::kArange, 0, 0, 0, false, kSteps, ops::infer_sized_vector, kCharges, {{F::kAssign}}, {}, Result::kAttr},
    {Op::kLinspace, 0, 0, 0, false, kSteps, ops::infer_sized_vector, kCharges, {{F::kMul}, {F::kAdd}}, {}, Result::kAttr},
    {Op::kSqueeze, 1, 1, 0, true, kAxes, ops::infer_squeeze, ops::count_view},
    {Op::kUnsqueeze, 1, 1, 0, true, kAxes, ops::infer_unsqueeze, ops::count_view},
    {Op::kExpand, 1, 1, 0, true, kReshape, ops::infer_expand, ops::count_view},
    {Op::kUnbind, 1, 1, 0, true, kAxis, ops::infer_unbind, ops::count_view},
    {Op::kMeshgrid, 1, 255, 0, true, {}, ops::infer_meshgrid, ops::count_view, {}, {}, {}, ops::kAlike},
    {Op::kShapeOf, 1, 1, 0, true, {}, ops::infer_shape_of, ops::count_view},
    {Op::kSizeOf, 1, 1, 0, true, {}, ops::infer_size_of, ops::count_view},
    {Op::kFlip, 1, 1, 0, false, kAxes, ops::infer_same_axes, kCharges, {{F::kMove}}},
    {Op::kRoll, 1, 1, 0, false, kAxes, ops::infer_same_axes, kCharges, {{F::kMove}}},
    {Op::kTril, 1, 1, 0, false, {}, ops::infer_matrix, kCharges, {{F::kSelect}}},
    {Op::kTriu, 1, 1, 0, false, {}, ops::infer_matrix, kCharges, {{F::kSelect}}},
    {Op::kTile, 1, 1, 0, false, kTile, ops::infer_tile, kCharges, {{F::kMove}}},
    {Op::kRepeatInterleave, 1, 1, 0, false, kRepeat, ops::infer_repeat_interleave, kCharges, {{F::kMove}}},
    {Op::kPad, 1, 1, 0, false, kPad, ops::infer_pad, kCharges, {{F::kMove}}},
    {Op::kStack, 1, 255, 0, false, kAxis, ops::infer_stack, kCharges, {{F::kMove}}, {}, {}, ops::kAlike},
    {Op::kDiag, 1, 1, 0, false, {}, ops::infer_diag, kCharges, {{F::kMove}}},
    {Op::kSpaceToDepth, 1, 1, 0, false, kBlock, ops::infer_space_to_depth, kCharges, {{F::kMove}}},
    {Op::kDepthToSpace, 1, 1, 0, false, kBlock, ops::infer_depth_to_space, kCharges, {{F::kMove}}},
    {Op::kReverseSequence, 2, 2, 0, false, kReverse, ops::infer_reverse_sequence, kCharges, {{F::kMove}}, {}, {}, {.integers = 2}},
    // Picking and placing: T updates.
    {Op::kGather, 2, 2, 0, false, kAxis, ops::infer_gather, kCharges, {{F::kGather}}, {}, {}, {.integers = 2}, nullptr, true},
    {Op::kTakeAlong, 2, 2, 0, false, kAxis, ops::infer_take_along, kCharges, {{F::kGather}}, {}, {}, {.integers = 2}, nullptr, true},
    {Op::kGatherNd, 2, 2, 0, false, kBatchDims, ops::infer_gather_nd, kCharges, {{F::kGather}}, {}, {}, {.integers = 2}, nullptr, true},
    {Op::kScatter, 3, 3, 0, false, kScatter, ops::infer_scatter, kCharges, {{F::kMove}, {F::kAssign, 1, T, kWritten}, {F::kAdd, 1, T, kAdded}, {F::kMul, 1, T, kMultiplied}, {F::kCmp, 1, T, kMaximum}, {F::kCmp, 1, T, kMinimum}}, {}, {}, {.alike = 5, .integers = 2}, ops::measure_updates},
    {Op::kScatterNd, 3, 3, 0, false, kScatterNd, ops::infer_scatter_nd, kCharges, {{F::kMove}, {F::kAssign, 1, T, kWritten}, {F::kAdd, 1, T, kAdded}, {F::kMul, 1, T, kMultiplied}, {F::kCmp, 1, T, kMaximum}, {F::kCmp, 1, T, kMinimum}}, {}, {}, {.alike = 5, .integers = 2}, ops::measure_updates},
    {Op::kIndexUpdate, 3, 3, 0, false, kScatter, ops::infer_index_update, kCharges, {{F::kMove}, {F::kAssign, 1, T, kWritten}, {F::kAdd, 1, T, kAdded}, {F::kMul, 1, T, kMultiplied}, {F::kCmp, 1, T, kMaximum}, {F::kCmp, 1, T, kMinimum}}, {}, {}, {.alike = 5, .integers = 2}, ops::measure_updates},
    {Op::kEmbedding, 2, 2, ops::slots({0}), false, {}, ops::infer_embedding, kCharges, {{F::kGather}}, {}, {}, {.integers = 2}, nullptr, true},
    {Op::kEmbeddingBag, 2, 2, ops::slots({0}), false, kBag, ops::infer_embedding_bag, kCharges, {{F::kGather, 1, T}, {F::kAdd, 1, T, kNotMaxBag}, {F::kAdd, -1, O, kNotMaxBag}, {F::kDiv, 1, O, kMeanBag}, {F::kCmp, 1, T, kMaxBag}, {F::kCmp, -1, O, kMaxBag}}, {}, {}, {.integers = 2}, ops::measure_bags, true},
    {Op::kOneHot, 1, 1, 0, false, kOneHot, ops::infer_one_hot, kCharges, {{F::kAssign}}, {}, Result::kAttr, {.integers = 1}},
    {Op::kNonzero, 1, 1, 0, false, kSized, ops::infer_nonzero, kCharges, {{F::kCmp, 1, I}, {F::kAssign}}},
    {Op::kMaskedSelect, 2, 2, 0, false, kSized, ops::infer_masked_select, kCharges, {{F::kSelect, 1, I}, {F::kMove}}, {}, {}, {.bools = 2}},
    {Op::kDropout, 1, 1, 0, false, kDropout, ops::infer_dropout, ops::count_dropout},
    // Matrices and transforms.
    {Op::kDeterminant, 1, 1, 0, false, {}, ops::infer_determinant, ops::count_determinant},
    {Op::kInverse, 1, 1, 0, false, {}, ops::infer_square, ops::count_inverse},
    {Op::kSolve, 2, 2, 0, false, {}, ops::infer_solve, ops::count_solve, {}, {}, {}, ops::kAlike},
    {Op::kCholesky, 1, 1, 0, false, {}, ops::infer_square, ops::count_cholesky},
    {Op::kTriangularSolve, 2, 2, 0, false, kTriangular, ops::infer_solve, ops::count_triangular_solve, {}, {}, {}, ops::kAlike},
    {Op::kLuFactor, 1, 1, 0, false, {}, ops::infer_lu_factor, ops::count_lu_factor},
    {Op::kQr, 1, 1, 0, false, {}, ops::infer_qr, ops::count_qr},
    {Op::kEigh, 1, 1, 0, false, {}, ops::infer_eigh, ops::count_eigh},
    {Op::kSvd, 1, 1, 0, false, {}, ops::infer_svd, ops::count_svd},
    {Op::kFft, 1, 1, 0, false, kFft, ops::infer_fft, ops::count_fft, {}, {}, Result::kAttr},
    {Op::kStft, 1, 2, 0, false, kStft, ops::infer_stft, ops::count_stft, {}, {}, Result::kAttr},
    // clang-format on
};

// All rules by Op; an op without one, or with two, does not compile.
constexpr auto kRules = [] {
    std::array<OpRule, static_cast<std::size_t>(Op::kCall)> rules{};
    std::size_t n = 0;
    for (const std::span<const OpRule> family : {std::span<const OpRule>(kOther),
                                                 {kCharged},
                                                 {ops::contraction::kRules},
                                                 {ops::recurrence::kRules},
                                                 {ops::elementwise::kRules}})
        for (const OpRule& rule : family) {
            rules[static_cast<std::size_t>(rule.op)] = rule;
            ++n;
        }
    for (std::size_t i = 0; i < rules.size(); ++i)
        if (rules[i].op != static_cast<Op>(i) || n != rules.size()) throw "an op has no rule, or two";
    return rules;
}();

inline ExprRef bytes(ExprStore& exprs, ExprRef elements, DType dtype) {
    const unsigned bits = info(dtype).bits;
    return (bits & 7U) == 0 ? exprs.mul(elements, ExprRef::small(bits >> 3))
                            : exprs.ceildiv(exprs.mul(elements, ExprRef::small(bits)), ExprRef::small(8));
}

// Sizes of one node, in elements and bytes.
struct NodeSizes {
    ExprRef out, written, in, weights, read, weights_read, cache;
};

// When every tensor has less than 2^50 elements and there are at most 64, no sum of bytes reaches 2^62, and nothing
// needs checking on the way. The sums below return false, with nothing done, when one is larger or symbolic.
constexpr std::size_t kMostTensors = 64;
constexpr int kHandleBits = 51;  // a handle is twice its value

// For nodes of one dtype of whole bytes, whose inputs are read once and in full.
bool add_alike_sizes(const CountContext& context, NodeSizes& sizes) {
    if (context.element_bytes == 0 || context.inputs.size() + context.outputs.size() > kMostTensors) return false;
    std::int64_t out = 0, of_weights[2] = {0, 0}, every = 0;
    for (const TensorView& t : context.outputs) {
        every |= t.elements.bits();
        out += t.elements.value();
    }
    for (const TensorView& t : context.inputs) {
        if (!t.given()) continue;
        every |= t.elements.bits();
        of_weights[t.weight ? 1 : 0] += t.elements.value();
    }
    if ((every & 1) != 0 || (every >> kHandleBits) != 0) [[unlikely]]
        return false;
    const auto [in, weights] = of_weights;
    const std::int64_t bytes = context.element_bytes;
    sizes = {ExprRef::small(out),
             ExprRef::small(out * bytes),
             ExprRef::small(in),
             ExprRef::small(weights),
             ExprRef::small((in + weights) * bytes),
             ExprRef::small(weights * bytes),
             {}};
    return true;
}

bool add_small_sizes(const OpRule& rule, const CountContext& context, NodeSizes& sizes) {
    if (context.inputs.size() + context.outputs.size() > kMostTensors) return false;
    std::uint64_t every = 0;
    std::int64_t out = 0, written = 0, read = 0, of_weights[2] = {0, 0}, weights_read = 0, cache = 0;
    const auto bytes_of = [](std::int64_t elements, DType dtype) {
        return (elements * static_cast<std::int64_t>(info(dtype).bits) + 7) >> 3;
    };
    for (const TensorView& t : context.outputs) {
        every |= static_cast<std::uint64_t>(t.elements.bits());
        const std::int64_t n = t.elements.value();
        out += n;
        written += bytes_of(n, t.dtype);
        if ((every & 1U) != 0 || (every >> kHandleBits) != 0) [[unlikely]]
            return false;
    }
    for (std::size_t i = 0; i < context.inputs.size(); ++i) {
        const TensorView& t = context.inputs[i];
        if (!t.given()) continue;
        every |= static_cast<std::uint64_t>(t.elements.bits());
        if ((every & 1U) != 0 || (every >> kHandleBits) != 0) [[unlikely]]
            return false;
        const std::int64_t n = t.elements.value(), size = bytes_of(n, t.dtype);
        of_weights[t.weight ? 1 : 0] += n;
        read += size;
        weights_read += t.weight ? size : 0;
        if (rule.cache_slot(i)) cache += size;
    }
    sizes = {ExprRef::small(out),           ExprRef::small(written), ExprRef::small(of_weights[0]),
             ExprRef::small(of_weights[1]), ExprRef::small(read),    ExprRef::small(weights_read),
             ExprRef::small(cache)};
    return true;
}

void add_sizes(const OpRule& rule, const CountContext& context, NodeSizes& sizes) {
    ExprStore& exprs = context.exprs;
    for (const TensorView& t : context.outputs) {
        sizes.out = exprs.add(sizes.out, t.elements);
        sizes.written = exprs.add(sizes.written, bytes(exprs, t.elements, t.dtype));
    }
    for (std::size_t i = 0; i < context.inputs.size(); ++i) {
        const TensorView& t = context.inputs[i];
        if (!t.given()) continue;
        const ExprRef size = bytes(exprs, t.elements, t.dtype);
        if (t.weight) {
            sizes.weights = exprs.add(sizes.weights, t.elements);
            sizes.weights_read = exprs.add(sizes.weights_read, size);
        } else {
            sizes.in = exprs.add(sizes.in, t.elements);
        }
        if (rule.cache_slot(i)) sizes.cache = exprs.add(sizes.cache, size);
        sizes.read = exprs.add(sizes.read, size);
    }
}

}  // namespace

const OpRule& rule_of(Op op) { return kRules[static_cast<std::size_t>(op)]; }

std::span<const OpRule> all_rules() { return kRules; }

Op op_from_name(std::string_view name) {
    const auto rule = std::ranges::find(kRules, name, [](const OpRule& each) { return op_name(each.op); });
    if (rule == std::end(kRules))
        throw UnsupportedOp("no rule for op '" + std::string(name) + "'; flopcore.ops() lists the ops that have one");
    return rule->op;
}

void count_node(const OpRule& rule, CountContext& context) {
    context.rule = &rule;
    rule.count(context);
    count_sizes(rule, context);
}

void count_sizes(const OpRule& rule, CountContext& context) {
    ExprStore& exprs = context.exprs;
    NodeSizes sizes;
    if (!add_alike_sizes(context, sizes) && !add_small_sizes(rule, context, sizes)) add_sizes(rule, context, sizes);
    auto& [out, written, in, weights, read, weights_read, cache] = sizes;
    if (rule.gathers) {  // reads what it gathers of its first input, not the whole of it
        ExprRef gathered;
        for (std::uint32_t i = 0; i < context.n_amounts; ++i)
            if (context.tags[i].feature == Feature::kGather) gathered = context.bases[i];
        read = bytes(exprs, gathered, context.inputs[0].dtype);
        weights_read = context.inputs[0].weight ? read : ExprRef();
        for (const TensorView& t : context.inputs.subspan(1)) {
            if (!t.given()) continue;
            const ExprRef size = bytes(exprs, t.elements, t.dtype);
            read = exprs.add(read, size);
            if (t.weight) weights_read = exprs.add(weights_read, size);
        }
    }
    // As emit(), with the position kept in a register.
    std::uint32_t n = context.n_amounts;
    const auto put = [&, bases = context.bases, tags = context.tags.data()](Feature feature, ExprRef size) {
        if (size == ExprRef()) return;
        bases[n] = size;
        tags[n++] = {feature, kNoExtent};
    };
    put(Feature::kOutElems, out);
    put(Feature::kInElems, in);
    put(Feature::kWeightElems, weights);
    if (!rule.view) {
        put(Feature::kBytesRead, read);
        put(Feature::kBytesWritten, written);
        put(Feature::kWeightBytes, weights_read);
        put(Feature::kCacheBytes, cache);
    }
    context.n_amounts = n;
}

}  // namespace flopcore
