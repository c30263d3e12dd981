"""The functions of ops.toml over windows and masks count what a loop over everything counts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from flopcore.reference.expression import inside_taps, same_begin, visible_pairs, visible_rows

SMALL = st.integers(0, 9)
LIMIT = st.integers(-1, 9)


@given(SMALL, st.integers(1, 12), SMALL, *(st.integers(1, 4) for _ in range(2)), SMALL)
def test_taps_inside(positions: int, size: int, kernel: int, stride: int, dilation: int, begin: int) -> None:
    places = (p * stride + t * dilation - begin for p, t in itertools.product(range(positions), range(kernel)))
    assert inside_taps(positions, size, kernel, stride, dilation, begin) == sum(0 <= place < size for place in places)


@given(st.integers(1, 20), *(st.integers(1, 5) for _ in range(3)))
def test_same_padding_is_what_the_last_window_needs(size: int, kernel: int, stride: int, dilation: int) -> None:
    upper = same_begin(size, kernel, stride, dilation, "same_upper")
    lower = same_begin(size, kernel, stride, dilation, "same_lower")
    positions, span = -(-size // stride), dilation * (kernel - 1) + 1
    needed = max((positions - 1) * stride + span - size, 0)
    assert upper + lower == needed
    assert 0 <= lower - upper <= 1


@given(SMALL, st.integers(1, 9), st.integers(-9, 9), LIMIT, LIMIT, st.integers(0, 4))
def test_scores_a_mask_leaves(rows: int, columns: int, offset: int, left: int, right: int, sinks: int) -> None:
    seen = [
        sum(
            (right < 0 or j <= i + offset + right) and (left < 0 or j >= i + offset - left or j < sinks)
            for j in range(columns)
        )
        for i in range(rows)
    ]
    extra = sinks if left >= 0 else 0
    assert visible_pairs(rows, columns, offset, left, right, extra, -1) == sum(seen)
    assert visible_rows(rows, columns, offset, left, right, extra, -1) == sum(n > 0 for n in seen)


@given(SMALL, st.integers(1, 9), st.integers(-9, 9), st.sampled_from((-1, 0)), st.integers(1, 9))
def test_scores_in_chunks(rows: int, columns: int, offset: int, right: int, chunk: int) -> None:
    seen = [
        sum((right < 0 or j <= i + offset) and j // chunk == (i + offset) // chunk for j in range(columns))
        for i in range(rows)
    ]
    assert visible_pairs(rows, columns, offset, -1, right, 0, chunk) == sum(seen)
    assert visible_rows(rows, columns, offset, -1, right, 0, chunk) == sum(n > 0 for n in seen)
