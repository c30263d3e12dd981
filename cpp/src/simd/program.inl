// The bytecode of a program: every instruction is one pass over a register of draws. A NaN is handed on by every
// operation, min, max, comparisons and select included, so that it reaches a sink and is refused there.

constexpr double kLog10Of2 = 0x1.34413509f79ffp-2, kLog10Of2Low = -0x1.9dc1da994fd21p-59;
constexpr double kLog2Of10 = 0x1.a934f0979a371p+1, kLog10E = 0x1.bcb7b1526e50ep-2, kLn10 = 0x1.26bb1bbb55516p+1;

// log10 x to 3 ulp; as log_of_any() outside the positive normal numbers.
inline double log10_of(double v) {
    const bool small = v < 0x1p-1000;
    const double x = small ? v * 0x1p200 : v;
    const uint64_t bits = __builtin_bit_cast(uint64_t, x);
    const uint64_t biased = (bits + (uint64_t{0x3ff} << 52) - 0x3fe6a09e667f3bcdu) >> 52;
    const double f = __builtin_bit_cast(double, bits - (biased << 52) + (uint64_t{0x3ff} << 52)) - 1.0;
    const double exponent =
        __builtin_bit_cast(double, biased | 0x4330000000000000u) - (0x1p52 + 1023.0) - (small ? 200.0 : 0.0);
    const double inside = fused(exponent, kLog10Of2, (f * polynomial(k_log_f64, f)) * kLog10E);
    const double outside = v == 0.0 ? -__builtin_inf() : v > 0.0 ? v : __builtin_nan("");
    return v > 0.0 && v < __builtin_inf() ? inside : outside;
}

// 10^x to 3 ulp.
inline double exp10_of(double x) {
    const double y = x < -400.0 ? -400.0 : x > 400.0 ? 400.0 : x;
    const double shifted = y * kLog2Of10 + 0x1.8p52;
    const double n = shifted - 0x1.8p52;
    const double r = fused(-n, kLog10Of2Low, fused(-n, kLog10Of2, y)) * kLn10;
    return x != x ? x : scaled_by_power(polynomial(k_exp_f64, r), shifted);
}

// x^y as e^(y ln x), to (3 + |y ln x|) ulp; NaN for negative x, the limit at 0.
inline double pow_of(double x, double y) {
    const double inside = exp_of(y * log_of_any(x));
    const double at_zero = y > 0.0 ? 0.0 : y == 0.0 ? 1.0 : y < 0.0 ? __builtin_inf() : y;
    return x == 0.0 ? at_zero : inside;
}

// A function of doubles, in single precision rounded once.
template <class Real, class F>
void unary(F f, const Real* a, size_t n, Real* to) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) to[i] = static_cast<Real>(f(static_cast<double>(a[i])));
}

template <class Real, class F>
void binary(F f, unsigned scalars, const Real* a, const Real* b, size_t n, Real* to) {
    if (scalars & 1u) {
        const Real first = *a;
#pragma omp simd
        for (size_t i = 0; i < n; ++i) to[i] = f(first, b[i]);
    } else if (scalars & 2u) {
        const Real second = *b;
#pragma omp simd
        for (size_t i = 0; i < n; ++i) to[i] = f(a[i], second);
    } else {
#pragma omp simd
        for (size_t i = 0; i < n; ++i) to[i] = f(a[i], b[i]);
    }
}

// 1, 0, or NaN when either side is one.
template <class Real>
inline Real truth(bool yes, bool no) {
    return yes ? Real{1} : no ? Real{0} : static_cast<Real>(__builtin_nanf(""));
}

template <class Real>
inline Real chosen(Real condition, Real yes, Real no) {
    return condition != condition ? condition : condition != Real{0} ? yes : no;
}

template <class Real>
void select(unsigned scalars, const Real* a, const Real* b, const Real* c, size_t n, Real* to) {
    const auto with = [&](auto condition) {
        if ((scalars & 6u) == 6u) {
            const Real yes = *b, no = *c;
#pragma omp simd
            for (size_t i = 0; i < n; ++i) to[i] = chosen(condition(i), yes, no);
        } else if (scalars & 2u) {
            const Real yes = *b;
#pragma omp simd
            for (size_t i = 0; i < n; ++i) to[i] = chosen(condition(i), yes, c[i]);
        } else if (scalars & 4u) {
            const Real no = *c;
#pragma omp simd
            for (size_t i = 0; i < n; ++i) to[i] = chosen(condition(i), b[i], no);
        } else {
#pragma omp simd
            for (size_t i = 0; i < n; ++i) to[i] = chosen(condition(i), b[i], c[i]);
        }
    };
    if (scalars & 1u) {
        const Real only = *a;
        with([=](size_t) { return only; });
    } else {
        with([=](size_t i) { return a[i]; });
    }
}

// table[index] for whole indices below size; nonzero if any index is none.
template <class Real>
int look_up(const Real* a, const Real* table, size_t size, size_t n, Real* to) {
    int32_t wrong = 0;
    const Real end = static_cast<Real>(size);
#pragma omp simd reduction(| : wrong)
    for (size_t i = 0; i < n; ++i) {
        const Real within = a[i] >= Real{0} ? (a[i] < end ? a[i] : Real{0}) : Real{0};  // a NaN becomes 0 too
        const int32_t index = static_cast<int32_t>(within);
        wrong |= static_cast<Real>(index) == a[i] ? 0 : 1;
        to[i] = table[index];
    }
    return wrong;
}

template <class Real>
int run_code(const Instruction* code, size_t n_code, const Banks<Real>* banks, size_t n) {
    for (size_t k = 0; k < n_code; ++k) {
        const Instruction& it = code[k];
        const unsigned s = it.scalars;
        const auto operand = [&](unsigned bit, uint32_t index) -> const Real* {
            return (s & bit) != 0 ? banks->scalars + index : banks->registers + index * banks->stride;
        };
        Real* to = banks->registers + it.to * banks->stride;
        const Real* a = operand(1, it.a);
        const Real* b = operand(2, it.b);
        const Real* c = operand(4, it.c);
        switch (it.op) {
            case Opcode::fill: {
                const Real value = *a;
                for (size_t i = 0; i < n; ++i) to[i] = value;
                break;
            }
            case Opcode::add:
                binary([](Real x, Real y) { return x + y; }, s, a, b, n, to);
                break;
            case Opcode::sub:
                binary([](Real x, Real y) { return x - y; }, s, a, b, n, to);
                break;
            case Opcode::mul:
                binary([](Real x, Real y) { return x * y; }, s, a, b, n, to);
                break;
            case Opcode::div:
                binary([](Real x, Real y) { return x / y; }, s, a, b, n, to);
                break;
            case Opcode::min:
                binary([](Real x, Real y) { return x < y || x != x ? x : y; }, s, a, b, n, to);
                break;
            case Opcode::max:
                binary([](Real x, Real y) { return x > y || x != x ? x : y; }, s, a, b, n, to);
                break;
            case Opcode::pow:
                binary([](Real x,
                          Real y) { return static_cast<Real>(pow_of(static_cast<double>(x), static_cast<double>(y))); },
                       s, a, b, n, to);
                break;
            case Opcode::less:
                binary([](Real x, Real y) { return truth<Real>(x < y, x >= y); }, s, a, b, n, to);
                break;
            case Opcode::less_equal:
                binary([](Real x, Real y) { return truth<Real>(x <= y, x > y); }, s, a, b, n, to);
                break;
            case Opcode::equal:
                binary([](Real x, Real y) { return truth<Real>(x == y, x < y || x > y); }, s, a, b, n, to);
                break;
            case Opcode::select:
                select(s, a, b, c, n, to);
                break;
            case Opcode::log:
                unary(log_of_any, a, n, to);
                break;
            case Opcode::log10:
                unary(log10_of, a, n, to);
                break;
            case Opcode::exp:
                unary(exp_of, a, n, to);
                break;
            case Opcode::exp10:
                unary(exp10_of, a, n, to);
                break;
            case Opcode::sqrt:
                unary([](double x) { return __builtin_sqrt(x); }, a, n, to);
                break;
            case Opcode::floor:
                unary(round_down<double>, a, n, to);
                break;
            case Opcode::lookup:
                // b: the first entry of the table among the scalars, c: its size.
                if (look_up(a, banks->scalars + it.b, it.c, n, to) != 0) return 1;
                break;
            default:
                return 2;
        }
    }
    return 0;
}

template <class Real>
int any_nan(const Real* x, size_t n) {
    int32_t found = 0;
#pragma omp simd reduction(| : found)
    for (size_t i = 0; i < n; ++i) found |= x[i] != x[i] ? 1 : 0;
    return found;
}

// Bin 0 below low, bins 1 to n_bins of width 1 / per_unit, bin n_bins + 1 at and above the end; nonzero for a NaN.
template <class Real>
int bins_of(const Real* x, size_t n, double low, double per_unit, uint32_t n_bins, uint32_t* bins) {
    int32_t wrong = 0;
    const double end = static_cast<double>(n_bins);
#pragma omp simd reduction(| : wrong)
    for (size_t i = 0; i < n; ++i) {
        const double value = static_cast<double>(x[i]);
        const double place = (value - low) * per_unit;
        const double inside = place < 0.0 ? -1.0 : place < end ? place : end;
        wrong |= value != value ? 1 : 0;
        // Shifted by one, the part below zero becomes bin 0 and truncation rounds down.
        bins[i] = static_cast<uint32_t>(static_cast<int32_t>(inside + 1.0));
    }
    return wrong;
}

// to = to * size + x, for whole x below size; nonzero if any is not.
template <class Real>
int add_category(const Real* x, size_t n, uint32_t size, uint32_t* to) {
    int32_t wrong = 0;
    const Real end = static_cast<Real>(size);
#pragma omp simd reduction(| : wrong)
    for (size_t i = 0; i < n; ++i) {
        const Real within = x[i] >= Real{0} ? (x[i] < end ? x[i] : Real{0}) : Real{0};  // a NaN becomes 0 too
        const int32_t category = static_cast<int32_t>(within);
        wrong |= static_cast<Real>(category) == x[i] ? 0 : 1;
        to[i] = to[i] * size + static_cast<uint32_t>(category);
    }
    return wrong;
}

// x * per_unit to the nearest integer (half to even); nonzero if a magnitude exceeds limit < 2^50, or for a NaN.
template <class Real>
int quantise(const Real* x, size_t n, double per_unit, double limit, int64_t* to) {
    int64_t wrong = 0;
#pragma omp simd reduction(| : wrong)
    for (size_t i = 0; i < n; ++i) {
        const double value = static_cast<double>(x[i]) * per_unit;
        wrong |= value >= -limit && value <= limit ? 0 : 1;
        const uint64_t bits = __builtin_bit_cast(uint64_t, value + 0x1.8p52);
        to[i] = static_cast<int64_t>(bits - 0x4338000000000000u);
    }
    return wrong != 0;
}
