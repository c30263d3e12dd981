// Puts the place in front of an error as it passes outward; the class and the original text are kept.
#pragma once

#include <string>
#include <utility>

#include "flopcore/error.hpp"

namespace flopcore {

// Runs work(); on an error, where() names the place it happened.
template <class Where, class Work>
void with_context(Where&& where, Work&& work) {
    try {
        std::forward<Work>(work)();
    } catch (const ShapeError& e) {
        throw ShapeError(where() + ": " + e.what());
    } catch (const GraphError& e) {
        throw GraphError(where() + ": " + e.what());
    } catch (const UnsupportedOp& e) {
        throw UnsupportedOp(where() + ": " + e.what());
    } catch (const OverflowError_& e) {
        throw OverflowError_(where() + ": " + e.what());
    } catch (const ConventionError& e) {
        throw ConventionError(where() + ": " + e.what());
    } catch (const DataError& e) {
        throw DataError(where() + ": " + e.what());
    }
}

}  // namespace flopcore
