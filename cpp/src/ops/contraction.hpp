// The contractions and attention: rows of one table, each with functions of its own.
#pragma once

#include "attrs.hpp"
#include "rules.hpp"

namespace flopcore::ops {
namespace contraction {

using A = AttrKind;
using K = AttrKey;

constexpr std::string_view kCausalChoices[] = {"none", "top_left", "bottom_right"};
constexpr std::string_view kPaddingChoices[] = {"explicit", "valid", "same_upper", "same_lower"};
constexpr std::string_view kRaggedChoices[] = {"rows", "inner", "columns"};
constexpr std::string_view kSparseChoices[] = {"left", "right"};
constexpr auto kInt32 = static_cast<std::int64_t>(DType::kInt32);
constexpr auto kUint8 = static_cast<std::int64_t>(DType::kUint8);

// Dtypes of the result and of the sums; left out, they follow from the operands.
constexpr AttrSpec kResult = {K::kDtype, A::kDtype, false, kNoFallback};
constexpr AttrSpec kSums = {K::kAccumulate, A::kDtype, false, kNoFallback};
constexpr AttrSpec kProduct[] = {kResult, kSums};
constexpr AttrSpec kConv[] = {
    {K::kStride, A::kInts},
    {K::kDilation, A::kInts},
    {K::kPadding, A::kInts},
    {K::kGroups, A::kInt, false, 1},
    {K::kAutoPadding, A::kChoice, false, 0, kPaddingChoices},
    kResult,
    kSums,
};
constexpr AttrSpec kQuantizedConv[] = {
    kConv[0],
    kConv[1],
    kConv[2],
    kConv[3],
    kConv[4],
    {K::kDtype, A::kDtype, false, kInt32},
    {K::kAccumulate, A::kDtype, false, kInt32},
};
constexpr AttrSpec kConvTranspose[] = {{K::kStride, A::kInts},
                                       {K::kDilation, A::kInts},
                                       {K::kPadding, A::kInts},
                                       {K::kOutputPadding, A::kInts},
                                       {K::kGroups, A::kInt, false, 1},
                                       kResult,
                                       kSums};
constexpr AttrSpec kDeformConv[] = {kConv[0], kConv[1], kConv[2], kConv[3], kResult, kSums};
constexpr AttrSpec kDotGeneral[] = {{K::kLhsContract, A::kInts},
                                    {K::kRhsContract, A::kInts},
                                    {K::kLhsBatch, A::kInts},
                                    {K::kRhsBatch, A::kInts},
                                    kResult,
                                    kSums};
constexpr AttrSpec kEinsum[] = {{K::kEquation, A::kText, true}, {K::kPath, A::kInts}, kResult, kSums};
constexpr AttrSpec kRagged[] = {
    {K::kRagged, A::kChoice, false, 0, kRaggedChoices}, {K::kTopK, A::kInt, false, 1}, kResult, kSums};
constexpr AttrSpec kSparse[] = {{K::kSparse, A::kChoice, false, 0, kSparseChoices},
                                {K::kNnz, A::kDim},
                                {K::kDensity, A::kRatio},
                                {K::kPattern, A::kInts},
                                kResult,
                                kSums};
constexpr AttrSpec kQuantized[] = {{K::kDtype, A::kDtype, false, kInt32}, {K::kAccumulate, A::kDtype, false, kInt32}};
constexpr AttrSpec kQuantize[] = {
    {K::kAxis, A::kInt, false, 1}, {K::kBlockSize, A::kInt}, {K::kDtype, A::kDtype, false, kUint8}};
constexpr AttrSpec kDequantize[] = {{K::kAxis, A::kInt, false, 1}, {K::kBlockSize, A::kInt}};
constexpr AttrSpec kDynamic[] = {{K::kAxes, A::kInts}, {K::kDtype, A::kDtype, false, kUint8}};
constexpr AttrSpec kPaged[] = {{K::kSize, A::kDim}};
constexpr AttrSpec kAttention[] = {{K::kCausal, A::kChoice, false, 0, kCausalChoices},
                                   {K::kWindowLeft, A::kDim},
                                   {K::kWindowRight, A::kDim},
                                   {K::kSinkTokens, A::kInt},
                                   {K::kChunk, A::kDim},
                                   {K::kDensity, A::kRatio},
                                   {K::kBlocks, A::kDim},
                                   {K::kBlock, A::kInt, false, 1},
                                   {K::kSoftcap, A::kBool}};

constexpr OpRule kRules[] = {
    // clang-format off
    {Op::kMatmul, 2, 2, 0, false, kProduct, infer_matmul, count_matmul},
    {Op::kLinear, 2, 3, slots({1, 2}), false, kProduct, infer_linear, count_linear},
    {Op::kConv, 2, 3, slots({1, 2}), false, kConv, infer_conv, count_conv},
    {Op::kConvTranspose, 2, 3, slots({1, 2}), false, kConvTranspose, infer_conv_transpose, count_conv_transpose},
    {Op::kDeformConv, 3, 5, slots({1, 3}), false, kDeformConv, infer_deform_conv, count_deform_conv},
    {Op::kDotGeneral, 2, 2, 0, false, kDotGeneral, infer_dot_general, count_dot_general},
    {Op::kEinsum, 1, 255, 0, false, kEinsum, infer_einsum, count_einsum},
    {Op::kRaggedMatmul, 3, 3, slots({1}), false, kRagged, infer_ragged_matmul, count_ragged_matmul},
    {Op::kSparseMatmul, 2, 2, 0, false, kSparse, infer_sparse_matmul, count_sparse_matmul},
    {Op::kBilinear, 3, 4, slots({2, 3}), false, kProduct, infer_bilinear, count_bilinear},
    {Op::kQuantizedMatmul, 2, 8, 0, false, kQuantized, infer_quantized_matmul, count_quantized_matmul},
    {Op::kQuantizedConv, 2, 9, slots({1, 2, 4, 6}), false, kQuantizedConv, infer_quantized_conv, count_quantized_conv},
    {Op::kQuantizeLinear, 2, 3, 0, false, kQuantize, infer_quantize, count_quantize},
    {Op::kDequantizeLinear, 2, 3, 0, false, kDequantize, infer_dequantize, count_dequantize},
    {Op::kDynamicQuantizeLinear, 1, 1, 0, false, kDynamic, infer_dynamic_quantize, count_dynamic_quantize},
    {.op = Op::kPagedAttention, .min_inputs = 4, .max_inputs = 4, .attrs = kPaged, .infer = infer_paged_attention, .count = count_paged_attention, .dtypes = {.integers = 8}, .cache_slots = slots({1, 2})},
    {.op = Op::kAttention, .min_inputs = 3, .max_inputs = 7, .attrs = kAttention, .infer = infer_attention, .count = count_attention, .cache_slots = slots({1, 2, 5, 6})},
    // clang-format on
};

}  // namespace contraction
}  // namespace flopcore::ops
