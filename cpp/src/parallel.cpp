#include "flopcore/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace flopcore {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollEvery = std::chrono::milliseconds(20);

std::atomic<bool> one_thread_only{false};

// What all workers of one call share. Nothing throws out of a worker: the first error waits here for the join.
struct Run {
    const BlockFunction& fn;
    std::uint64_t n_blocks;
    std::atomic<std::uint64_t> next{0};
    std::atomic<bool> stop{false};
    std::atomic<bool> interrupted{false};
    std::mutex error_lock{};
    std::exception_ptr error{};

    void fail(std::exception_ptr raised) {
        const std::lock_guard<std::mutex> guard(error_lock);
        if (!error) error = std::move(raised);
        stop.store(true, std::memory_order_relaxed);
    }
};

class WorkerToken final : public StopToken {
  public:
    WorkerToken(Run& run, const Poll* poll) : run_(run), poll_(poll), last_(Clock::now()) {}

    bool stopped() override {
        if (poll_ != nullptr && *poll_) {
            const auto now = Clock::now();
            if (now - last_ >= kPollEvery) {
                last_ = now;
                if ((*poll_)()) {
                    run_.interrupted.store(true, std::memory_order_relaxed);
                    run_.stop.store(true, std::memory_order_relaxed);
                }
            }
        }
        return run_.stop.load(std::memory_order_relaxed);
    }

  private:
    Run& run_;
    const Poll* poll_;
    Clock::time_point last_;
};

void work(Run& run, unsigned worker, const Poll* poll) {
    try {
        WorkerToken token(run, poll);
        while (!token.stopped()) {
            const std::uint64_t block = run.next.fetch_add(1, std::memory_order_relaxed);
            if (block >= run.n_blocks) return;
            run.fn(block, worker, token);
        }
    } catch (...) {
        run.fail(std::current_exception());
    }
}

}  // namespace

unsigned allowed_cpus() {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

unsigned n_workers(std::uint64_t n_blocks, unsigned threads) {
    if (one_thread_only.load(std::memory_order_relaxed)) return 1;
    const std::uint64_t wanted = threads == 0 ? allowed_cpus() : threads;
    return static_cast<unsigned>(std::max<std::uint64_t>(1, std::min(wanted, n_blocks)));
}

bool parallel_blocks(std::uint64_t n_blocks, unsigned threads, const BlockFunction& fn, const Poll& poll) {
    const unsigned workers = n_workers(n_blocks, threads);
    Run run{fn, n_blocks};
    if (workers == 1) {
        work(run, 0, &poll);
    } else {
#if defined(_OPENMP)
#pragma omp parallel num_threads(static_cast<int>(workers))
        {
            const int worker = omp_get_thread_num();
            work(run, static_cast<unsigned>(worker), worker == 0 ? &poll : nullptr);
        }
#else
        std::vector<std::thread> others;
        try {
            for (unsigned worker = 1; worker < workers; ++worker) {
                others.emplace_back([&run, worker] { work(run, worker, nullptr); });
            }
        } catch (...) {
            run.fail(std::current_exception());
        }
        work(run, 0, &poll);
        for (std::thread& other : others) other.join();
#endif
    }
    if (run.error) std::rethrow_exception(run.error);
    return !run.interrupted.load(std::memory_order_relaxed);
}

void limit_to_one_thread() { one_thread_only.store(true, std::memory_order_relaxed); }

const char* thread_backend() {
#if defined(_OPENMP)
    return "openmp";
#else
    return "threads";
#endif
}

}  // namespace flopcore
