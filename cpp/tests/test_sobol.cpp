#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "check.hpp"
#include "flopcore/sobol.hpp"

using namespace flopcore;

namespace {

// Direction numbers of the first two dimensions: the van der Corput sequence, and Pascal's triangle modulo 2.
std::array<std::uint32_t, 32> first_dimension() {
    std::array<std::uint32_t, 32> directions{};
    for (unsigned k = 0; k < 32; ++k) directions[k] = std::uint32_t{1} << (31 - k);
    return directions;
}

std::array<std::uint32_t, 32> second_dimension() {
    std::array<std::uint32_t, 32> directions{};
    std::uint32_t m = 1;  // m_k = 2 m_(k-1) ^ m_(k-1)
    for (unsigned k = 0; k < 32; ++k, m ^= m << 1) directions[k] = m << (31 - k);
    return directions;
}

void the_first_dimension_reverses_the_digits_of_the_index() {
    std::array<std::uint32_t, 8> words{};
    sobol_words(first_dimension(), 0, words);
    const std::array<std::uint32_t, 8> eighths{0, 4, 2, 6, 1, 5, 3, 7};
    for (std::size_t i = 0; i < 8; ++i) CHECK(words[i] == eighths[i] << 29);
}

void points_do_not_depend_on_where_a_run_begins() {
    const auto directions = second_dimension();
    std::vector<std::uint32_t> all(5000), part(700), last(3);
    sobol_words(directions, 0, all);
    for (const std::uint32_t first : {0u, 1u, 31u, 1024u, 4095u, 4300u}) {
        sobol_words(directions, first, part);
        CHECK(std::equal(part.begin(), part.end(), all.begin() + first));
    }
    // The last points of all, where the index has 32 ones.
    sobol_words(directions, 0xfffffffdu, last);
    for (std::size_t i = 0; i < 3; ++i) {
        const std::uint32_t index = 0xfffffffdu + static_cast<std::uint32_t>(i);
        std::uint32_t word = 0;
        for (unsigned bit = 0; bit < 32; ++bit) word ^= (index >> bit & 1u) != 0 ? directions[bit] : 0;
        CHECK(last[i] == word);
    }
}

void two_dimensions_are_a_net_scrambled_or_not() {
    constexpr unsigned kBits = 8;
    for (const bool scramble : {false, true}) {
        std::vector<std::uint32_t> x(1u << kBits), y(1u << kBits);
        sobol_words(first_dimension(), 0, x);
        sobol_words(second_dimension(), 0, y);
        if (scramble) {
            owen_scramble(x, 12345u);
            owen_scramble(y, 0xdeadbeefu);
        }
        for (unsigned wide = 0; wide <= kBits; ++wide) {
            std::vector<int> cells(1u << kBits);
            for (std::size_t i = 0; i < x.size(); ++i) {
                const std::uint64_t column = std::uint64_t{x[i]} >> (32 - wide),
                                    row = std::uint64_t{y[i]} >> (32 - (kBits - wide));
                ++cells[column << (kBits - wide) | row];
            }
            CHECK(std::ranges::all_of(cells, [](int n) { return n == 1; }));
        }
    }
}

void a_scramble_permutes_each_digit_by_those_above_it() {
    std::uint32_t state = 1;
    const auto next = [&state] { return state = state * 1664525u + 1013904223u; };
    for (int trial = 0; trial < 20'000; ++trial) {
        std::array<std::uint32_t, 2> words{next(), next()};
        const unsigned same = next() % 32;  // leading digits that both have
        if (same > 0) words[1] = words[0] ^ (words[1] | 0x80000000u) >> same;
        const int before = std::countl_zero(words[0] ^ words[1]);
        owen_scramble(words, next());
        CHECK(std::countl_zero(words[0] ^ words[1]) == before);
    }
}

}  // namespace

int main() {
    the_first_dimension_reverses_the_digits_of_the_index();
    points_do_not_depend_on_where_a_run_begins();
    two_dimensions_are_a_net_scrambled_or_not();
    a_scramble_permutes_each_digit_by_those_above_it();
}
