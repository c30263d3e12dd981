// ExprValue and the operations of flopcore.expr.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind.hpp"
#include "expr_value.hpp"

namespace flopcore::bind {

ExprValue extract(const ExprStore& store, ExprRef root) {
    ExprValue value;
    value.root = value.store.import(store, root);
    return value;
}

ExprRef to_ref(ExprStore& store, py::handle value, const char* what) {
    if (py::hasattr(value, "_value")) {
        const py::object inner = value.attr("_value");
        if (py::isinstance<ExprValue>(inner)) {
            const auto& own = inner.cast<const ExprValue&>();
            return store.import(own.store, own.root);
        }
    }
    if (py::isinstance(value, fraction_class())) return store.constant(to_rational(value, what));
    if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr()))
        throw py::type_error(std::string(what) + " must be an int, a Fraction, a Dim or an Expr, not " + show(value));
    return store.constant(to_int128(value, what));
}

py::object to_python(const ExprStore& store, ExprRef root) {
    if (store.is_constant(root)) return to_python(store.constant_value(root));
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
    const py::object& wrap =
        storage.call_once_and_store_result([] { return py::module_::import("flopcore.expr").attr("_wrap"); })
            .get_stored();
    return wrap(extract(store, root));
}

namespace {

// op(store, left, right) on two Python operands.
template <ExprRef (ExprStore::*op)(ExprRef, ExprRef)>
py::object binary(const py::object& left, const py::object& right) {
    ExprStore store;
    const ExprRef a = to_ref(store, left, "the left operand");
    const ExprRef b = to_ref(store, right, "the right operand");
    return to_python(store, (store.*op)(a, b));
}

py::object scaled(const py::object& left, const py::object& factor) {
    ExprStore store;
    const ExprRef a = to_ref(store, left, "the left operand");
    return to_python(store, store.scale(a, to_rational(factor, "the factor")));
}

py::object power(const py::object& base, std::uint32_t exponent) {
    ExprStore store;
    const ExprRef a = to_ref(store, base, "the base");
    return to_python(store, store.pow(a, exponent));
}

py::object end_of(const std::optional<Rational>& end) { return end ? to_python(*end) : py::none(); }

py::tuple describe(const Symbol& symbol) {
    return py::make_tuple(symbol.name, symbol.min, symbol.max, symbol.multiple_of);
}

const char* kind_name(AtomKind kind) {
    switch (kind) {
        case AtomKind::symbol:
            return "dim";
        case AtomKind::floordiv:
            return "floordiv";
        case AtomKind::minimum:
            return "min";
        case AtomKind::maximum:
            return "max";
        case AtomKind::index:
            return "index";
        case AtomKind::sum:
            return "sum";
    }
    return "";
}

py::object head(const ExprValue& value) {
    const std::optional<Head> head = value.store.head(value.root);
    if (!head) return py::none();
    if (head->kind == AtomKind::symbol) return py::make_tuple(kind_name(head->kind), describe(head->symbol));
    if (head->kind == AtomKind::index) {
        const Interval range = value.store.bounds(value.root);
        return py::make_tuple(kind_name(head->kind),
                              py::make_tuple(head->level, end_of(range.low), end_of(range.high)));
    }
    py::tuple args(head->args.size());
    for (std::size_t i = 0; i < args.size(); ++i) args[i] = to_python(value.store, head->args[i]);
    return py::make_tuple(kind_name(head->kind), args);
}

py::list terms(const ExprValue& value) {
    py::list result;
    for (const TermView& term : value.store.terms(value.root)) {
        py::list factors;
        for (const auto& [factor, exponent] : term.factors)
            factors.append(py::make_tuple(to_python(value.store, factor), exponent));
        result.append(py::make_tuple(to_python(term.coefficient), py::tuple(factors)));
    }
    return result;
}

py::object substitute(const ExprValue& value, const py::dict& at) {
    ExprStore store;
    const ExprRef root = store.import(value.store, value.root);
    std::vector<std::string> names;
    std::vector<ExprRef> values;
    for (const auto& [name, replacement] : at) {
        names.push_back(name.cast<std::string>());
        const std::string what = "the value of dim '" + names.back() + "'";
        values.push_back(to_ref(store, replacement, what.c_str()));
    }
    std::vector<Binding> bindings;
    for (std::size_t i = 0; i < names.size(); ++i) bindings.push_back({names[i], values[i]});
    return to_python(store, store.substitute(root, bindings));
}

py::object evaluate(const ExprValue& value, const py::dict& at) {
    std::vector<std::string> names;
    std::vector<Int128> values;
    for (const auto& [name, number] : at) {
        names.push_back(name.cast<std::string>());
        const std::string what = "the value of dim '" + names.back() + "'";
        values.push_back(to_int128(number, what.c_str()));
    }
    std::vector<Point> point;
    for (std::size_t i = 0; i < names.size(); ++i) point.push_back({names[i], values[i]});
    return to_python(value.store.evaluate(value.root, std::span<const Point>(point)));
}

using Integers = py::array_t<std::int64_t, py::array::c_style>;

// Columns of equal length, and the arrays that own them.
struct Columns {
    std::vector<std::string> names;
    std::vector<Integers> arrays;
    std::vector<PointColumn> columns;
    std::size_t n = 0;
};

Columns to_columns(const py::dict& at) {
    Columns result;
    for (const auto& [name, values] : at) {
        result.names.push_back(name.cast<std::string>());
        result.arrays.push_back(values.cast<Integers>());
    }
    for (std::size_t i = 0; i < result.names.size(); ++i) {
        const Integers& array = result.arrays[i];
        result.columns.push_back({result.names[i], {array.data(), static_cast<std::size_t>(array.size())}});
        if (i != 0 && result.columns[i].values.size() != result.n) throw py::value_error("columns of unequal length");
        result.n = result.columns[i].values.size();
    }
    return result;
}

py::array_t<double> evaluate_float(const ExprValue& value, const py::dict& at, unsigned threads) {
    const Columns points = to_columns(at);
    py::array_t<double> result(static_cast<py::ssize_t>(points.n));
    const std::span<double> out(result.mutable_data(), points.n);
    {
        const py::gil_scoped_release release;  // spans of arrays that `points` and `result` hold
        value.store.evaluate_float(value.root, points.columns, out, threads);
    }
    return result;
}

py::list evaluate_exact(const ExprValue& value, const py::dict& at) {
    const Columns points = to_columns(at);
    std::vector<Rational> result;
    {
        const py::gil_scoped_release release;
        result = value.store.evaluate_exact(value.root, points.columns, points.n);
    }
    py::list numbers(result.size());
    for (std::size_t i = 0; i < result.size(); ++i) numbers[i] = to_python(result[i]);
    return numbers;
}

py::object sum_over(const py::object& body, const std::string& index, const py::object& low, const py::object& high) {
    ExprStore store;
    const ExprRef summand = to_ref(store, body, "the body");
    const ExprRef first = to_ref(store, low, "low");
    const ExprRef last = to_ref(store, high, "high");
    return to_python(store, store.sum(summand, index, first, last));
}

py::object symbol(std::string name, std::int64_t min, std::optional<std::int64_t> max, std::int64_t multiple_of) {
    ExprStore store;
    const ExprRef root = store.symbol({std::move(name), min, max, multiple_of});
    return to_python(store, root);
}

}  // namespace

void bind_expr(py::module_& m) {
    py::class_<ExprValue>(m, "ExprValue")
        .def("__eq__", [](const ExprValue& a, const ExprValue& b) { return a.store.same(a.root, b.store, b.root); })
        .def("__hash__", [](const ExprValue& a) { return a.store.hash(a.root); })
        .def("text", [](const ExprValue& a) { return a.store.text(a.root); })
        .def("latex", [](const ExprValue& a) { return a.store.latex(a.root); })
        .def("bounds",
             [](const ExprValue& a) {
                 const Interval range = a.store.bounds(a.root);
                 return py::make_tuple(end_of(range.low), end_of(range.high));
             })
        .def(
            "degree", [](const ExprValue& a, const std::string& name) { return a.store.degree(a.root, name); },
            py::arg("name"))
        .def("dims",
             [](const ExprValue& a) {
                 py::list result;
                 for (const Symbol& own : a.store.free_symbols(a.root)) result.append(describe(own));
                 return result;
             })
        .def("head", &head)
        .def("terms", &terms)
        .def("substitute", &substitute, py::arg("at"))
        .def("evaluate", &evaluate, py::arg("at"))
        .def("evaluate_float", &evaluate_float, py::arg("at"), py::arg("threads"))
        .def("evaluate_exact", &evaluate_exact, py::arg("at"));
    m.def("expr_dim", &symbol, py::arg("name"), py::arg("low"), py::arg("high"), py::arg("multiple_of"));
    m.def("expr_add", &binary<&ExprStore::add>, py::arg("left"), py::arg("right"));
    m.def("expr_sub", &binary<&ExprStore::sub>, py::arg("left"), py::arg("right"));
    m.def("expr_mul", &binary<&ExprStore::mul>, py::arg("left"), py::arg("right"));
    m.def("expr_floordiv", &binary<&ExprStore::floordiv>, py::arg("left"), py::arg("right"));
    m.def("expr_ceildiv", &binary<&ExprStore::ceildiv>, py::arg("left"), py::arg("right"));
    m.def("expr_minimum", &binary<&ExprStore::min>, py::arg("left"), py::arg("right"));
    m.def("expr_maximum", &binary<&ExprStore::max>, py::arg("left"), py::arg("right"));
    m.def("expr_sum", &sum_over, py::arg("body"), py::arg("index"), py::arg("low"), py::arg("high"));
    m.def("expr_scale", &scaled, py::arg("left"), py::arg("factor"));
    m.def("expr_pow", &power, py::arg("base"), py::arg("exponent"));
}

}  // namespace flopcore::bind
