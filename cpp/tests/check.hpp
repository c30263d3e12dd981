// Assertions that stay on in every build type.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::flopcore_test::fail(#condition, __FILE__, __LINE__))
#define CHECK_THROWS(Kind, ...)                                                              \
    do {                                                                                     \
        bool thrown = false;                                                                 \
        try {                                                                                \
            static_cast<void>(__VA_ARGS__);                                                  \
        } catch (const Kind&) {                                                              \
            thrown = true;                                                                   \
        }                                                                                    \
        if (!thrown) ::flopcore_test::fail(#Kind " from " #__VA_ARGS__, __FILE__, __LINE__); \
    } while (false)

namespace flopcore_test {

[[noreturn]] inline void fail(const char* what, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    std::exit(1);
}

}  // namespace flopcore_test
