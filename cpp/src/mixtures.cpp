#include "flopcore/mixtures.hpp"

#include <algorithm>
#include <string>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

void require(bool good, const char* what) {
    if (!good) throw DataError(std::string("mixtures: ") + what);
}

}  // namespace

void Mixtures::check(std::span<const std::uint8_t> of_entities, std::size_t n_outputs) const {
    require(n_inputs >= 1 && n_sets >= 1 && n_sets <= 256, "needs an input and 1 to 256 sets");
    require(!set_of.empty() && set_of.size() % n_inputs == 0, "sets are not mixtures x inputs");
    require(std::ranges::all_of(set_of, [&](std::uint8_t set) { return set < n_sets; }), "no such set");
    require(input_of.size() == of_entities.size(), "needs the input of each variable");
    require(std::ranges::all_of(input_of, [&](std::uint32_t input) { return input < n_inputs; }), "no such input");
    require(n_plain >= 1 && n_plain <= n_mixtures(), "needs a mixture whose output stays as it is");
    require(!pairs.empty() && pairs.size() % 2 == 0, "needs pairs of columns");
    for (std::size_t i = 0; i < pairs.size(); ++i)
        require(pairs[i] < n_mixtures() * n_outputs + i % 2, "no such column");
    require(batch_rows >= 1 && n_batches >= 1 && batch_rows <= (std::uint64_t{1} << 49) / n_batches,
            "batches are empty, or beyond 2^49 rows");
    require(words.empty() || words.size() == n_sets, "needs a word for each set");
    require(std::ranges::all_of(words, [](std::uint64_t word) { return word >> 53 == 0; }), "a word has over 53 bits");
    if (directions.empty()) return;
    const std::size_t dims = std::size_t{n_sets} * n_inputs;
    require(directions.size() == dims * 32 && scrambles.size() == dims * n_batches && words.empty(),
            "direction numbers or scrambles do not fit the sets and inputs");
    require(batch_rows <= std::uint64_t{1} << 32, "Sobol' points are numbered below 2^32");
    require(std::ranges::none_of(of_entities, [](std::uint8_t yes) { return yes != 0; }),
            "Sobol' points are for variables of the study");
    std::vector<std::uint32_t> used(n_inputs, 0u);
    for (const std::uint32_t input : input_of) require(++used[input] == 1, "an input of Sobol' points is one variable");
}

}  // namespace flopcore
