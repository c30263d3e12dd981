// A monotone quantile function as polynomials over ranges of random words; relies on its maker for its error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flopcore/simd.hpp"

namespace flopcore {

class QuantileTable {
  public:
    // starts: the first word of 53 bits of each row, ascending from 0; fields: those of simd::QuantileRow, row by row.
    // Throws DataError when they do not fit together, a number is not finite, or the rows' bounds do not ascend.
    QuantileTable(std::span<const std::uint64_t> starts, std::span<const double> fields);

    [[nodiscard]] simd::QuantileRows rows() const { return {starts_.data(), rows_.data(), starts_.size() / 2}; }

  private:
    std::vector<std::uint64_t> starts_;  // filled up to a power of two with the largest word
    std::vector<simd::QuantileRow> rows_;
};

}  // namespace flopcore
