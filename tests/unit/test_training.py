from __future__ import annotations

from fractions import Fraction

import pytest

from flopcore.training import PETAFLOP_DAY, flop_from_hardware, flop_from_parameters

# Commission guidelines C(2025) 5045, annex A.3: models A and C to G, recomputed from their inputs.
EXAMPLES = [
    (Fraction(38, 10), Fraction(33, 10), 7.524e22),
    (Fraction(6, 10), 36, 1.296e23),
    (Fraction(154, 100), 18, 1.6632e23),
    (Fraction(17, 10), 36, 3.672e23),
    (Fraction(25, 10), 12, 1.8e23),
    (Fraction(26, 10), 10, 1.56e23),
]


@pytest.mark.parametrize(("billions", "trillions", "flop"), EXAMPLES)
def test_6nd_gives_the_guidelines_examples(billions: Fraction, trillions: Fraction, flop: float) -> None:
    assert float(flop_from_parameters(billions * 10**9, trillions * 10**12)) == flop


def test_hardware_gives_the_guidelines_examples() -> None:
    """Model H states 6.5e23 with a peak of 9.89e14; ours is 9.894e14. Model B rounds the A100 peak to 3e14."""
    assert flop_from_hardware("h100", 370_000, Fraction(1, 2)) == 370_000 * 3600 * 9894 * 10**11 // 2
    assert abs(flop_from_hardware("h100", 370_000, Fraction(1, 2)) / 6.587e23 - 1) < 0.001
    assert abs(flop_from_hardware("a100", 200_000, Fraction(1, 2)) / 1.08e23 - 1) < 0.05


def test_epochs_and_count_multiply() -> None:
    assert flop_from_parameters(26 * 10**8, 61 * 10**9, epochs=164) == 6 * 26 * 10**8 * 61 * 10**9 * 164
    assert flop_from_hardware("a100", 10, Fraction(1, 2), count=1000) == flop_from_hardware(
        "a100", 10_000, Fraction(1, 2)
    )


def test_the_result_is_exact_and_an_int_where_whole() -> None:
    assert flop_from_parameters(3, Fraction(1, 2)) == 9
    assert isinstance(flop_from_parameters(3, Fraction(1, 2)), int)
    assert flop_from_parameters(3, Fraction(1, 7)) == Fraction(18, 7)
    assert flop_from_parameters(10**12, 10**15) == 6 * 10**27


def test_a_petaflop_day() -> None:
    assert PETAFLOP_DAY == 864 * 10**17
