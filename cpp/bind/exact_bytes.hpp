// Exact sums as bytes, one row each: the little-endian two's complement of their multiple of 2^-1074.
#pragma once

#include <span>
#include <vector>

#include "flopcore/exact_sum.hpp"
#include "owned_array.hpp"

namespace flopcore::bind {

inline pybind11::array exact_bytes(std::span<const ExactSum> sums) {
    constexpr std::size_t kBytes = 4 * ExactSum::kLimbs + 4;  // the last limb has 64 bits
    std::vector<std::uint8_t> bytes;
    bytes.reserve(sums.size() * kBytes);
    for (const ExactSum& sum : sums) {
        const ExactSum::Limbs& limbs = sum.limbs();
        for (std::size_t k = 0; k < limbs.size(); ++k) {
            const auto limb = static_cast<std::uint64_t>(limbs[k]);
            for (unsigned shift = 0; shift < (k + 1 < limbs.size() ? 32u : 64u); shift += 8) {
                bytes.push_back(static_cast<std::uint8_t>(limb >> shift));
            }
        }
    }
    return to_array(std::move(bytes),
                    {static_cast<pybind11::ssize_t>(sums.size()), static_cast<pybind11::ssize_t>(kBytes)});
}

}  // namespace flopcore::bind
