"""Values at many points have the same bits on every instruction set and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import flopcore as fc
from flopcore import _core

A, B, C = fc.dim("a"), fc.dim("b", multiple_of=2), fc.dim("c", min=-50)
EXPR = (
    A**3 * B - 7 * A * B**2 * C + 5 * fc.ceildiv(A * C, B + 1) + fc.minimum(A, 3 * B, fc.maximum(C, 9)) / 3 + A * C // 7
)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 63, 64, 65, 127, 128, 129, 1023, 40_001])
def test_columns_are_the_same_bits_everywhere(n: int) -> None:
    rng = np.random.default_rng(n)
    at = {"a": rng.integers(1, 10**6, n), "b": 2 * rng.integers(1, 10**5, n), "c": rng.integers(-50, 10**6, n)}
    before = _core.isa()
    try:
        results = set()
        for isa in _core.available_isas():
            _core.select_isa(isa)
            results |= {EXPR.evaluate(at, threads=threads).tobytes() for threads in (1, 2, 3)}
    finally:
        _core.select_isa(before)
    assert len(results) == 1


def test_integers_of_63_bits_convert_as_numpy_converts_them() -> None:
    wide = fc.dim("wide", min=-(2**62), max=2**62 - 1)
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.integers(-(2**62), 2**62, 4000), 2 ** np.arange(62), 1 - 2 ** np.arange(62), [0]])
    before = _core.isa()
    try:
        for isa in _core.available_isas():
            _core.select_isa(isa)
            assert (wide * 1).evaluate({"wide": values}).tobytes() == values.astype(np.float64).tobytes()
    finally:
        _core.select_isa(before)
