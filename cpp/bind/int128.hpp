// 128-bit integers and exact fractions to and from Python's int and fractions.Fraction.
#pragma once

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/pybind11.h>

#include <string>

#include "flopcore/checked.hpp"

namespace flopcore::bind {

namespace py = pybind11;

[[nodiscard]] inline py::object to_python(Int128 value) {
    if (value >= INT64_MIN && value <= INT64_MAX) return py::int_(static_cast<std::int64_t>(value));
    const py::int_ high(static_cast<std::int64_t>(value >> 64));
    const py::int_ low(static_cast<std::uint64_t>(value));
    return (high << py::int_(64)) | low;
}

[[nodiscard]] inline std::string show(py::handle value) {
    constexpr std::size_t kMaxShown = 80;
    std::string text = py::repr(value).cast<std::string>();
    if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
    return text;
}

// Anything with __index__ but a bool; `what` names the argument in errors.
[[nodiscard]] inline Int128 to_int128(py::handle value, const char* what) {
    if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr()))
        throw py::type_error(std::string(what) + " must be an int, not " + show(value));
    const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
    if (!number) throw py::error_already_set();
    int overflow = 0;
    const long long small = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    if (overflow == 0) {
        if (small == -1 && PyErr_Occurred()) throw py::error_already_set();
        return small;
    }
    const py::object high = number >> py::int_(64);
    const long long top = PyLong_AsLongLongAndOverflow(high.ptr(), &overflow);
    if (overflow != 0)
        throw OverflowError_(std::string(what) + " does not fit 127 bits: it has " +
                             std::to_string(number.attr("bit_length")().cast<std::size_t>()) + " bits");
    const std::uint64_t low = PyLong_AsUnsignedLongLongMask(number.ptr());
    return (static_cast<Int128>(top) << 64) | low;
}

[[nodiscard]] inline const py::object& fraction_class() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
    return storage.call_once_and_store_result([] { return py::module_::import("fractions").attr("Fraction"); })
        .get_stored();
}

// int when whole, else Fraction.
[[nodiscard]] inline py::object to_python(Rational value) {
    if (value.is_integer()) return to_python(value.num);
    return fraction_class()(to_python(value.num), to_python(value.den));
}

// An int or a Fraction.
[[nodiscard]] inline Rational to_rational(py::handle value, const char* what) {
    if (py::isinstance(value, fraction_class()))
        return make_rational(to_int128(value.attr("numerator"), what), to_int128(value.attr("denominator"), what));
    if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr()))
        throw py::type_error(std::string(what) + " must be an int or a Fraction, not " + show(value));
    return {to_int128(value, what), 1};
}

}  // namespace flopcore::bind
