// The kernels a sweep is made of, as one table of function pointers per instruction set. Kernels are pure loops over
// arrays; what they compute is the same bit for bit in every table. See docs/NUMERICS.md.
// C headers only: the kernel file must not define a weak symbol of a C++ header for an instruction set of its own.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace flopcore::simd {

// Draws lie in *slot order* inside a buffer of n_blocks Philox blocks: word j of block b at [j * n_blocks + b]. Single
// precision takes one word per draw (draw 4 b + j), double precision two (draw 2 b + j from words 2 j and 2 j + 1).

constexpr unsigned kCellBits = 8;

// Thresholds as words: limits ascend and end with the largest word; start tells by the top kCellBits of a word how many
// limits the first word of its cell passes.
template <class Word>
struct WordLimits {
    Word flip;
    const uint16_t* start;
    const Word* limits;
};

// A quantile function on a range of words, as a polynomial in s = (o - first) per_unit, o twice the tail probability.
struct QuantileRow {
    double first, per_unit;
    double powers[6];  // highest first
    double low, high;  // least and largest value of the row
};

struct QuantileRows {
    const uint64_t* starts;  // first word of 53 bits of each row; 2 half of them, filled up with the largest word
    const QuantileRow* rows;
    size_t half;  // a power of two
};

struct Address {
    uint32_t key[2];   // of the whole study
    uint64_t stream;   // hash64(purpose, variable, entity)
    uint32_t attempt;  // for rejection; below 2^16
};

// What an instruction of a program does with registers of draws; docs/NUMERICS.md has the meanings and bounds. The last
// six are for the engine that runs the program, the others for the kernel run_code.
enum class Opcode : uint8_t {
    fill,
    add,
    sub,
    mul,
    div,
    min,
    max,
    pow,
    less,
    less_equal,
    equal,
    select,
    log,
    log10,
    exp,
    exp10,
    sqrt,
    floor,
    lookup,
    draw,    // to: register, a: variable
    couple,  // to: register, a: variable, b: register of the normal scores that take the place of its random words
    store,   // a: register to keep for a later stage, to: slot
    load,    // to: register, a: slot
    order,   // to: register, a: slot, b: rank from the smallest, c: which members
    sink,    // to: sink
};

struct Instruction {
    Opcode op;
    uint8_t scalars;  // bit 0, 1, 2: operand a, b, c is a scalar, not a register
    uint32_t to, a, b, c;
};

template <class Real>
struct Banks {
    Real* registers;  // register r at [r * stride]
    const Real* scalars;
    size_t stride;
};

// What a step of an expression does with the accumulator; x is a column, c a constant. A chain starts with one of the
// first three.
enum class ColumnOp : uint8_t {
    load,            // x
    load_scaled,     // c x
    fill,            // c
    add,             // acc + x
    add_scaled,      // acc + c x
    shift,           // acc + c
    mul,             // acc x
    min,             // acc < x ? acc : x
    max,             // acc > x ? acc : x
    floor_quotient,  // floor(acc / x)
    floor_scaled,    // floor(acc / c)
};

struct ColumnStep {
    ColumnOp op;
    uint32_t column;
    double constant;
};

constexpr size_t kColumnTile = 64;

struct Kernels {
    const char* name;
    // words[4 * n_blocks] for the blocks first, first + 1, ....
    void (*philox)(const Address* address, uint64_t first, size_t n_blocks, uint32_t* words);
    // The same as integers of 53 bits, each from a pair of words: pairs[2 * n_blocks] in slot order.
    void (*philox_pairs)(const Address* address, uint64_t first, size_t n_blocks, uint64_t* pairs);
    // acc += scale * normal quantile of (word + 1/2) / 2^32, or of (word + 1/2) / 2^53.
    void (*add_normal_f32)(const uint32_t* words, size_t n, float scale, float* acc);
    void (*add_normal_f64)(const uint64_t* words, size_t n, double scale, double* acc);
    // acc += scale * (2 u - 1), u as above.
    void (*add_uniform_f32)(const uint32_t* words, size_t n, float scale, float* acc);
    void (*add_uniform_f64)(const uint64_t* words, size_t n, double scale, double* acc);
    // acc += scale * ln(1 + half * (2 u - 1)), 0 <= half < 1.
    void (*add_log_linear_f32)(const uint32_t* words, size_t n, float half, float scale, float* acc);
    void (*add_log_linear_f64)(const uint64_t* words, size_t n, double half, double scale, double* acc);
    // Values of a table at words of 32 and of 53 bits.
    void (*quantiles_f32)(const uint32_t* words, size_t n, const QuantileRows* table, double* out);
    void (*quantiles_f64)(const uint64_t* words, size_t n, const QuantileRows* table, double* out);
    // Words of 32 and of 53 bits at the probabilities of standard normal scores.
    void (*words_of_scores_f32)(const float* scores, size_t n, uint32_t* words);
    void (*words_of_scores_f64)(const double* scores, size_t n, uint64_t* words);
    // acc += scale * x.
    void (*add_scaled_f32)(const float* x, size_t n, float scale, float* acc);
    void (*add_scaled_f64)(const double* x, size_t n, double scale, double* acc);
    // counts[t] += number of x[i] > thresholds[t].
    void (*count_above_f32)(const float* x, size_t n, const float* thresholds, size_t n_thresholds, int64_t* counts);
    void (*count_above_f64)(const double* x, size_t n, const double* thresholds, size_t n_thresholds, int64_t* counts);
    // passed[i] = number of thresholds below x[i].
    void (*passed_f32)(const float* x, size_t n, const float* thresholds, size_t n_thresholds, uint16_t* passed);
    void (*passed_f64)(const double* x, size_t n, const double* thresholds, size_t n_thresholds, uint16_t* passed);
    // ++rows[i * width + passed[i]] and ++counts[passed[i]]; passed[i] < width, n < 2^16, lanes[4 * width] is scratch.
    void (*tally)(const uint16_t* passed, size_t n, size_t width, uint8_t* rows, uint16_t* lanes, int64_t* counts);
    // The same where passed[i] is the number of limits below words[i] ^ flip.
    void (*tally_words_f32)(const uint32_t* words, size_t n, const WordLimits<uint32_t>* limits, size_t width,
                            uint8_t* rows, uint16_t* lanes, int64_t* counts);
    void (*tally_words_f64)(const uint64_t* words, size_t n, const WordLimits<uint64_t>* limits, size_t width,
                            uint8_t* rows, uint16_t* lanes, int64_t* counts);
    // wide += narrow, then narrow = 0.
    void (*flush)(uint8_t* narrow, size_t n, uint32_t* wide);
    // A column of integers in double; nonzero if any value is outside [low, high].
    int (*column_load)(const int64_t* from, size_t n, int64_t low, int64_t high, double* to);
    // Steps on an accumulator for each of n points, a multiple of kColumnTile; column k stands at [k * stride], and
    // `to` may be one of them.
    void (*column_chain)(const ColumnStep* steps, size_t n_steps, const double* columns, size_t stride, size_t n,
                         double* to);
    // Elementwise functions of float64; not for hot loops.
    void (*norm_ppf)(const double* q, size_t n, double* out);
    void (*norm_cdf)(const double* x, size_t n, double* out);
    void (*exp)(const double* x, size_t n, double* out);
    void (*log)(const double* x, size_t n, double* out);
    // Runs arithmetic instructions over n draws. 1: a lookup met an index outside its table; 2: not arithmetic.
    int (*run_code_f32)(const Instruction* code, size_t n_code, const Banks<float>* banks, size_t n);
    int (*run_code_f64)(const Instruction* code, size_t n_code, const Banks<double>* banks, size_t n);
    int (*any_nan_f32)(const float* x, size_t n);
    int (*any_nan_f64)(const double* x, size_t n);
    // What sinks count: see program.inl. Nonzero: a value that cannot be counted.
    int (*bins_of_f32)(const float* x, size_t n, double low, double per_unit, uint32_t n_bins, uint32_t* bins);
    int (*bins_of_f64)(const double* x, size_t n, double low, double per_unit, uint32_t n_bins, uint32_t* bins);
    int (*add_category_f32)(const float* x, size_t n, uint32_t size, uint32_t* to);
    int (*add_category_f64)(const double* x, size_t n, uint32_t size, uint32_t* to);
    int (*quantise_f32)(const float* x, size_t n, double per_unit, double limit, int64_t* to);
    int (*quantise_f64)(const double* x, size_t n, double per_unit, double limit, int64_t* to);
};

}  // namespace flopcore::simd
