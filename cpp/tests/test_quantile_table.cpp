#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/quantile_table.hpp"

using namespace flopcore;

namespace {

constexpr std::uint64_t kHalf = std::uint64_t{1} << 52, kLast = 2 * kHalf - 1;

struct Rows {
    std::vector<std::uint64_t> starts;
    std::vector<double> fields;
};

void add(Rows& rows, std::uint64_t start, double first, double per_unit, double slope, double value, double low,
         double high) {
    rows.starts.push_back(start);
    rows.fields.insert(rows.fields.end(), {first, per_unit, 0.0, 0.0, 0.0, 0.0, slope, value, low, high});
}

// 3 in the lowest quarter, then a line from 4 to 5 up to the middle, then 7: a jump, a line and a point mass.
Rows three() {
    Rows rows;
    add(rows, 0, 0.0, 0.0, 0.0, 3.0, 3.0, 3.0);
    add(rows, kHalf / 2, 0.5, 2.0, 1.0, 4.0, 4.0, 5.0);
    add(rows, kHalf, 0.0, 0.0, 0.0, 7.0, 7.0, 7.0);
    return rows;
}

void every_word_finds_its_row() {
    const Rows rows = three();
    const QuantileTable table(rows.starts, rows.fields);
    const simd::QuantileRows view = table.rows();
    const std::vector<std::uint64_t> words{0, kHalf / 2 - 1, kHalf / 2, kHalf / 4 * 3, kHalf - 1, kHalf, kLast};
    const std::vector<double> exact{3.0, 3.0, 4.0, 4.5, 5.0, 7.0, 7.0};
    for (const std::string& isa : simd::available_isas()) {
        simd::select_isa(isa);
        std::vector<double> found(words.size());
        simd::kernels().quantiles_f64(words.data(), words.size(), &view, found.data());
        for (std::size_t i = 0; i < words.size(); ++i) {
            const bool on_the_line = exact[i] >= 4.0 && exact[i] <= 5.0;
            CHECK(on_the_line ? found[i] >= exact[i] - 1e-15 && found[i] <= exact[i] + 1e-15 : found[i] == exact[i]);
        }
        const std::vector<std::uint32_t> narrow{0, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xffffffff};
        simd::kernels().quantiles_f32(narrow.data(), narrow.size(), &view, found.data());
        CHECK(found[0] == 3.0 && found[1] == 3.0 && found[4] == 7.0 && found[5] == 7.0);
        CHECK(found[2] >= 4.0 && found[2] < 4.0 + 1e-9 && found[3] > 5.0 - 1e-9 && found[3] <= 5.0);
    }
}

void one_row_is_a_table() {
    Rows rows;
    add(rows, 0, 0.0, 0.0, 0.0, -2.5, -2.5, -2.5);
    const QuantileTable table(rows.starts, rows.fields);
    const simd::QuantileRows view = table.rows();
    const std::vector<std::uint64_t> words{0, kHalf, kLast};
    std::vector<double> found(words.size());
    simd::kernels().quantiles_f64(words.data(), words.size(), &view, found.data());
    for (const double x : found) CHECK(x == -2.5);
}

void what_does_not_fit_is_refused() {
    const std::function<void(Rows&)> breakages[] = {
        [](Rows& rows) { rows = {}; },
        [](Rows& rows) { rows.starts.pop_back(); },
        [](Rows& rows) { rows.starts[0] = 1; },
        [](Rows& rows) { rows.starts[2] = 5; },
        [](Rows& rows) { rows.starts[2] = std::uint64_t{1} << 53; },
        [](Rows& rows) { rows.fields[7] = std::numeric_limits<double>::quiet_NaN(); },
        [](Rows& rows) { rows.fields[8] = -std::numeric_limits<double>::infinity(); },
        [](Rows& rows) { rows.fields[18] = 5.5; },  // low above high
        [](Rows& rows) { rows.fields[19] = 7.5; },  // reaches above the next row
        [](Rows& rows) { rows.fields[18] = 2.5; },  // reaches below the row before
    };
    for (const auto& break_it : breakages) {
        Rows rows = three();
        break_it(rows);
        CHECK_THROWS(DataError, QuantileTable(rows.starts, rows.fields));
    }
}

}  // namespace

int main() {
    every_word_finds_its_row();
    one_row_is_a_table();
    what_does_not_fit_is_refused();
}
