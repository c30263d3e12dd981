// Sobol' points, plain or with a hash-based Owen scrambling; the direction numbers come from the caller.
#pragma once

#include <cstdint>
#include <span>

namespace flopcore {

// Words of 32 bits of points [first, first + words.size()) in one dimension, in natural (not Gray code) order.
// directions: 32 numbers, that of the highest bit of the index's lowest digit first. A scramble permutes the binary
// digits, each as a function of those above it, chosen by the seed: Burley, "Practical hash-based Owen scrambling" (J.
// of Computer Graphics Techniques 9(4), 2020), after Laine and Karras (2011).
void sobol_words(std::span<const std::uint32_t> directions, std::uint32_t first, std::span<std::uint32_t> words);
void owen_scramble(std::span<std::uint32_t> words, std::uint32_t seed);

}  // namespace flopcore
