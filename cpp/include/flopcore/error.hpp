// The error family of the core. A message says what, where, and what to do.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace flopcore {

class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};
// Shapes, dims or attributes that do not fit together.
class ShapeError : public Error {
    using Error::Error;
};
// A malformed graph: unknown tensor, cycle, call of an unfinished subgraph.
class GraphError : public Error {
    using Error::Error;
};
// An op that has no rule.
class UnsupportedOp : public Error {
    using Error::Error;
};
// A count or dimension that does not fit 127 bits.
class OverflowError_ : public Error {
    using Error::Error;
};
// A convention that cannot price what it is given.
class ConventionError : public Error {
    using Error::Error;
};
// Bad external data: a malformed file, a value out of range, an unbound dim.
class DataError : public Error {
    using Error::Error;
};

// Reports a broken internal invariant and aborts; used through FLOPCORE_ASSERT in debug and sanitizer builds.
[[noreturn]] void assertion_failed(const char* what, const char* file, int line);

}  // namespace flopcore

#ifdef FLOPCORE_DEBUG
#define FLOPCORE_ASSERT(condition) \
    ((condition) ? static_cast<void>(0) : ::flopcore::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define FLOPCORE_ASSERT(condition) static_cast<void>(0)
#endif
