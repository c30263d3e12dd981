// Recurrences and mixtures of experts: rows of one table, each with functions of its own.
#pragma once

#include "attrs.hpp"
#include "rules.hpp"

namespace flopcore::ops {
namespace recurrence {

using A = AttrKind;
using K = AttrKey;

constexpr std::string_view kCellChoices[] = {"tanh", "relu"};
constexpr std::string_view kCombineChoices[] = {"add", "mul", "max"};
constexpr std::string_view kAlgorithmChoices[] = {"sequential", "recursive", "doubling"};
constexpr std::string_view kActivationChoices[] = {"relu", "gelu", "silu"};
constexpr std::string_view kScoringChoices[] = {"softmax", "sigmoid"};
constexpr std::string_view kDispatchChoices[] = {"gather", "einsum"};

constexpr AttrSpec kRnn[] = {{K::kActivation, A::kChoice, false, 0, kCellChoices}};
constexpr AttrSpec kSelective[] = {{K::kSoftplus, A::kBool}};
constexpr AttrSpec kDual[] = {{K::kChunk, A::kInt, false, 256}};
constexpr AttrSpec kDelta[] = {{K::kChunk, A::kInt}};
constexpr AttrSpec kScan[] = {{K::kAxis, A::kInt, false, -1},
                              {K::kCombine, A::kChoice, false, 0, kCombineChoices},
                              {K::kAlgorithm, A::kChoice, false, 0, kAlgorithmChoices}};
constexpr AttrSpec kMixture[] = {{K::kTopK, A::kInt, true},
                                 {K::kCapacity, A::kDim},
                                 {K::kActivation, A::kChoice, false, 2, kActivationChoices},
                                 {K::kScoring, A::kChoice, false, 0, kScoringChoices},
                                 {K::kDispatch, A::kChoice, false, 0, kDispatchChoices}};

constexpr OpRule kRules[] = {
    // clang-format off
    {Op::kRnn, 3, 5, slots({1, 2, 3}), false, kRnn, infer_rnn, count_rnn},
    {Op::kGru, 3, 5, slots({1, 2, 3}), false, {}, infer_gru, count_gru},
    {Op::kLstm, 3, 8, slots({1, 2, 3, 6, 7}), false, {}, infer_lstm, count_lstm},
    {Op::kSelectiveScan, 5, 8, slots({2, 5, 7}), false, kSelective, infer_selective_scan, count_selective_scan},
    {Op::kStateSpaceDual, 5, 6, slots({2, 5}), false, kDual, infer_state_space_dual, count_state_space_dual},
    {Op::kGatedDeltaRule, 4, 5, 0, false, kDelta, infer_gated_delta_rule, count_gated_delta_rule},
    {Op::kAssociativeScan, 1, 2, 0, false, kScan, infer_associative_scan, count_associative_scan},
    {Op::kMixtureOfExperts, 4, 8, slots({1, 2, 3, 4, 5, 6, 7}), false, kMixture, infer_mixture_of_experts, count_mixture_of_experts},
    // clang-format on
};

}  // namespace recurrence
}  // namespace flopcore::ops
