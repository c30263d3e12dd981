// float32: words to normals, uniforms and logarithms. Error bounds are absolute, in the unit of the result, and tested
// against mpmath (tests/kat/test_numerics.py); docs/NUMERICS.md explains the choices.

constexpr float kLn2f = 0x1.62e430p-1f;
// The tail polynomial serves |z| > 3.38: two-sided tail probabilities o below kTail = 1.5 * 2^-11, here as o * 2^31.
constexpr int32_t kTailWord = 3 << 19;

// Even and odd powers apart: two short chains of dependent multiply-adds instead of one long one.
template <size_t n>
inline float polynomial(const float (&coefficients)[n], float x) {
    const float square = x * x;
    float a = coefficients[0], b = coefficients[1];
#pragma GCC unroll 40
    for (size_t i = 2; i + 1 < n; i += 2) {
        a = fused(a, square, coefficients[i]);
        b = fused(b, square, coefficients[i + 1]);
    }
    if constexpr (n % 2 == 0) {
        return fused(a, x, b);
    } else {
        return fused(b, x, fused(a, square, coefficients[n - 1]));
    }
}

// A leading 1 costs no multiplication.
template <size_t n>
inline float horner(const float (&coefficients)[n], float x) {
    float value = coefficients[0] == 1.0f ? x + coefficients[1] : fused(coefficients[0], x, coefficients[1]);
#pragma GCC unroll 40
    for (size_t i = 2; i < n; ++i) value = fused(value, x, coefficients[i]);
    return value;
}

// Natural logarithm of a positive normal number, to 2^-22 of the larger of 1 and the result.
inline float log_of(float x) {
    const int32_t bits = __builtin_bit_cast(int32_t, x);
    const int32_t exponent = (bits - 0x3f3504f3) >> 23;
    const float f = __builtin_bit_cast(float, bits - exponent * (1 << 23)) - 1.0f;
    return fused(static_cast<float>(exponent), kLn2f, f * polynomial(k_log_f32, f));
}

// Distance of the word from the nearer end of the unit interval, as an integer below 2^31.
inline int32_t tail_word(uint32_t word) {
    const int32_t sign = static_cast<int32_t>(word) >> 31;
    return (static_cast<int32_t>(word) ^ sign) & 0x7fffffff;
}

// Twice the tail probability of u = (word + 1/2) / 2^32: in (0, 1].
inline float two_tails(int32_t tail) { return fused(static_cast<float>(tail), 0x1p-31f, 0x1p-32f); }

// A set top bit means u > 1/2.
inline float with_sign(float magnitude, uint32_t word) {
    return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, magnitude) | (~word & 0x80000000u));
}

// log2 of a positive normal number, less `centre`, to 4e-6.
inline float level_of(float y, int32_t centre) {
    const int32_t bits = __builtin_bit_cast(int32_t, y);
    const int32_t exponent = (bits - 0x3f3504f3) >> 23;
    const float f = __builtin_bit_cast(float, bits - exponent * (1 << 23)) - 1.0f;
    return fused(f, polynomial(k_log2_f32, f), static_cast<float>(exponent - centre));
}

// z = x g(y) with x = 1 - o, y = o (2 - o); here beyond the central range, where g is a polynomial in log2 y.
inline float normal_tail(float o) {
    return (1.0f - o) * polynomial(k_icdf_tail_f32, level_of(o * (2.0f - o), k_icdf_tail_f32_centre));
}

// Normal quantiles to 1e-6 (1 + |z|) over all 2^32 words.
void add_normal_f32(const uint32_t* __restrict words, size_t n, float scale, float* __restrict acc) {
    constexpr size_t kPart = 128;
    alignas(64) float z[kPart];
    for (size_t start = 0; start < n; start += kPart) {
        const size_t length = n - start < kPart ? n - start : kPart;
        const uint32_t* __restrict part = words + start;
        float* __restrict sum = acc + start;
        // The tail is rare: all lanes take the central ratio, then a part with any lane in the tail is done again.
        int32_t nearest = 0x7fffffff;
#pragma omp simd reduction(min : nearest)
        for (size_t i = 0; i < length; ++i) {
            const int32_t tail = tail_word(part[i]);
            nearest = tail < nearest ? tail : nearest;
            const float o = two_tails(tail);
            const float x = 1.0f - o, y = fused(o, x, o);
            z[i] = with_sign(x, part[i]) * horner(k_icdf_top_f32, y) / horner(k_icdf_bottom_f32, y);
        }
        if (nearest < kTailWord) {
            for (size_t i = 0; i < length; ++i) {
                const int32_t tail = tail_word(part[i]);
                if (tail < kTailWord) z[i] = with_sign(normal_tail(two_tails(tail)), part[i]);
            }
        }
#pragma omp simd
        for (size_t i = 0; i < length; ++i) sum[i] = fused(scale, z[i], sum[i]);
    }
}

// 2 u - 1 in (-1, 1], symmetric.
inline float centred_uniform(uint32_t word) { return with_sign(1.0f - two_tails(tail_word(word)), word); }

void add_uniform_f32(const uint32_t* __restrict words, size_t n, float scale, float* __restrict acc) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) acc[i] = fused(scale, centred_uniform(words[i]), acc[i]);
}

void add_log_linear_f32(const uint32_t* __restrict words, size_t n, float half, float scale, float* __restrict acc) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        acc[i] = fused(scale, log_of(fused(half, centred_uniform(words[i]), 1.0f)), acc[i]);
    }
}
