#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/exact_sum.hpp"

using namespace flopcore;

namespace {

ExactSum::Limbs sum_of(const std::vector<double>& values) {
    ExactSum sum;
    for (const double x : values) sum.add(x);
    sum.normalise();
    return sum.limbs();
}

void nothing_is_rounded() {
    CHECK(sum_of({1e300, 1.0, -1e300, 0x1p-1074}) == sum_of({1.0, 0x1p-1074}));
    CHECK(sum_of({0x1p-1074, 0x1p-1074}) == sum_of({0x1p-1073}));
    CHECK(sum_of({-0.0, 0.0}) == sum_of({}));
    CHECK(sum_of({0.1, 0.2}) != sum_of({0.3}));
    CHECK(sum_of({3.5, -3.5}) == ExactSum::Limbs{});
    const double largest = std::numeric_limits<double>::max();
    CHECK(sum_of({largest, largest, -largest}) == sum_of({largest}));
    CHECK(sum_of({-largest, 0x1p-1074}) != sum_of({-largest}));
}

void the_order_does_not_matter() {
    std::vector<double> values;
    std::uint64_t state = 7;
    for (int i = 0; i < 3000; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const int exponent = static_cast<int>(state >> 33) % 1000 - 500;
        values.push_back(std::ldexp(static_cast<double>(static_cast<std::int64_t>(state) >> 11), exponent));
    }
    const auto forward = sum_of(values);
    CHECK(sum_of({values.rbegin(), values.rend()}) == forward);
    std::vector<double> strided;
    for (std::size_t k = 0; k < 7; ++k) {
        for (std::size_t i = k; i < values.size(); i += 7) strided.push_back(values[i]);
    }
    CHECK(sum_of(strided) == forward);
}

void products_are_exact() {
    ExactSum sum;
    sum.add_product(1.0 + 0x1p-52, 1.0 - 0x1p-52);
    sum.normalise();
    CHECK(sum.limbs() == sum_of({1.0, -0x1p-104}));
    ExactSum third;
    third.add_product(1.0 / 3.0, 3.0);
    third.add(-1.0);
    third.normalise();
    CHECK(third.limbs() == sum_of({-0x1p-54}));  // 1/3 is rounded down by 2^-54 / 3
}

// More additions than limbs hold carries for: add_products normalises by itself.
void many_products_need_no_care() {
    constexpr std::size_t kRows = std::size_t{1} << 21;
    const std::vector<double> x(kRows, -(2.0 - 0x1p-52)), y(kRows, 0x1p400);
    ExactSum products, values;
    products.add_products(x.data(), y.data(), kRows);
    values.add_products(x.data(), nullptr, kRows);
    products.normalise();
    values.normalise();
    CHECK(products.limbs() == sum_of({-(2.0 - 0x1p-52) * 0x1p421}));
    CHECK(values.limbs() == sum_of({-(2.0 - 0x1p-52) * 0x1p21}));
}

void columns_are_paired_and_checked() {
    std::vector<double> columns{1.0, 2.0, 3.0, 10.0, 20.0, 30.0};
    const std::vector<std::uint32_t> pairs{0, 1, 1, 2, 0, 0};
    std::vector<ExactSum> sums(3);
    exact_sums(columns, 2, pairs, sums);
    CHECK(sums[0].limbs() == sum_of({140.0}));
    CHECK(sums[1].limbs() == sum_of({60.0}));
    CHECK(sums[2].limbs() == sum_of({14.0}));
    for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL, 0x1p500, -0x1p500}) {
        columns[4] = bad;
        CHECK_THROWS(DataError, exact_sums(columns, 2, pairs, sums));
    }
}

}  // namespace

int main() {
    nothing_is_rounded();
    the_order_does_not_matter();
    products_are_exact();
    many_products_need_no_care();
    columns_are_paired_and_checked();
}
