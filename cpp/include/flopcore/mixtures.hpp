// Outputs of a program at mixtures of independent sets of draws ("pick and freeze"), and exact sums of their products:
// what variance-based sensitivity is made of.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flopcore {

// An input is some of the program's variables, moved together. A mixture takes each input from one of some sets: set s
// is the program's draws with attempt s, or a scramble of Sobol' points, or one fixed quantile.
struct Mixtures {
    std::uint32_t n_inputs = 0;
    std::uint32_t n_sets = 0;
    std::vector<std::uint32_t> input_of;  // of each variable
    std::vector<std::uint8_t> set_of;     // [mixture][input]
    // Columns are [mixture][output]; those of mixtures from n_plain on are less those of mixture 0.
    std::uint32_t n_plain = 0;
    std::vector<std::uint32_t> pairs;  // of columns to multiply and sum; the one after the last column is 1
    std::uint64_t batch_rows = 0;
    std::uint32_t n_batches = 0;            // rows [b batch_rows, (b + 1) batch_rows) each
    std::vector<std::uint64_t> words;       // not empty: of each set, the word of 53 bits that every draw is
    std::vector<std::uint32_t> directions;  // not empty: Sobol' points, [set][input][32] direction numbers
    std::vector<std::uint32_t> scrambles;   // [batch][set][input]

    [[nodiscard]] std::size_t n_mixtures() const { return n_inputs == 0 ? 0 : set_of.size() / n_inputs; }
    [[nodiscard]] std::size_t n_sums() const { return n_batches * (pairs.size() / 2); }

    // Throws DataError when the parts do not fit together or a program with these variables.
    void check(std::span<const std::uint8_t> of_entities, std::size_t n_outputs) const;
};

}  // namespace flopcore
