// The sweep's inner loops, compiled once per ISA (FLOPCORE_ISA_NAME). Plain loops but for column_chain; includes no C++
// standard header, so that no weak symbol compiled for one ISA can be picked by the linker for another.
#include "flopcore/simd.hpp"

namespace flopcore::simd {
namespace {

#include "coefficients.inl"
#include "columns.inl"
#include "fma.inl"
#include "mathd.inl"
#include "mathf.inl"
#include "philox.inl"
#include "program.inl"
#include "quantile.inl"

template <class Real>
void add_scaled(const Real* __restrict x, size_t n, Real scale, Real* __restrict acc) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) acc[i] = fused(scale, x[i], acc[i]);
}

template <class Real, class Count>
void count_above(const Real* __restrict x, size_t n, const Real* __restrict thresholds, size_t n_thresholds,
                 int64_t* __restrict counts) {
    size_t t = 0;
    // Four at a time: a draw is loaded once for all of them.
    for (; t + 4 <= n_thresholds; t += 4) {
        const Real t0 = thresholds[t], t1 = thresholds[t + 1], t2 = thresholds[t + 2], t3 = thresholds[t + 3];
        Count c0 = 0, c1 = 0, c2 = 0, c3 = 0;
#pragma omp simd reduction(+ : c0, c1, c2, c3)
        for (size_t i = 0; i < n; ++i) {
            c0 += static_cast<Count>(x[i] > t0 ? 1 : 0);
            c1 += static_cast<Count>(x[i] > t1 ? 1 : 0);
            c2 += static_cast<Count>(x[i] > t2 ? 1 : 0);
            c3 += static_cast<Count>(x[i] > t3 ? 1 : 0);
        }
        counts[t] += static_cast<int64_t>(c0);
        counts[t + 1] += static_cast<int64_t>(c1);
        counts[t + 2] += static_cast<int64_t>(c2);
        counts[t + 3] += static_cast<int64_t>(c3);
    }
    for (; t < n_thresholds; ++t) {
        const Real threshold = thresholds[t];
        Count count = 0;
#pragma omp simd reduction(+ : count)
        for (size_t i = 0; i < n; ++i) count += static_cast<Count>(x[i] > threshold ? 1 : 0);
        counts[t] += static_cast<int64_t>(count);
    }
}

template <class Real>
void passed(const Real* __restrict x, size_t n, const Real* __restrict thresholds, size_t n_thresholds,
            uint16_t* __restrict out) {
    for (size_t i = 0; i < n; ++i) out[i] = 0;
    for (size_t t = 0; t < n_thresholds; ++t) {
        const Real threshold = thresholds[t];
#pragma omp simd
        for (size_t i = 0; i < n; ++i) out[i] = static_cast<uint16_t>(out[i] + (x[i] > threshold ? 1 : 0));
    }
}

// Mostly the first comparison decides; a cell holds several limits only where it is far from all others.
template <unsigned bits, class Word>
inline size_t limits_below(Word flip, const uint16_t* __restrict start, const Word* __restrict limits, Word word) {
    word ^= flip;
    size_t k = start[word >> (bits - kCellBits)];
    k += word > limits[k] ? 1u : 0u;
    if (__builtin_expect(word > limits[k], 0)) {
        do {
            ++k;
        } while (word > limits[k]);
    }
    return k;
}

// passed_of(i) counts; four interleaved lanes, so that equal neighbours do not wait for each other.
template <class PassedOf>
inline void tally_with(PassedOf passed_of, size_t n, size_t width, uint8_t* __restrict rows, uint16_t* __restrict lanes,
                       int64_t* __restrict counts) {
    for (size_t k = 0; k < 4 * width; ++k) lanes[k] = 0;
    const auto one = [&](size_t i, size_t lane) {
        const size_t passed = passed_of(i);
        ++rows[passed];
        ++lanes[4 * passed + lane];
        rows += width;
    };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        one(i, 0);
        one(i + 1, 1);
        one(i + 2, 2);
        one(i + 3, 3);
    }
    for (; i < n; ++i) one(i, 0);
    for (size_t k = 0; k < width; ++k) {
        counts[k] += lanes[4 * k] + lanes[4 * k + 1] + lanes[4 * k + 2] + lanes[4 * k + 3];
    }
}

void tally(const uint16_t* __restrict passed_thresholds, size_t n, size_t width, uint8_t* __restrict rows,
           uint16_t* __restrict lanes, int64_t* __restrict counts) {
    tally_with([=](size_t i) { return static_cast<size_t>(passed_thresholds[i]); }, n, width, rows, lanes, counts);
}

template <unsigned bits, class Word>
void tally_words(const Word* __restrict words, size_t n, const WordLimits<Word>* table, size_t width,
                 uint8_t* __restrict rows, uint16_t* __restrict lanes, int64_t* __restrict counts) {
    const Word flip = table->flip;
    const uint16_t* __restrict start = table->start;
    const Word* __restrict limits = table->limits;
    tally_with([=](size_t i) { return limits_below<bits>(flip, start, limits, words[i]); }, n, width, rows, lanes,
               counts);
}

void flush(uint8_t* __restrict narrow, size_t n, uint32_t* __restrict wide) {
    for (size_t i = 0; i < n; ++i) {
        wide[i] += narrow[i];
        narrow[i] = 0;
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
    .philox_pairs = philox_pairs,
    .add_normal_f32 = add_normal_f32,
    .add_normal_f64 = add_normal_f64,
    .add_uniform_f32 = add_uniform_f32,
    .add_uniform_f64 = add_uniform_f64,
    .add_log_linear_f32 = add_log_linear_f32,
    .add_log_linear_f64 = add_log_linear_f64,
    .quantiles_f32 = quantiles_f32,
    .quantiles_f64 = quantiles_f64,
    .words_of_scores_f32 = words_of_scores<32, float, uint32_t>,
    .words_of_scores_f64 = words_of_scores<53, double, uint64_t>,
    .add_scaled_f32 = add_scaled<float>,
    .add_scaled_f64 = add_scaled<double>,
    .count_above_f32 = count_above<float, uint32_t>,
    .count_above_f64 = count_above<double, uint64_t>,
    .passed_f32 = passed<float>,
    .passed_f64 = passed<double>,
    .tally = tally,
    .tally_words_f32 = tally_words<32, uint32_t>,
    .tally_words_f64 = tally_words<53, uint64_t>,
    .flush = flush,
    .column_load = column_load,
    .column_chain = column_chain,
    .norm_ppf = norm_ppf_array,
    .norm_cdf = norm_cdf_array,
    .exp = exp_array,
    .log = log_array,
    .run_code_f32 = run_code<float>,
    .run_code_f64 = run_code<double>,
    .any_nan_f32 = any_nan<float>,
    .any_nan_f64 = any_nan<double>,
    .bins_of_f32 = bins_of<float>,
    .bins_of_f64 = bins_of<double>,
    .add_category_f32 = add_category<float>,
    .add_category_f64 = add_category<double>,
    .quantise_f32 = quantise<float>,
    .quantise_f64 = quantise<double>,
};

}  // namespace flopcore::simd
