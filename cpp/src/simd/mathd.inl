// float64: the sister of mathf.inl, and the elementwise functions behind ppf and cdf.

constexpr double kLn2 = 0x1.62e42fefa39efp-1, kLn2Low = 0x1.abc9e3b39803fp-56;
constexpr double kTail = 0x1.8p-11;  // two-sided tail probability below which a tail polynomial serves
constexpr double kFar = 0x1p-52;     // below this two-sided tail probability the far polynomial takes over
constexpr uint64_t kSignBit = uint64_t{1} << 63;
constexpr uint64_t kFraction = (uint64_t{1} << 52) - 1;

// Even and odd powers apart: two short chains of dependent multiply-adds instead of one long one.
template <size_t n>
inline double polynomial(const double (&coefficients)[n], double x) {
    const double square = x * x;
    double a = coefficients[0], b = coefficients[1];
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

// The form of Knuth and Eve (fit_coefficients.py): one multiply-add for two degrees, at the price of two to four
// digits.
template <size_t n>
inline double preconditioned(const double (&c)[n], double x) {
    const double square = x * x;
    double p = c[0] == 1.0 ? x + c[1] : fused(c[0], x, c[1]);  // a leading 1 costs no multiplication
#pragma GCC unroll 40
    for (size_t i = 2; i < n; i += 2) p = fused(p, square - c[i], c[i + 1]);
    return p;
}

// Natural logarithm of a positive normal number through the polynomial given.
template <size_t n>
inline double log_with(const double (&coefficients)[n], double x) {
    const uint64_t bits = __builtin_bit_cast(uint64_t, x);
    // floor(log2(x / sqrt(1/2))), kept unsigned and biased so that 64-bit lanes need no arithmetic shift.
    const uint64_t biased = (bits + (uint64_t{0x3ff} << 52) - 0x3fe6a09e667f3bcdu) >> 52;
    const double f = __builtin_bit_cast(double, bits - (biased << 52) + (uint64_t{0x3ff} << 52)) - 1.0;
    // Small integers become doubles by way of the last bits of 2^52.
    const double exponent = __builtin_bit_cast(double, biased | 0x4330000000000000u) - (0x1p52 + 1023.0);
    return fused(exponent, kLn2, f * polynomial(coefficients, f));
}

// Twice the tail probability of u = (word + 1/2) / 2^53, exactly.
inline double two_tails(uint64_t word) {
    const uint64_t flip = uint64_t{0} - (word >> 52);
    const uint64_t tail = (word ^ flip) & kFraction;
    return __builtin_bit_cast(double, tail | 0x3ff0000000000000u) - (1.0 - 0x1p-53);
}

inline double with_sign(double magnitude, uint64_t word) {
    return __builtin_bit_cast(double, __builtin_bit_cast(uint64_t, magnitude) | ((~word << 11) & kSignBit));
}

// log2 of a positive normal number, less `centre`, to 1e-10.
inline double level_of(double y, double centre) {
    const uint64_t bits = __builtin_bit_cast(uint64_t, y);
    const uint64_t biased = (bits + (uint64_t{0x3ff} << 52) - 0x3fe6a09e667f3bcdu) >> 52;
    const double m = __builtin_bit_cast(double, bits - (biased << 52) + (uint64_t{0x3ff} << 52));
    const double exponent = __builtin_bit_cast(double, biased | 0x4330000000000000u) - (0x1p52 + 1023.0 + centre);
    return fused(m - 1.0, preconditioned(k_log2_f64, m), exponent);  // k_log2_f64_centre is -1: m = f - centre
}

// z = x g(y), as in float32; here beyond the central range.
inline double normal_tail(double o) {
    return (1.0 - o) * polynomial(k_icdf_tail_f64, level_of(o * (2.0 - o), k_icdf_tail_f64_centre));
}

// Normal quantiles to 1e-10 (1 + |z|) over all 2^53 words.
void add_normal_f64(const uint64_t* __restrict words, size_t n, double scale, double* __restrict acc) {
    constexpr size_t kPart = 128;
    alignas(64) double z[kPart];
    for (size_t start = 0; start < n; start += kPart) {
        const size_t length = n - start < kPart ? n - start : kPart;
        const uint64_t* __restrict part = words + start;
        double* __restrict sum = acc + start;
        double nearest = 1.0;
#pragma omp simd reduction(min : nearest)
        for (size_t i = 0; i < length; ++i) {
            const double o = two_tails(part[i]);
            nearest = o < nearest ? o : nearest;
            const double x = 1.0 - o, y = fused(o, x, o);
            z[i] = with_sign(x, part[i]) * preconditioned(k_icdf_top_f64, y) / preconditioned(k_icdf_bottom_f64, y);
        }
        if (nearest < kTail) {
            for (size_t i = 0; i < length; ++i) {
                const double o = two_tails(part[i]);
                if (o < kTail) z[i] = with_sign(normal_tail(o), part[i]);
            }
        }
#pragma omp simd
        for (size_t i = 0; i < length; ++i) sum[i] = fused(scale, z[i], sum[i]);
    }
}

inline double centred_uniform(uint64_t word) { return with_sign(1.0 - two_tails(word), word); }

void add_uniform_f64(const uint64_t* __restrict words, size_t n, double scale, double* __restrict acc) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) acc[i] = fused(scale, centred_uniform(words[i]), acc[i]);
}

void add_log_linear_f64(const uint64_t* __restrict words, size_t n, double half, double scale, double* __restrict acc) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        acc[i] = fused(scale, log_with(k_log_f64, fused(half, centred_uniform(words[i]), 1.0)), acc[i]);
    }
}

// ln x to 2 ulp; 0 gives -inf, a negative number NaN.
inline double log_of_any(double v) {
    const bool small = v < 0x1p-1000;
    const double inside = log_with(k_log_f64, small ? v * 0x1p200 : v) - (small ? 200.0 * kLn2 : 0.0);
    const double outside = v == 0.0 ? -__builtin_inf() : v > 0.0 ? v : __builtin_nan("");
    return v > 0.0 && v < __builtin_inf() ? inside : outside;
}

void log_array(const double* __restrict x, size_t n, double* __restrict out) {
    for (size_t i = 0; i < n; ++i) out[i] = log_of_any(x[i]);
}

// p 2^n where `shifted` is 1.5 2^52 + n, |n| < 2048: in two steps, so that a subnormal result rounds once. The integer
// is read from the last bits of the double, as AVX2 converts no 64-bit integers.
inline double scaled_by_power(double p, double shifted) {
    const uint64_t biased = __builtin_bit_cast(uint64_t, shifted) - (0x4338000000000000u - 2048u);  // n + 2048
    const uint64_t first = biased >> 1, second = biased - first;
    return p * __builtin_bit_cast(double, (first - 1) << 52) * __builtin_bit_cast(double, (second - 1) << 52);
}

// e^x to 2 ulp for normal results; overflow gives inf, underflow rounds towards 0 through the subnormals.
inline double exp_of(double x) {
    const double y = x < -800.0 ? -800.0 : x > 800.0 ? 800.0 : x;
    const double shifted = y * 0x1.71547652b82fep0 + 0x1.8p52;
    const double n = shifted - 0x1.8p52;
    const double r = fused(-n, kLn2Low, fused(-n, kLn2, y));
    return x != x ? x : scaled_by_power(polynomial(k_exp_f64, r), shifted);
}

void exp_array(const double* __restrict x, size_t n, double* __restrict out) {
    for (size_t i = 0; i < n; ++i) out[i] = exp_of(x[i]);
}

// Normal quantile to 2e-14 relative for q in (0, 1), to the smallest normal number; 0 and 1 give infinities.
void norm_ppf_array(const double* __restrict q, size_t n, double* __restrict out) {
    for (size_t i = 0; i < n; ++i) {
        const double o = 2.0 * (q[i] < 0.5 ? q[i] : 1.0 - q[i]);
        const bool tiny = o < 0x1p-960;
        const double y = tiny ? o * 0x1p200 * 2.0 : o * (2.0 - o);
        const double w = (tiny ? 200.0 * kLn2 : 0.0) - log_with(k_log_f64, y);
        double magnitude = 0.0;
        if (o < kFar) {
            magnitude = polynomial(k_ppf_far_f64, __builtin_sqrt(w) - k_ppf_far_f64_centre);
        } else if (o < kTail) {
            magnitude = (1.0 - o) * polynomial(k_ppf_tail_f64, w - k_ppf_tail_f64_centre);
        } else {
            magnitude = (1.0 - o) * polynomial(k_ppf_centre_f64, w - k_ppf_centre_f64_centre);
        }
        if (o == 0.0) magnitude = __builtin_inf();
        if (!(o >= 0.0 && o <= 1.0)) magnitude = __builtin_nan("");
        out[i] = q[i] < 0.5 ? -magnitude : magnitude;
    }
}

// Probability that a normal is below -|x|, to 4e-16 relative times (1 + x^2); 0 beyond |x| = 38.5.
inline double normal_tail_beyond(double x) {
    const double a = x < 0.0 ? -x : x;
    const double b = a < 40.0 ? a : 40.0;
    const double s = b * 0x1.6a09e667f3bcdp-1;
    const double square = b * b, rest = fused(b, b, -square);
    const double t = (s - 3.75) / (s + 3.75);
    const double scaled = polynomial(k_erfc_f64, t) / (1.0 + 2.0 * s);
    return 0.5 * scaled * exp_of(-0.5 * square) * (1.0 - 0.5 * rest);
}

void norm_cdf_array(const double* __restrict x, size_t n, double* __restrict out) {
    for (size_t i = 0; i < n; ++i) {
        const double tail = normal_tail_beyond(x[i]);
        const double value = x[i] < 0.0 ? tail : 1.0 - tail;
        out[i] = x[i] != x[i] ? x[i] : value;
    }
}

// The word of a normal score's probability: whole steps of the tail probability, counted from the nearer end.
template <unsigned bits, class Real, class Word>
void words_of_scores(const Real* __restrict scores, size_t n, Word* __restrict words) {
    constexpr uint64_t kLargest = (uint64_t{1} << bits) - 1;
    constexpr double kSteps = static_cast<double>(uint64_t{1} << bits), kMiddle = kSteps / 2.0 - 1.0;
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        const double z = static_cast<double>(scores[i]);
        const double steps = normal_tail_beyond(z) * kSteps;
        const double whole = round_down(steps < kMiddle ? steps : kMiddle);
        const uint64_t tail = __builtin_bit_cast(uint64_t, whole + 0x1p52) & kFraction;
        words[i] = static_cast<Word>(z < 0.0 ? tail : kLargest - tail);
    }
}
