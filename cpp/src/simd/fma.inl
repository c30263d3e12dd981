// Correctly rounded a * b + c on every ISA. Where the hardware has it, one instruction; elsewhere (x86 before 2013)
// emulated after Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
// odd" (IEEE Trans. Computers 57, 2008). Valid as long as no intermediate overflows or underflows: the kernels stay
// between 2^-500 and 2^500. Relies on -ffp-contract=off.

#if defined(__FMA__) || defined(__aarch64__)

inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

#else

struct TwoPart {
    double high, low;
};

inline TwoPart two_sum(double a, double b) {
    const double s = a + b;
    const double bb = s - a;
    return {s, (a - (s - bb)) + (b - bb)};
}

// Veltkamp's split at 27 bits and Dekker's product.
inline TwoPart two_product(double a, double b) {
    constexpr double splitter = 134217729.0;
    const double p = a * b;
    const double ta = splitter * a, tb = splitter * b;
    const double ah = ta - (ta - a), bh = tb - (tb - b);
    const double al = a - ah, bl = b - bh;
    return {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

// a + b rounded to odd: when inexact, of the two neighbours the one whose last bit is set.
inline double odd_sum(double a, double b) {
    const TwoPart s = two_sum(a, b);
    const uint64_t bits = __builtin_bit_cast(uint64_t, s.high);
    // Away from zero when the error has the sign of the sum, else towards it; only for an even, inexact sum.
    const uint64_t opposite = (__builtin_bit_cast(uint64_t, s.low) ^ bits) >> 63;
    const uint64_t needed = (s.low != 0.0 ? uint64_t{1} : uint64_t{0}) & ~bits;
    return __builtin_bit_cast(double, bits + needed - 2 * (needed & opposite));
}

inline float fused(float a, float b, float c) {
    // The product of two floats is exact in double, and 53 >= 24 + 2 bits make the second rounding harmless.
    return static_cast<float>(odd_sum(static_cast<double>(a) * static_cast<double>(b), static_cast<double>(c)));
}

inline double fused(double a, double b, double c) {
    const TwoPart u = two_product(a, b);
    const TwoPart t = two_sum(c, u.low);
    const TwoPart v = two_sum(u.high, t.high);
    return v.high + odd_sum(t.low, v.low);
}

#endif
