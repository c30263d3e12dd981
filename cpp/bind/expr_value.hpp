// ExprValue: an expression that owns its store, the form in which expressions cross into Python. Python's
// flopcore.expr.Expr holds one in its _value; these helpers go between it, plain numbers and any other store.
#pragma once

#include "flopcore/expr.hpp"
#include "int128.hpp"

namespace flopcore::bind {

struct ExprValue {
    ExprStore store;
    ExprRef root;
};

// The expression alone, in a store of its own.
[[nodiscard]] ExprValue extract(const ExprStore& store, ExprRef root);
// int (up to 127 bits), Fraction or Expr; TypeError naming the value for anything else (bool and float too).
[[nodiscard]] ExprRef to_ref(ExprStore& store, py::handle value, const char* what = "an expression");
// int if it is a whole number, Fraction if it is a fraction, Dim if it is one symbol, else Expr.
[[nodiscard]] py::object to_python(const ExprStore& store, ExprRef root);

}  // namespace flopcore::bind
