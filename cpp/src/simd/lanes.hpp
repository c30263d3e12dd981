// The kernels of one precision under common names, for code that is written once for both.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "flopcore/isa.hpp"

namespace flopcore::simd {

template <class Real>
struct Lanes;

template <>
struct Lanes<float> {
    using Word = std::uint32_t;
    static constexpr std::size_t kDrawsPerBlock = 4;
    static constexpr unsigned kWordBits = 32;

    const Kernels& k = kernels();
    void draw(const Address& address, std::uint64_t first, std::size_t n_blocks, Word* words) const {
        k.philox(&address, first, n_blocks, words);
    }
    void add_normal(const Word* w, std::size_t n, float scale, float* x) const { k.add_normal_f32(w, n, scale, x); }
    void add_uniform(const Word* w, std::size_t n, float scale, float* x) const { k.add_uniform_f32(w, n, scale, x); }
    void add_log_linear(const Word* w, std::size_t n, float half, float scale, float* x) const {
        k.add_log_linear_f32(w, n, half, scale, x);
    }
    void quantiles(const Word* w, std::size_t n, const QuantileRows& table, double* out) const {
        k.quantiles_f32(w, n, &table, out);
    }
    void words_of_scores(const float* scores, std::size_t n, Word* words) const {
        k.words_of_scores_f32(scores, n, words);
    }
    void add_scaled(const float* v, std::size_t n, float scale, float* x) const { k.add_scaled_f32(v, n, scale, x); }
    void count_above(const float* x, std::size_t n, const float* t, std::size_t nt, std::int64_t* counts) const {
        k.count_above_f32(x, n, t, nt, counts);
    }
    void passed(const float* x, std::size_t n, const float* t, std::size_t nt, std::uint16_t* out) const {
        k.passed_f32(x, n, t, nt, out);
    }
    int run_code(const Instruction* code, std::size_t n_code, const Banks<float>& banks, std::size_t n) const {
        return k.run_code_f32(code, n_code, &banks, n);
    }
    int any_nan(const float* x, std::size_t n) const { return k.any_nan_f32(x, n); }
    int bins_of(const float* x, std::size_t n, double low, double per_unit, std::uint32_t n_bins,
                std::uint32_t* bins) const {
        return k.bins_of_f32(x, n, low, per_unit, n_bins, bins);
    }
    int add_category(const float* x, std::size_t n, std::uint32_t size, std::uint32_t* to) const {
        return k.add_category_f32(x, n, size, to);
    }
    int quantise(const float* x, std::size_t n, double per_unit, double limit, std::int64_t* to) const {
        return k.quantise_f32(x, n, per_unit, limit, to);
    }
    void tally_words(const Word* words, std::size_t n, const WordLimits<Word>& limits, std::size_t width,
                     std::uint8_t* rows, std::uint16_t* lanes, std::int64_t* counts) const {
        k.tally_words_f32(words, n, &limits, width, rows, lanes, counts);
    }
};

template <>
struct Lanes<double> {
    using Word = std::uint64_t;
    static constexpr std::size_t kDrawsPerBlock = 2;
    static constexpr unsigned kWordBits = 53;

    const Kernels& k = kernels();
    void draw(const Address& address, std::uint64_t first, std::size_t n_blocks, Word* words) const {
        k.philox_pairs(&address, first, n_blocks, words);
    }
    void add_normal(const Word* w, std::size_t n, double scale, double* x) const { k.add_normal_f64(w, n, scale, x); }
    void add_uniform(const Word* w, std::size_t n, double scale, double* x) const { k.add_uniform_f64(w, n, scale, x); }
    void add_log_linear(const Word* w, std::size_t n, double half, double scale, double* x) const {
        k.add_log_linear_f64(w, n, half, scale, x);
    }
    void quantiles(const Word* w, std::size_t n, const QuantileRows& table, double* out) const {
        k.quantiles_f64(w, n, &table, out);
    }
    void words_of_scores(const double* scores, std::size_t n, Word* words) const {
        k.words_of_scores_f64(scores, n, words);
    }
    void add_scaled(const double* v, std::size_t n, double scale, double* x) const { k.add_scaled_f64(v, n, scale, x); }
    void count_above(const double* x, std::size_t n, const double* t, std::size_t nt, std::int64_t* counts) const {
        k.count_above_f64(x, n, t, nt, counts);
    }
    void passed(const double* x, std::size_t n, const double* t, std::size_t nt, std::uint16_t* out) const {
        k.passed_f64(x, n, t, nt, out);
    }
    int run_code(const Instruction* code, std::size_t n_code, const Banks<double>& banks, std::size_t n) const {
        return k.run_code_f64(code, n_code, &banks, n);
    }
    int any_nan(const double* x, std::size_t n) const { return k.any_nan_f64(x, n); }
    int bins_of(const double* x, std::size_t n, double low, double per_unit, std::uint32_t n_bins,
                std::uint32_t* bins) const {
        return k.bins_of_f64(x, n, low, per_unit, n_bins, bins);
    }
    int add_category(const double* x, std::size_t n, std::uint32_t size, std::uint32_t* to) const {
        return k.add_category_f64(x, n, size, to);
    }
    int quantise(const double* x, std::size_t n, double per_unit, double limit, std::int64_t* to) const {
        return k.quantise_f64(x, n, per_unit, limit, to);
    }
    void tally_words(const Word* words, std::size_t n, const WordLimits<Word>& limits, std::size_t width,
                     std::uint8_t* rows, std::uint16_t* lanes, std::int64_t* counts) const {
        k.tally_words_f64(words, n, &limits, width, rows, lanes, counts);
    }
};

}  // namespace flopcore::simd
