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
    // The words of the draws; `raw` and `paired` are the buffers of Philox output and, in float64, of joined words.
    const Word* join(const std::uint32_t* raw, std::size_t, std::uint64_t*) const { return raw; }
    void add_normal(const Word* w, std::size_t n, float scale, float* x) const { k.add_normal_f32(w, n, scale, x); }
    void add_uniform(const Word* w, std::size_t n, float scale, float* x) const { k.add_uniform_f32(w, n, scale, x); }
    void add_log_linear(const Word* w, std::size_t n, float half, float scale, float* x) const {
        k.add_log_linear_f32(w, n, half, scale, x);
    }
    void add_scaled(const float* v, std::size_t n, float scale, float* x) const { k.add_scaled_f32(v, n, scale, x); }
    void count_above(const float* x, std::size_t n, const float* t, std::size_t nt, std::int64_t* counts) const {
        k.count_above_f32(x, n, t, nt, counts);
    }
    void passed(const float* x, std::size_t n, const float* t, std::size_t nt, std::uint32_t* out) const {
        k.passed_f32(x, n, t, nt, out);
    }
};

template <>
struct Lanes<double> {
    using Word = std::uint64_t;
    static constexpr std::size_t kDrawsPerBlock = 2;
    static constexpr unsigned kWordBits = 53;

    const Kernels& k = kernels();
    const Word* join(const std::uint32_t* raw, std::size_t n_blocks, std::uint64_t* paired) const {
        k.pair_words(raw, n_blocks, paired);
        return paired;
    }
    void add_normal(const Word* w, std::size_t n, double scale, double* x) const { k.add_normal_f64(w, n, scale, x); }
    void add_uniform(const Word* w, std::size_t n, double scale, double* x) const { k.add_uniform_f64(w, n, scale, x); }
    void add_log_linear(const Word* w, std::size_t n, double half, double scale, double* x) const {
        k.add_log_linear_f64(w, n, half, scale, x);
    }
    void add_scaled(const double* v, std::size_t n, double scale, double* x) const { k.add_scaled_f64(v, n, scale, x); }
    void count_above(const double* x, std::size_t n, const double* t, std::size_t nt, std::int64_t* counts) const {
        k.count_above_f64(x, n, t, nt, counts);
    }
    void passed(const double* x, std::size_t n, const double* t, std::size_t nt, std::uint32_t* out) const {
        k.passed_f64(x, n, t, nt, out);
    }
};

}  // namespace flopcore::simd
