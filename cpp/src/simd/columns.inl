// Arithmetic on columns of float64, for expressions evaluated at many points. Only operations that IEEE 754 rounds
// correctly, so every ISA gives the same bits.

// Adding and taking away 2^52 rounds |x| < 2^52 to an integer, which is then corrected downwards; larger doubles are
// integers already. No call, no conversion: it vectorises on every ISA. Real is double or a vector of them.
template <class Real>
inline Real round_down(Real x) {
    const Real zero = {};
    const Real whole = zero + 4503599627370496.0;
    const Real size = x < zero ? -x : x;
    const Real rounded = (size + whole) - whole;
    const Real near = x < zero ? -rounded : rounded;
    const Real down = near > x ? near - 1.0 : near;
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

// The accumulators of a tile stay in registers from step to step, which plain loops do not achieve: eight of the widest
// vectors, so that no operation waits for the one before.
#if defined(__AVX512F__)
constexpr size_t kVector = 8;
#elif defined(__AVX__)
constexpr size_t kVector = 4;
#else
constexpr size_t kVector = 2;
#endif
typedef double Vector __attribute__((vector_size(8 * kVector), aligned(8), may_alias));
constexpr size_t kTile = 8 * kVector;
static_assert(kColumnTile % kTile == 0);

void column_chain(const ColumnStep* steps, size_t n_steps, const double* columns, size_t stride, size_t n, double* to) {
    for (size_t i = 0; i < n; i += kTile) {
        Vector v0{}, v1{}, v2{}, v3{}, v4{}, v5{}, v6{}, v7{};
        for (size_t k = 0; k < n_steps; ++k) {
            const double c = steps[k].constant;
            const Vector* const x = reinterpret_cast<const Vector*>(columns + steps[k].column * stride + i);
            const auto each = [&](auto next) {
                v0 = next(v0, x[0]);
                v1 = next(v1, x[1]);
                v2 = next(v2, x[2]);
                v3 = next(v3, x[3]);
                v4 = next(v4, x[4]);
                v5 = next(v5, x[5]);
                v6 = next(v6, x[6]);
                v7 = next(v7, x[7]);
            };
            switch (steps[k].op) {
                case ColumnOp::load:
                    each([](Vector, const Vector& b) { return b; });
                    break;
                case ColumnOp::load_scaled:
                    each([c](Vector, const Vector& b) { return b * c; });
                    break;
                case ColumnOp::fill:
                    each([c](Vector, const Vector&) { return Vector{} + c; });
                    break;
                case ColumnOp::add:
                    each([](Vector a, const Vector& b) { return a + b; });
                    break;
                case ColumnOp::add_scaled:
                    each([c](Vector a, const Vector& b) { return a + b * c; });
                    break;
                case ColumnOp::shift:
                    each([c](Vector a, const Vector&) { return a + c; });
                    break;
                case ColumnOp::mul:
                    each([](Vector a, const Vector& b) { return a * b; });
                    break;
                case ColumnOp::min:
                    each([](Vector a, const Vector& b) { return a < b ? a : b; });
                    break;
                case ColumnOp::max:
                    each([](Vector a, const Vector& b) { return a > b ? a : b; });
                    break;
                case ColumnOp::floor_quotient:
                    each([](Vector a, const Vector& b) { return round_down(a / b); });
                    break;
                case ColumnOp::floor_scaled:
                    each([c](Vector a, const Vector&) { return round_down(a / c); });
                    break;
            }
        }
        Vector* const out = reinterpret_cast<Vector*>(to + i);
        out[0] = v0;
        out[1] = v1;
        out[2] = v2;
        out[3] = v3;
        out[4] = v4;
        out[5] = v5;
        out[6] = v6;
        out[7] = v7;
    }
}
