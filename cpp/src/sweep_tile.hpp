// A tile: some consecutive rows of a sweep, drawn together; shared by the plan of a population and by programs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "simd/lanes.hpp"

namespace flopcore {

constexpr std::uint64_t kLastDraw = std::uint64_t{1} << 49;  // 2^48 Philox blocks of two draws

// The rows of one tile that lie inside the range, and the places of their draws in a buffer in slot order.
template <class Real>
struct Tile {
    static constexpr std::size_t kPer = simd::Lanes<Real>::kDrawsPerBlock;

    Tile(std::uint64_t first_draw, std::size_t rows, std::uint64_t begin, std::uint64_t end, bool in_order = false)
        : first_block(first_draw / kPer), n_blocks(rows / kPer) {
        const std::uint64_t low = std::max(first_draw, begin), high = std::min(first_draw + rows, end);
        n_rows = static_cast<std::size_t>(high - low);
        if (n_rows == rows && !in_order) return;
        slots.reserve(n_rows);
        for (std::uint64_t draw = low; draw < high; ++draw) {
            const std::size_t i = static_cast<std::size_t>(draw - first_draw);
            slots.push_back(static_cast<std::uint32_t>(slot_of(i)));
        }
    }

    // Where the words of the i-th draw of the tile's blocks lie.
    [[nodiscard]] std::size_t slot_of(std::size_t i) const { return (i % kPer) * n_blocks + i / kPer; }

    // Moves the rows of the range to the front, in draw order; a full tile stays as it is.
    template <class T>
    const T* only_rows(const T* all, T* buffer) const {
        if (slots.empty()) return all;
        for (std::size_t i = 0; i < slots.size(); ++i) buffer[i] = all[slots[i]];
        return buffer;
    }

    std::uint64_t first_block;
    std::size_t n_blocks;
    std::size_t n_rows;
    std::vector<std::uint32_t> slots;  // empty when all rows count and their order does not matter
};

}  // namespace flopcore
