#include "flopcore/sobol.hpp"

#include <bit>

namespace flopcore {
namespace {

std::uint32_t reversed(std::uint32_t x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    x = (x >> 8 & 0x00ff00ffu) | (x & 0x00ff00ffu) << 8;
    return x >> 16 | x << 16;
}

}  // namespace

void sobol_words(std::span<const std::uint32_t> directions, std::uint32_t first, std::span<std::uint32_t> words) {
    std::uint32_t index = first, word = 0;
    for (unsigned bit = 0; bit < 32; ++bit) {
        if (index >> bit & 1u) word ^= directions[bit];
    }
    for (std::uint32_t& out : words) {
        out = word;
        // From index to index + 1 the trailing ones become zeros and the zero above them a one.
        const std::uint32_t changed = index ^ (index + 1u);
        for (unsigned bit = 0; bit < static_cast<unsigned>(std::popcount(changed)); ++bit) word ^= directions[bit];
        ++index;
    }
}

void owen_scramble(std::span<std::uint32_t> words, std::uint32_t seed) {
    for (std::uint32_t& word : words) {
        std::uint32_t x = reversed(word);
        x += seed;
        x ^= x * 0x6c50b47cu;
        x ^= x * 0xb82f1e52u;
        x ^= x * 0xc7afe638u;
        x ^= x * 0x8d22f6e6u;
        word = reversed(x);
    }
}

}  // namespace flopcore
