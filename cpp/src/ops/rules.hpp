// The families of rules; ops/table.cpp gathers them.
#pragma once

#include "flopcore/rule.hpp"

namespace flopcore::ops {

void infer_matmul(InferContext& context);
void count_matmul(CountContext& context);
void infer_linear(InferContext& context);
void count_linear(CountContext& context);
void infer_conv(InferContext& context);
void count_conv(CountContext& context);

void infer_attention(InferContext& context);
void count_attention(CountContext& context);

// The count of a rule that is its charges and flags.
void count_charges(CountContext& context);
// The same for charges per element of the output that always hold.
void count_per_output(CountContext& context);
[[nodiscard]] DType result_dtype(const InferContext& context);

void infer_elementwise(InferContext& context);

void infer_softmax(InferContext& context);
void count_softmax(CountContext& context);
void infer_batch_norm(InferContext& context);
void count_batch_norm(CountContext& context);
void infer_row_norm(InferContext& context);
void count_layer_norm(CountContext& context);
void count_rms_norm(CountContext& context);

void infer_pool(InferContext& context);
void count_max_pool(CountContext& context);
void count_average_pool(CountContext& context);
void infer_adaptive_pool(InferContext& context);
void count_adaptive_average_pool(CountContext& context);

void infer_reduce(InferContext& context);
void count_reduce_sum(CountContext& context);
void count_reduce_mean(CountContext& context);
void count_reduce_max(CountContext& context);

void infer_reshape(InferContext& context);
void infer_flatten(InferContext& context);
void infer_transpose(InferContext& context);
void infer_concat(InferContext& context);
void infer_slice(InferContext& context);
void infer_split(InferContext& context);
void infer_embedding(InferContext& context);
void count_view(CountContext& context);
void count_move(CountContext& context);  // every element of the outputs
void count_embedding(CountContext& context);

}  // namespace flopcore::ops
