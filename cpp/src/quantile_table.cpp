#include "flopcore/quantile_table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kFields = sizeof(simd::QuantileRow) / sizeof(double);

void require(bool good, const std::string& what) {
    if (!good) throw DataError("quantile table: " + what);
}

}  // namespace

QuantileTable::QuantileTable(std::span<const std::uint64_t> starts, std::span<const double> fields)
    : starts_(std::max<std::size_t>(2, std::bit_ceil(starts.size())), std::numeric_limits<std::uint64_t>::max()) {
    require(!starts.empty() && starts.size() < (std::size_t{1} << 24) && fields.size() == kFields * starts.size(),
            "rows do not fit");
    require(starts.front() == 0 && std::ranges::is_sorted(starts) && starts.back() >> 53 == 0,
            "starts do not ascend from 0 below 2^53");
    require(std::ranges::all_of(fields, [](double x) { return std::isfinite(x); }), "a number is not finite");
    std::ranges::copy(starts, starts_.begin());
    for (std::size_t i = 0; i < starts.size(); ++i) {
        simd::QuantileRow row{};
        const double* field = &fields[kFields * i];
        row.first = field[0];
        row.per_unit = field[1];
        std::copy_n(field + 2, std::size(row.powers), row.powers);
        row.low = field[kFields - 2];
        row.high = field[kFields - 1];
        require(row.low <= row.high && (i == 0 || rows_.back().high <= row.low),
                "bounds of row " + std::to_string(i) + " do not ascend");
        rows_.push_back(row);
    }
}

}  // namespace flopcore
