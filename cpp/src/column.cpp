#include "flopcore/column.hpp"

#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace flopcore::detail {

void* allocate_column(std::size_t bytes) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    if (bytes < 2 * kHugePage) {
        void* small = std::malloc(bytes);
        if (small == nullptr) throw std::bad_alloc();
        return small;
    }
    void* large = std::aligned_alloc(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
    if (large == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    madvise(large, bytes, MADV_HUGEPAGE);  // advice only: without huge pages it is slower, not wrong
#endif
    return large;
}

void release_column(void* data) noexcept { std::free(data); }

}  // namespace flopcore::detail
