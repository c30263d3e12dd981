#include "flopcore/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace flopcore {

void assertion_failed(const char* what, const char* file, int line) {
    std::fprintf(stderr, "flopcore: assertion failed: %s (%s:%d)\n", what, file, line);
    std::abort();
}

}  // namespace flopcore
