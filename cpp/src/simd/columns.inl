// Arithmetic on columns of float64, for expressions evaluated at many points. Only operations that IEEE 754 rounds
// correctly, so every ISA gives the same bits.

// Adding and taking away 2^52 rounds |x| < 2^52 to an integer, which is then corrected downwards; larger doubles are
// integers already. No call, no conversion: it vectorises on every ISA.
inline double round_down(double x) {
    const double whole = 4503599627370496.0;
    const double size = x < 0 ? -x : x;
    const double rounded = (size + whole) - whole;
    const double near = x < 0 ? -rounded : rounded;
    const double down = near > x ? near - 1.0 : near;
    return size < whole ? down : x;
}

// Correctly rounded, as a conversion instruction would be (AVX2 has none for 64 bits): the two halves are set into the
// bits of 2^52 and 2^84, each of which counts them exactly, so that only the last addition rounds.
int column_load(const int64_t* __restrict from, size_t n, int64_t low, int64_t high, double* __restrict to) {
    int64_t outside = 0;
#pragma omp simd reduction(| : outside)
    for (size_t i = 0; i < n; ++i) {
        const int64_t value = from[i];
        outside |= (value < low ? 1 : 0) | (value > high ? 1 : 0);
        const uint64_t bits = static_cast<uint64_t>(value);
        const uint64_t lower = (bits & 0xffffffffu) | 0x4330000000000000u;
        const uint64_t upper = (bits >> 32) ^ 0x4530000080000000u;
        const double excess = 19342822341709703277445120.0;  // 2^84 + 2^63 + 2^52
        to[i] = (__builtin_bit_cast(double, upper) - excess) + __builtin_bit_cast(double, lower);
    }
    return outside != 0;
}

void column_scale(const double* a, size_t n, double factor, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] * factor;
}

void column_shift(const double* a, size_t n, double summand, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] + summand;
}

void column_mul_shift(const double* a, const double* b, size_t n, double summand, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] * b[i] + summand;
}

void column_add_scaled(const double* a, const double* b, size_t n, double factor, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] + b[i] * factor;
}

void column_add(const double* a, const double* b, size_t n, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] + b[i];
}

void column_mul(const double* a, const double* b, size_t n, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] * b[i];
}

void column_min(const double* a, const double* b, size_t n, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] < b[i] ? a[i] : b[i];
}

void column_max(const double* a, const double* b, size_t n, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = a[i] > b[i] ? a[i] : b[i];
}

void column_floor_quotient(const double* a, const double* b, size_t n, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = round_down(a[i] / b[i]);
}

void column_floor_scaled(const double* a, size_t n, double divisor, double* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = round_down(a[i] / divisor);
}
