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
void infer_matmul_shape(InferContext& context, DType dtype);  // with an output of this dtype
void infer_conv_shape(InferContext& context, DType dtype);
void infer_conv_transpose(InferContext& context);
void count_conv_transpose(CountContext& context);
void infer_deform_conv(InferContext& context);
void count_deform_conv(CountContext& context);
void infer_dot_general(InferContext& context);
void count_dot_general(CountContext& context);
void infer_einsum(InferContext& context);
void count_einsum(CountContext& context);
void infer_ragged_matmul(InferContext& context);
void count_ragged_matmul(CountContext& context);
void infer_sparse_matmul(InferContext& context);
void count_sparse_matmul(CountContext& context);
void infer_bilinear(InferContext& context);
void count_bilinear(CountContext& context);
void infer_quantized_matmul(InferContext& context);
void count_quantized_matmul(CountContext& context);
void infer_quantized_conv(InferContext& context);
void count_quantized_conv(CountContext& context);
void infer_quantize(InferContext& context);
void count_quantize(CountContext& context);
void infer_dequantize(InferContext& context);
void count_dequantize(CountContext& context);
void infer_dynamic_quantize(InferContext& context);
void count_dynamic_quantize(CountContext& context);

void infer_attention(InferContext& context);
void count_attention(CountContext& context);
void infer_paged_attention(InferContext& context);
void count_paged_attention(CountContext& context);

void infer_rnn(InferContext& context);
void count_rnn(CountContext& context);
void infer_gru(InferContext& context);
void count_gru(CountContext& context);
void infer_lstm(InferContext& context);
void count_lstm(CountContext& context);
void infer_selective_scan(InferContext& context);
void count_selective_scan(CountContext& context);
void infer_state_space_dual(InferContext& context);
void count_state_space_dual(CountContext& context);
void infer_gated_delta_rule(InferContext& context);
void count_gated_delta_rule(CountContext& context);
void infer_associative_scan(InferContext& context);
void count_associative_scan(CountContext& context);
void infer_mixture_of_experts(InferContext& context);
void count_mixture_of_experts(CountContext& context);

// The count of a rule that is its charges and flags.
void count_charges(CountContext& context);
// The same for charges per element of the output that always hold.
void count_per_output(CountContext& context);
[[nodiscard]] DType result_dtype(const InferContext& context);

[[nodiscard]] constexpr ExprRef& size_of(Sizes& sizes, Per per) { return sizes[static_cast<std::size_t>(per)]; }

void infer_elementwise(InferContext& context);

void infer_batch_norm(InferContext& context);
void count_batch_norm(CountContext& context);
void infer_row_norm(InferContext& context);
void count_layer_norm(CountContext& context);
void count_rms_norm(CountContext& context);

void infer_pool(InferContext& context);

void infer_reduce(InferContext& context);

void infer_reshape(InferContext& context);
void infer_flatten(InferContext& context);
void infer_transpose(InferContext& context);
void infer_concat(InferContext& context);
void infer_slice(InferContext& context);
void infer_split(InferContext& context);
void infer_embedding(InferContext& context);
void count_view(CountContext& context);
void count_move(CountContext& context);  // every element of the outputs

void infer_along_axis(InferContext& context);
void infer_values_and_indices(InferContext& context);
void measure_along_axis(CountContext& context, Sizes& sizes);
void measure_sort(CountContext& context, Sizes& sizes);
void infer_top_k(InferContext& context);
void measure_top_k(CountContext& context, Sizes& sizes);
void infer_glu(InferContext& context);
void infer_sized_vector(InferContext& context);
void infer_unique(InferContext& context);
void measure_unique(CountContext& context, Sizes& sizes);
void infer_searchsorted(InferContext& context);
void measure_searchsorted(CountContext& context, Sizes& sizes);

void infer_loss(InferContext& context);
void infer_class_loss(InferContext& context);
void measure_targets(CountContext& context, Sizes& sizes);

void infer_same(InferContext& context);
void infer_same_axes(InferContext& context);
void infer_matrix(InferContext& context);
void infer_squeeze(InferContext& context);
void infer_unsqueeze(InferContext& context);
void infer_expand(InferContext& context);
void infer_tile(InferContext& context);
void infer_repeat_interleave(InferContext& context);
void infer_pad(InferContext& context);
void infer_stack(InferContext& context);
void infer_unbind(InferContext& context);
void infer_meshgrid(InferContext& context);
void infer_diag(InferContext& context);
void infer_space_to_depth(InferContext& context);
void infer_depth_to_space(InferContext& context);
void infer_reverse_sequence(InferContext& context);
void infer_shape_of(InferContext& context);
void infer_size_of(InferContext& context);
void infer_filled(InferContext& context);

void infer_gather(InferContext& context);
void infer_take_along(InferContext& context);
void infer_gather_nd(InferContext& context);
void infer_scatter(InferContext& context);
void infer_scatter_nd(InferContext& context);
void infer_index_update(InferContext& context);
void measure_updates(CountContext& context, Sizes& sizes);
void infer_embedding_bag(InferContext& context);
void measure_bags(CountContext& context, Sizes& sizes);
void infer_one_hot(InferContext& context);
void infer_nonzero(InferContext& context);
void infer_masked_select(InferContext& context);
void infer_nms(InferContext& context);
void measure_nms(CountContext& context, Sizes& sizes);
void infer_multinomial(InferContext& context);
void measure_multinomial(CountContext& context, Sizes& sizes);

void infer_pool_with_indices(InferContext& context);
void measure_windows(CountContext& context, Sizes& sizes);
void infer_resize(InferContext& context);
void measure_adaptive(CountContext& context, Sizes& sizes);
void measure_linear(CountContext& context, Sizes& sizes);
void measure_cubic(CountContext& context, Sizes& sizes);
void infer_max_unpool(InferContext& context);
void infer_fractional_max_pool(InferContext& context);
void measure_fractional(CountContext& context, Sizes& sizes);
void infer_unfold(InferContext& context);
void infer_fold(InferContext& context);
void infer_grid_sample(InferContext& context);
void measure_grid_sample(CountContext& context, Sizes& sizes);
void infer_roi_align(InferContext& context);
void measure_samples(CountContext& context, Sizes& sizes);
void infer_group_norm(InferContext& context);
void measure_groups(CountContext& context, Sizes& sizes);
void infer_instance_norm(InferContext& context);
void measure_channels(CountContext& context, Sizes& sizes);
void infer_local_response_norm(InferContext& context);
void measure_channel_windows(CountContext& context, Sizes& sizes);
void infer_weight_norm(InferContext& context);
void measure_weight_norm(CountContext& context, Sizes& sizes);

void infer_square(InferContext& context);
void count_cholesky(CountContext& context);
void infer_determinant(InferContext& context);
void count_determinant(CountContext& context);
void count_inverse(CountContext& context);
void infer_solve(InferContext& context);
void count_solve(CountContext& context);
void count_triangular_solve(CountContext& context);
void infer_lu_factor(InferContext& context);
void count_lu_factor(CountContext& context);
void infer_qr(InferContext& context);
void count_qr(CountContext& context);
void infer_eigh(InferContext& context);
void count_eigh(CountContext& context);
void infer_svd(InferContext& context);
void count_svd(CountContext& context);
void infer_fft(InferContext& context);
void count_fft(CountContext& context);
void infer_stft(InferContext& context);
void count_stft(CountContext& context);

void infer_dropout(InferContext& context);
void count_dropout(CountContext& context);

}  // namespace flopcore::ops
