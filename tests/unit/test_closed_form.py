from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from flopcore.closed_form import Product, geometric_mean, normal_cdf, normal_quantile
from flopcore.quantity import Interval

# Abramowitz & Stegun, Handbook of Mathematical Functions, table 26.1 and 26.5; mpmath at 40 digits.
CDF = [
    ("0", "0.5"),
    ("1", "0.8413447460685429485852325456320379224779"),
    ("-1", "0.1586552539314570514147674543679620775221"),
    ("1.959963984540054", "0.9749999999999999862350813"),
    ("-6", "9.865876450376981407009e-10"),
    ("-9", "1.128588405953840647736e-19"),
]


@pytest.mark.parametrize(("x", "value"), CDF)
def test_the_normal_cdf_has_the_tabled_values(x: str, value: str) -> None:
    assert abs(normal_cdf(Decimal(x)) / Decimal(value) - 1) < Decimal("1e-20")


def test_far_tails_are_nothing_and_all() -> None:
    assert normal_cdf(Decimal(-16)) == 0
    assert normal_cdf(Decimal(16)) == 1


def test_the_quantile_inverts_the_cdf() -> None:
    assert normal_quantile(Fraction(1, 2)) == 0
    assert str(normal_quantile(Fraction(19, 20))).startswith("1.6448536269514727")
    for p in (Fraction(1, 1000), Fraction(1, 20), Fraction(3, 5), Fraction(999, 1000)):
        assert abs(normal_cdf(normal_quantile(p)) - Decimal(p.numerator) / p.denominator) < Decimal("1e-26")
        assert normal_quantile(p) == normal_quantile(1 - p).copy_negate()


def test_an_exact_product_sits_on_its_side_of_the_line() -> None:
    product = Product.of([10**26])
    assert product.is_exact
    assert product.probability_above(10**26) == 0.0
    assert product.probability_above(10**26, at_line=True) == 1.0
    assert product.probability_above(10**26 - 1) == 1.0
    assert product.quantile(Fraction(1, 20)) == 1e26


def test_a_lognormal_has_its_interval_as_quantiles() -> None:
    product = Product.of([Interval(10**24, 10**26)])
    assert product.quantile(Fraction(1, 20)) == 1e24
    assert product.quantile(Fraction(19, 20)) == 1e26
    assert product.median == 10**25
    assert product.probability_above(10**25) == 0.5
    assert abs(product.probability_above(10**26) - 0.05) < 1e-16


def test_lognormals_add_their_variances() -> None:
    one = Product.of([Interval(1, 9), Interval(1, 16)])
    a = Product.of([Interval(1, 9)])
    b = Product.of([Interval(1, 16)])
    assert abs(one.variance - a.variance - b.variance) < Decimal("1e-27")
    assert one.scale == 12


def test_a_uniform_alone_is_linear() -> None:
    product = Product.of([100], Interval(Fraction(1, 4), Fraction(3, 4)))
    assert product.median == 50
    assert product.quantile(Fraction(1, 20)) == 27.5
    assert product.probability_above(25) == 1.0
    assert product.probability_above(75) == 0.0
    assert product.probability_above(60) == 0.3


def test_a_uniform_times_a_lognormal_agrees_with_quadrature() -> None:
    product = Product.of([Interval(50, 200)], Interval(Fraction(1, 4), Fraction(3, 4)))
    only = Product.of([Interval(50, 200)])
    steps = 2000
    nodes = [Fraction(1, 4) + Fraction(2 * i + 1, 2 * steps) / 2 for i in range(steps)]
    for line in (10, 40, 60, 200):
        midpoint = sum(only.probability_above(line / u) for u in nodes) / steps
        assert abs(product.probability_above(line) - midpoint) < 1e-6
    for p in (Fraction(1, 20), Fraction(1, 2), Fraction(19, 20)):
        value = product.quantile(p)
        assert abs(1 - product.probability_above(Fraction(value)) - float(p)) < 1e-12


def test_wrong_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Product.of([1]).quantile(Fraction(1))


def test_the_geometric_mean_is_exact_for_squares() -> None:
    assert geometric_mean(Interval(1, 100)) == 10
    assert abs(geometric_mean(Interval(1, 2)) ** 2 - 2) < Fraction(1, 10**28)
