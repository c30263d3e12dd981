#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/parallel.hpp"

using namespace flopcore;

namespace {

const Poll kNoPoll;

void each_block_runs_once() {
    for (const unsigned threads : {1u, 2u, 3u, 7u}) {
        std::vector<std::atomic<int>> seen(1001);
        std::atomic<bool> worker_in_range{true};
        const unsigned workers = n_workers(seen.size(), threads);
        const bool finished = parallel_blocks(
            seen.size(), threads,
            [&](std::uint64_t block, unsigned worker, StopToken&) {
                seen[block].fetch_add(1);
                if (worker >= workers) worker_in_range = false;
            },
            kNoPoll);
        CHECK(finished && worker_in_range);
        for (const auto& n : seen) CHECK(n == 1);
    }
    CHECK(parallel_blocks(0, 3, [](std::uint64_t, unsigned, StopToken&) { throw Error("no block"); }, kNoPoll));
}

void an_error_of_any_worker_comes_home() {
    for (const unsigned threads : {1u, 3u}) {
        std::atomic<std::uint64_t> ran{0};
        CHECK_THROWS(DataError, parallel_blocks(
                                    1000000, threads,
                                    [&](std::uint64_t block, unsigned, StopToken&) {
                                        ran.fetch_add(1);
                                        if (block == 17) throw DataError("block 17");
                                    },
                                    kNoPoll));
        CHECK(ran < 1000000);
    }
}

void a_poll_stops_all_workers() {
    for (const unsigned threads : {1u, 3u}) {
        std::atomic<std::uint64_t> ran{0};
        const auto began = std::chrono::steady_clock::now();
        const bool finished = parallel_blocks(
            1000000, threads,
            [&](std::uint64_t, unsigned, StopToken&) {
                ran.fetch_add(1);
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            },
            [] { return true; });
        CHECK(!finished);
        CHECK(ran < 100000);
        CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
    }
}

void an_error_of_the_poll_comes_home() {
    CHECK_THROWS(Error, parallel_blocks(
                            1000000, 2,
                            [&](std::uint64_t, unsigned, StopToken&) {
                                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                            },
                            []() -> bool { throw Error("poll"); }));
}

void a_limited_process_has_one_worker() {
    CHECK(n_workers(100, 5) == 5);
    limit_to_one_thread();
    CHECK(n_workers(100, 5) == 1);
    const auto caller = std::this_thread::get_id();
    CHECK(parallel_blocks(
        100, 5, [&](std::uint64_t, unsigned, StopToken&) { CHECK(std::this_thread::get_id() == caller); }, kNoPoll));
}

}  // namespace

int main() {
    each_block_runs_once();
    an_error_of_any_worker_comes_home();
    a_poll_stops_all_workers();
    an_error_of_the_poll_comes_home();
    a_limited_process_has_one_worker();  // last: it is for good
    return 0;
}
