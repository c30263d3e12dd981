// An expression compiled for evaluation in float64 over many points: chains of steps over blocks of points. Relies
// on expr_arena.hpp. The code depends on the canonical form only, so equal expressions give equal bits.
#pragma once

#include "expr_arena.hpp"
#include "flopcore/simd.hpp"

namespace flopcore {

class FloatProgram {
  public:
    static constexpr std::size_t kBlock = 128;  // the registers of a block stay in the first cache
    static constexpr std::size_t kAhead = 4 * kBlock;
    static constexpr std::size_t kPiece = 64 * kBlock;  // what a thread takes at a time

    // root must be free of sums without closed form.
    FloatProgram(const ExprStore::Arena& arena, ExprRef root);

    // One column per symbol of symbols(), each of out.size() values. Threads do not change a bit; 0 is all CPUs.
    void run(std::span<const std::span<const std::int64_t>> columns, std::span<double> out, unsigned threads) const;
    [[nodiscard]] std::span<const std::uint32_t> symbols() const { return symbols_; }

  private:
    struct Chain {  // a register from steps_ [begin, end of the chain)
        std::uint32_t begin;
        std::uint32_t to;
        std::uint32_t divisor = kNone;  // a register whose values must be positive
        std::uint32_t atom = kNone;     // that division, for messages
    };
    static constexpr std::uint32_t kNone = UINT32_MAX;
    // Registers lie one cache line apart from a power of two, or all would fight for the same lines.
    struct alignas(64) Line {
        double lanes[8];
    };
    static constexpr std::size_t kStride = kBlock + 8;
    struct WorkTerm {
        std::vector<Factor> factors;
        double coef;
    };

    void compile(ExprRef expr, std::uint32_t to);
    void compile(std::vector<WorkTerm> terms, std::uint32_t to, std::uint32_t free);
    void compile_atom(std::uint32_t atom);
    // to = a (op) b, or a (op) constant; a summand b that was computed last is not read again.
    void emit(simd::ColumnOp op, std::uint32_t to, std::uint32_t a, std::uint32_t b, double constant = 0);
    [[nodiscard]] std::uint32_t register_of(std::uint32_t atom) const;
    void load(std::uint32_t symbol, std::span<const std::int64_t> values, double* to) const;  // checks each value
    void execute(std::size_t chain, const double* registers, std::size_t n, double* to) const;

    const ExprStore::Arena& arena_;
    const simd::Kernels& kernels_;
    std::vector<std::uint32_t> atoms_;    // reachable, ascending; the position is the register
    std::vector<std::uint32_t> symbols_;  // those of them that are symbols
    std::vector<simd::ColumnStep> steps_;
    std::vector<Chain> chains_;
    std::uint32_t n_registers_ = 0;
    std::uint32_t result_ = 0;
};

}  // namespace flopcore
