#include "check.hpp"
#include "flopcore/column.hpp"

using flopcore::Column;

int main() {
    Column<int> column;
    CHECK(column.empty() && column.memory_bytes() == 0);
    for (int i = 0; i < 100000; ++i) column.push_back(i);
    CHECK(column.size() == 100000 && column[99999] == 99999 && column.back() == 99999);
    column.push_back(column[5]);  // a value of its own, across a growth
    CHECK(column.back() == 5);

    const Column<int> copy = column;
    column[0] = -1;
    CHECK(copy[0] == 0 && copy.size() == column.size());
    Column<int> moved = std::move(column);
    CHECK(moved[0] == -1);
    moved = copy;
    CHECK(moved[0] == 0);

    int* place = moved.room(3);
    place[0] = 7;
    moved.commit(1);
    CHECK(moved.back() == 7);
    moved.truncate(2);
    CHECK(moved.size() == 2 && moved.span().size() == 2);
    moved.append(copy.span().first(3));
    CHECK(moved.size() == 5 && moved[4] == 2);

    Column<double> large;  // past the size that asks for huge pages
    large.reserve(1U << 20);
    for (int i = 0; i < 1 << 20; ++i) large.push_back(i);
    CHECK(large[(1 << 20) - 1] == (1 << 20) - 1);
    return 0;
}
