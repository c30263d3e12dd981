// The sweep's inner loops, compiled once per ISA (FLOPCORE_ISA_NAME). Plain loops; includes no C++ standard header, so
// that no weak symbol compiled for one ISA can be picked by the linker for another.
#include "flopcore/simd.hpp"

namespace flopcore::simd {
namespace {

#include "coefficients.inl"
#include "fma.inl"
#include "mathd.inl"
#include "mathf.inl"
#include "philox.inl"

template <class Real>
void add_scaled(const Real* __restrict x, size_t n, Real scale, Real* __restrict acc) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) acc[i] = fused(scale, x[i], acc[i]);
}

template <class Real, class Count>
void count_above(const Real* __restrict x, size_t n, const Real* __restrict thresholds, size_t n_thresholds,
                 int64_t* __restrict counts) {
    for (size_t t = 0; t < n_thresholds; ++t) {
        const Real threshold = thresholds[t];
        Count count = 0;
#pragma omp simd reduction(+ : count)
        for (size_t i = 0; i < n; ++i) count += static_cast<Count>(x[i] > threshold ? 1 : 0);
        counts[t] += static_cast<int64_t>(count);
    }
}

template <class Real>
void passed(const Real* __restrict x, size_t n, const Real* __restrict thresholds, size_t n_thresholds,
            uint32_t* __restrict out) {
    for (size_t i = 0; i < n; ++i) out[i] = 0;
    for (size_t t = 0; t < n_thresholds; ++t) {
        const Real threshold = thresholds[t];
#pragma omp simd
        for (size_t i = 0; i < n; ++i) out[i] += x[i] > threshold ? 1u : 0u;
    }
}

#define FLOPCORE_TEXT_(x) #x
#define FLOPCORE_TEXT(x) FLOPCORE_TEXT_(x)
#define FLOPCORE_JOIN_(a, b) a##b
#define FLOPCORE_JOIN(a, b) FLOPCORE_JOIN_(a, b)

}  // namespace

extern const Kernels FLOPCORE_JOIN(kernels_, FLOPCORE_ISA_NAME);
constexpr Kernels FLOPCORE_JOIN(kernels_, FLOPCORE_ISA_NAME) = {
    .name = FLOPCORE_TEXT(FLOPCORE_ISA_NAME),
    .philox = philox,
    .pair_words = pair_words,
    .add_normal_f32 = add_normal_f32,
    .add_normal_f64 = add_normal_f64,
    .add_uniform_f32 = add_uniform_f32,
    .add_uniform_f64 = add_uniform_f64,
    .add_log_linear_f32 = add_log_linear_f32,
    .add_log_linear_f64 = add_log_linear_f64,
    .add_scaled_f32 = add_scaled<float>,
    .add_scaled_f64 = add_scaled<double>,
    .count_above_f32 = count_above<float, uint32_t>,
    .count_above_f64 = count_above<double, uint64_t>,
    .passed_f32 = passed<float>,
    .passed_f64 = passed<double>,
    .norm_ppf = norm_ppf_array,
    .norm_cdf = norm_cdf_array,
    .exp = exp_array,
    .log = log_array,
};

}  // namespace flopcore::simd
