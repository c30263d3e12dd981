// ExprNumbers: expressions of one store, numbered in the order they are met; what is known of each is then an array.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flopcore/expr.hpp"

namespace flopcore {

class ExprNumbers {
  public:
    // The number of an expression, which is size() when it is new.
    std::uint32_t number(ExprRef expr) {
        if (2 * (exprs_.size() + 1) > slots_.size()) grow();
        std::uint32_t& slot = slots_[place(expr)];
        if (slot == 0) {
            exprs_.push_back(expr);
            slot = static_cast<std::uint32_t>(exprs_.size());
        }
        return slot - 1;
    }
    [[nodiscard]] std::size_t size() const { return exprs_.size(); }
    [[nodiscard]] std::span<const ExprRef> all() const { return exprs_; }

  private:
    [[nodiscard]] std::size_t place(ExprRef expr) const {
        const std::size_t mask = slots_.size() - 1;
        const std::uint64_t hash = static_cast<std::uint64_t>(expr.bits()) * 0x9e3779b97f4a7c15U;
        std::size_t at = (hash >> 32) & mask;
        while (slots_[at] != 0 && exprs_[slots_[at] - 1] != expr) at = (at + 1) & mask;
        return at;
    }
    void grow() {
        slots_.assign(slots_.empty() ? 16 : 2 * slots_.size(), 0);
        for (std::size_t i = 0; i < exprs_.size(); ++i) slots_[place(exprs_[i])] = static_cast<std::uint32_t>(i + 1);
    }

    std::vector<ExprRef> exprs_;
    std::vector<std::uint32_t> slots_;  // number + 1 by hash, 0 where nothing is; a power of two
};

}  // namespace flopcore
