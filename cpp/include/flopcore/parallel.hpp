// The only door to threads: cuts work by data, never by thread count, and brings errors and interrupts home.
#pragma once

#include <cstdint>
#include <functional>

namespace flopcore {

// Passed to each block; a block that runs long asks now and then and returns early when told so.
class StopToken {
  public:
    virtual ~StopToken() = default;
    // On the calling thread this also runs the poll callback, at most every 20 ms. True: stop, the result is discarded.
    [[nodiscard]] virtual bool stopped() = 0;
};

// Runs on the calling thread between pieces of work; true asks all threads to stop.
using Poll = std::function<bool()>;

// fn(block, worker, token) for every block below n_blocks, each exactly once, in no fixed order; worker < n_workers().
using BlockFunction = std::function<void(std::uint64_t block, unsigned worker, StopToken& token)>;

// Threads that a request means: 0 is all CPUs this process may use; never more than blocks, and 1 in a forked child.
[[nodiscard]] unsigned n_workers(std::uint64_t n_blocks, unsigned threads);

// Returns false when the poll asked to stop. The first exception of any block stops the others and is rethrown here.
[[nodiscard]] bool parallel_blocks(std::uint64_t n_blocks, unsigned threads, const BlockFunction& fn, const Poll& poll);

// CPUs this process may use.
[[nodiscard]] unsigned allowed_cpus();

// Called in a forked child, where a thread runtime of the parent must not be entered again.
void limit_to_one_thread();

// "openmp" or "threads".
[[nodiscard]] const char* thread_backend();

}  // namespace flopcore
