#include <algorithm>

#include "check.hpp"
#include "flopcore/expr.hpp"

using namespace flopcore;

namespace {

constexpr Int128 kMax = static_cast<Int128>(~UInt128{0} >> 1);

ExprRef num(std::int64_t value) { return ExprRef::small(value); }

void constants_stay_inline_and_grow() {
    ExprStore store;
    CHECK(store.add(num(2), num(3)) == num(5));
    CHECK(store.n_expressions() == 0);
    const ExprRef edge = store.constant((Int128{1} << 62) - 1);
    CHECK(edge.is_small());
    const ExprRef beyond = store.add(edge, num(1));
    CHECK(!beyond.is_small() && store.as_integer(beyond) == Int128{1} << 62);
    CHECK(store.sub(beyond, num(1)) == edge);
    CHECK(store.as_integer(store.mul(beyond, beyond)) == Int128{1} << 124);
    CHECK_THROWS(OverflowError_, store.mul(store.mul(beyond, beyond), num(8)));
    CHECK(store.scale(store.scale(num(3), {1, 2}), {2, 3}) == num(1));
}

void polynomials_are_canonical() {
    ExprStore store;
    const ExprRef b = store.symbol({"batch", 1, {}, 1});
    const ExprRef s = store.symbol({"seq", 1, {}, 1});
    const ExprRef left = store.mul(store.add(b, s), store.sub(b, s));
    const ExprRef right = store.sub(store.mul(b, b), store.mul(s, s));
    CHECK(left == right);
    CHECK(store.sub(left, right) == num(0));
    CHECK(store.text(left) == "batch**2 - seq**2");
    CHECK(store.text(store.scale(store.add(store.pow(s, 2), s), {1, 2})) == "(seq**2 + seq)/2");
    CHECK(store.degree(left, "seq") == 2U && store.degree(left, "other") == 0U);
}

void order_does_not_depend_on_construction() {
    ExprStore one;
    ExprStore two;
    const ExprRef a1 = one.symbol({"a", 1, {}, 1});
    const ExprRef z1 = one.symbol({"z", 1, {}, 1});
    const ExprRef z2 = two.symbol({"z", 1, {}, 1});
    const ExprRef a2 = two.symbol({"a", 1, {}, 1});
    const ExprRef e1 = one.add(one.mul(a1, z1), one.floordiv(z1, one.add(a1, num(1))));
    const ExprRef e2 = two.add(two.floordiv(z2, two.add(num(1), a2)), two.mul(z2, a2));
    CHECK(one.text(e1) == two.text(e2) && one.text(e1) == "a*z + z//(a + 1)");
    CHECK(one.hash(e1) == two.hash(e2) && one.same(e1, two, e2));
    CHECK(one.import(two, e2) == e1);
}

void divisions_simplify() {
    ExprStore store;
    const ExprRef s = store.symbol({"s", 1, {}, 1});
    const ExprRef h = store.symbol({"h", 1, {}, 2});
    const ExprRef t = store.symbol({"t", 1, {}, 1});
    const auto text = [&](ExprRef e) { return store.text(e); };
    CHECK(store.mul(store.floordiv(h, num(2)), num(2)) == h);
    CHECK(text(store.floordiv(store.add(store.mul(s, num(4)), num(3)), num(4))) == "s");
    CHECK(store.ceildiv(s, num(128)) == store.floordiv(store.add(s, num(127)), num(128)));
    CHECK(text(store.floordiv(store.add(store.floordiv(s, num(2)), num(1)), num(3))) == "(s + 2)//6");
    CHECK(text(store.floordiv(store.mul(s, store.add(s, num(1))), num(2))) == "(s**2 + s)/2");
    CHECK(store.floordiv(store.mul(s, t), t) == s);
    CHECK(text(store.floordiv(store.add(store.mul(s, t), num(5)), t)) == "s + 5//t");
    CHECK(store.ceildiv(store.mul(num(6), s), store.mul(num(4), t)) ==
          store.ceildiv(store.mul(num(3), s), store.mul(num(2), t)));
    CHECK_THROWS(ShapeError, store.floordiv(s, num(0)));
    CHECK_THROWS(ShapeError, store.floordiv(s, num(-2)));
    CHECK_THROWS(ShapeError, store.floordiv(num(3), store.negate(s)));
}

void extrema_use_bounds() {
    ExprStore store;
    const ExprRef s = store.symbol({"s", 1, 100, 1});
    const ExprRef w = store.symbol({"w", 0, {}, 1});
    CHECK(store.min(s, num(200)) == s && store.max(s, num(1)) == s && store.max(s, num(200)) == num(200));
    CHECK(store.min(s, store.add(s, w)) == s);
    CHECK(store.min(store.min(s, w), num(7)) == store.min(s, store.min(num(7), w)));
    CHECK(store.text(store.min(store.min(s, w), num(7))) == "min(s, w, 7)");
    CHECK(store.less_equal(num(1), s) == true && store.less_equal(s, w) == std::nullopt);
    const ExprRef t = store.symbol({"t", 1, {}, 1});
    const ExprRef shorter = store.max(store.sub(t, num(1)), num(1));
    CHECK(store.less_equal(shorter, t) == true && store.less_equal(store.min(t, w), t) == true);
    CHECK(store.less_equal(t, store.max(t, w)) == true && store.less_equal(shorter, w) == std::nullopt);
    CHECK(store.less_equal(store.min(t, w), store.min(t, num(5))) == std::nullopt);
    CHECK(store.equal(s, store.add(s, num(1))) == false && store.equal(s, w) == std::nullopt);
    const Interval range = store.bounds(store.min(s, w));
    CHECK((range.low == Rational{0, 1} && range.high == Rational{100, 1}));
}

void evaluation_is_exact_when_terms_cancel() {
    ExprStore store;
    const ExprRef x = store.symbol({"x", 0, {}, 1});
    const ExprRef y = store.symbol({"y", 0, {}, 1});
    const ExprRef e = store.add(store.sub(store.pow(x, 8), store.mul(store.pow(x, 7), y)), y);
    const Int128 huge = Int128{1} << 100;
    const Point same[] = {{"x", huge}, {"y", huge}};
    CHECK((store.evaluate(e, same) == Rational{huge, 1}));
    const ExprRef quotient = store.floordiv(store.pow(x, 3), store.add(store.pow(y, 3), num(1)));
    CHECK((store.evaluate(quotient, same) == Rational{0, 1}));
    const Point apart[] = {{"x", huge}, {"y", huge - 1}};
    CHECK_THROWS(OverflowError_, store.evaluate(e, apart));
    const Binding partial[] = {{"x", num(3)}};
    CHECK_THROWS(DataError, store.evaluate(e, partial));
    CHECK(store.text(store.substitute(e, partial)) == "-2186*y + 6561");
    const Point least[] = {{"x", kMax}, {"y", kMax}};
    CHECK((store.evaluate(e, least) == Rational{kMax, 1}));
}

void dims_are_checked() {
    ExprStore store;
    const ExprRef h = store.symbol({"h", 2, 64, 2});
    CHECK(store.symbol({"h", 2, 64, 2}) == h);
    CHECK_THROWS(DataError, store.symbol({"h", 1, 64, 2}));
    CHECK_THROWS(DataError, store.symbol({"", 1, {}, 1}));
    CHECK_THROWS(DataError, store.symbol({"none", 3, 3, 2}));
    CHECK_THROWS(DataError, store.symbol({"odd", 1, {}, 0}));
    for (const std::int64_t bad : {0, 66, 7}) {
        const Binding binding[] = {{"h", num(bad)}};
        CHECK_THROWS(DataError, store.evaluate(h, binding));
        CHECK_THROWS(DataError, store.substitute(h, binding));
    }
    const ExprRef k = store.symbol({"k", 1, 32, 1});
    const Binding provable[] = {{"h", store.mul(k, num(2))}};
    CHECK(store.substitute(h, provable) == store.mul(k, num(2)));
    const Binding unknown[] = {{"h", k}};
    CHECK_THROWS(DataError, store.substitute(h, unknown));
}

void sums_are_closed_where_they_can_be() {
    ExprStore store;
    const ExprRef i = store.symbol({"i", 0, {}, 1});
    const ExprRef n = store.symbol({"n", 0, {}, 1});
    const ExprRef p = store.symbol({"p", 1, {}, 1});
    const ExprRef w = store.symbol({"w", 1, {}, 1});
    const auto text = [&](ExprRef e) { return store.text(e); };
    CHECK(text(store.sum(i, "i", num(0), n)) == "(n**2 - n)/2");
    CHECK(store.sum(store.pow(i, 3), "i", num(0), num(11)) == num(3025));
    CHECK(store.sum(p, "i", num(0), n) == store.mul(p, n));
    CHECK(store.sum(i, "i", n, n) == num(0) && store.sum(i, "i", num(5), num(2)) == num(0));
    // An empty range adds nothing even where the formula would not be zero.
    const ExprRef maybe_empty = store.sum(store.add(i, num(1)), "i", w, n);
    const Point empty[] = {{"n", 2}, {"w", 9}};
    CHECK((store.evaluate(maybe_empty, empty) == Rational{0, 1}));
    const ExprRef window = store.sum(store.min(store.add(p, i), w), "i", num(0), n);
    CHECK(text(window).find("sum") == std::string::npos);
    for (std::int64_t at = 1; at < 12; ++at) {
        std::int64_t expected = 0;
        for (std::int64_t step = 0; step < 9; ++step) expected += std::min(3 + step, at);
        const Point point[] = {{"n", 9}, {"p", 3}, {"w", at}};
        CHECK((store.evaluate(window, point) == Rational{expected, 1}));
    }
    const ExprRef lazy = store.sum(store.floordiv(store.add(i, p), num(3)), "i", num(0), n);
    CHECK(text(lazy) == "sum((p + index1)//3, index1, 0, n)");
    CHECK(store.free_symbols(lazy).size() == 2);
    const Binding bound[] = {{"n", num(6)}, {"p", num(2)}};
    CHECK(store.substitute(lazy, bound) == num(0 + 1 + 1 + 1 + 2 + 2));
    CHECK_THROWS(DataError, store.sum(i, "i", store.scale(n, {1, 2}), n));
    CHECK_THROWS(DataError, store.sum(w, "w", num(0), n));  // w starts at 1
    const Point long_way[] = {{"n", Int128{1} << 30}, {"p", 1}};
    CHECK_THROWS(OverflowError_, store.evaluate(lazy, long_way));
}

void an_index_is_never_captured() {
    ExprStore store;
    const ExprRef i = store.symbol({"i", 0, {}, 1});
    const ExprRef j = store.symbol({"j", 0, {}, 1});
    const ExprRef n = store.symbol({"n", 0, {}, 1});
    const ExprRef inner = store.sum(store.floordiv(store.add(store.mul(i, j), num(1)), num(2)), "i", num(0), j);
    const ExprRef outer = store.sum(inner, "j", num(0), n);
    const ExprRef renamed_inner = store.sum(store.floordiv(store.add(store.mul(i, j), num(1)), num(2)), "j", num(0), i);
    CHECK(store.sum(renamed_inner, "i", num(0), n) == outer);
    std::int64_t expected = 0;
    for (std::int64_t b = 0; b < 7; ++b)
        for (std::int64_t a = 0; a < b; ++a) expected += (a * b + 1) / 2;
    const Point point[] = {{"n", 7}};
    CHECK((store.evaluate(outer, point) == Rational{expected, 1}));
    ExprStore other;
    CHECK(other.text(other.import(store, outer)) == store.text(outer));
}

void columns_agree_with_points() {
    ExprStore store;
    const ExprRef x = store.symbol({"x", -40, 4000, 1});
    const ExprRef y = store.symbol({"y", 2, {}, 2});
    const ExprRef square = store.mul(x, x);
    const ExprRef mixed = store.add(store.floordiv(store.sub(store.mul(square, y), num(7)), store.add(y, num(1))),
                                    store.min(store.scale(x, {1, 2}), store.max(num(3), store.sub(y, x))));
    const ExprRef e = store.add(mixed, store.mul(store.floordiv(x, num(5)), square));
    std::vector<std::int64_t> xs;
    std::vector<std::int64_t> ys;
    for (std::int64_t i = 0; i < 40000; ++i) {
        xs.push_back(i % 3000 - 40);
        ys.push_back(2 + 2 * (i % 77));
    }
    const PointColumn columns[] = {{"y", ys}, {"x", xs}};
    std::vector<double> one(xs.size());
    std::vector<double> two(xs.size());
    store.evaluate_float(e, columns, one, 1);
    store.evaluate_float(e, columns, two, 2);
    CHECK(one == two);
    const std::vector<Rational> exact = store.evaluate_exact(e, columns, xs.size());
    for (std::size_t i = 0; i < xs.size(); ++i)  // every intermediate is a multiple of 1/2 below 2^53
        CHECK(one[i] == static_cast<double>(exact[i].num) / static_cast<double>(exact[i].den));
    xs[39999] = 5000;
    CHECK_THROWS(DataError, (store.evaluate_float(e, columns, one, 2), 0));
    CHECK_THROWS(DataError, store.evaluate_exact(e, columns, xs.size()));
    xs[39999] = 0;
    ys[17] = 3;
    CHECK_THROWS(DataError, (store.evaluate_float(e, columns, one, 1), 0));
    const PointColumn half[] = {{"x", xs}};
    CHECK_THROWS(DataError, (store.evaluate_float(e, half, one, 1), 0));
}

void hostile_sizes_are_errors() {
    ExprStore store;
    const ExprRef x = store.symbol({"x", 0, {}, 1});
    const ExprRef y = store.symbol({"y", 0, {}, 1});
    CHECK_THROWS(OverflowError_, store.pow(x, 4'000'000'000U));
    ExprRef nested = x;
    CHECK_THROWS(OverflowError_, [&] {
        for (int i = 0; i < 100000; ++i) nested = store.floordiv(store.add(store.mul(nested, nested), y), num(3));
        return 0;
    }());
    ExprRef deep = x;
    CHECK_THROWS(OverflowError_, [&] {
        for (int i = 0; i < 100000; ++i)
            deep = store.max(store.min(store.add(deep, y), store.mul(num(i + 2), x)), store.mul(y, num(i + 3)));
        return 0;
    }());
    ExprRef wide = num(1);
    CHECK_THROWS(OverflowError_, [&] {
        for (int i = 0; i < 40; ++i) {
            const ExprRef s = store.symbol({"s" + std::to_string(i), 0, {}, 1});
            wide = store.mul(wide, store.add(s, num(1)));
        }
        return 0;
    }());
    ExprRef many = x;
    CHECK_THROWS(OverflowError_, [&] {
        for (int i = 0; i < 1000; ++i) many = store.min(many, store.symbol({"m" + std::to_string(i), 0, {}, 1}));
        return 0;
    }());
}

void copies_keep_handles() {
    ExprStore store;
    const ExprRef e = store.mul(store.symbol({"x", 0, {}, 1}), num(3));
    ExprStore copy = store;
    CHECK(copy.text(e) == "3*x");
    CHECK(store.n_expressions() == 0);  // products of a number and a monomial are inline
    static_cast<void>(copy.add(e, num(1)));
    CHECK(store.n_expressions() + 1 == copy.n_expressions());
    const ExprStore moved = std::move(copy);
    CHECK(moved.text(e) == "3*x");
}

void text_never_needs_a_common_denominator() {
    ExprStore store;
    const ExprRef x = store.symbol({"x", 1, {}, 1});
    const Rational odd{7, (Int128{1} << 90) + 1};
    const ExprRef e = store.add(store.scale(x, odd), store.scale(store.pow(x, 2), {-1, Int128{1} << 100}));
    CHECK(store.text(store.add(e, store.constant(Rational{-1, 3}))) ==
          "-x**2/1267650600228229401496703205376 + 7*x/1237940039285380274899124225 - Fraction(1, 3)");
    CHECK(store.text(store.min(x, store.constant(Rational{5, 2}))) == "min(x, Fraction(5, 2))");
}

void names_of_any_text_are_quoted() {
    ExprStore store;
    CHECK(store.text(store.symbol({"unk__12", 1, {}, 1})) == "unk__12");
    CHECK(store.text(store.symbol({"a-b's", 1, {}, 1})) == "dim('a-b\\'s')");
    CHECK(store.text(store.symbol({"lambda", 1, {}, 1})) == "dim('lambda')");
    CHECK(store.latex(store.symbol({"n_q", 1, {}, 1})) == "\\mathrm{n\\_q}");
}

}  // namespace

int main() {
    constants_stay_inline_and_grow();
    polynomials_are_canonical();
    order_does_not_depend_on_construction();
    divisions_simplify();
    extrema_use_bounds();
    evaluation_is_exact_when_terms_cancel();
    dims_are_checked();
    sums_are_closed_where_they_can_be();
    an_index_is_never_captured();
    columns_agree_with_points();
    hostile_sizes_are_errors();
    copies_keep_handles();
    text_never_needs_a_common_denominator();
    names_of_any_text_are_quoted();
}
