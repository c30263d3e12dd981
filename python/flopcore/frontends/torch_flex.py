"""FlexAttention of PyTorch: attention over the blocks of a mask, with functions of a score and of its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from flopcore.graph import AttrValue, DimLike, Tensor

from .torch_control import Regions, Results

__all__: list[str] = []

_ORIGIN = "torch:flex_attention"
_NO_BLOCKS = 2**30  # the side of a block where no mask is given


@dataclass(frozen=True, slots=True)
class _Seen:
    """Scores that blocks hold, over all heads and samples: all that are computed, and those where the mask is asked."""

    computed: DimLike | Fraction
    asked: DimLike | Fraction
    attrs: dict[str, AttrValue]


def flex_attention(regions: Regions, args: Sequence[Any]) -> Results:
    """Attention over the scores in blocks that the mask leaves, and the function that changes a score once for each.

    Which blocks these are is known of a mask that is a constant or made of sizes alone; otherwise all are taken, which
    is a bound. The mask is asked for each score of the blocks that it leaves in part.
    """
    q, k, v, score, mask = args[:5]
    graph = regions.graph
    seen = _seen(regions, q, k, mask)
    found = graph.op("attention", [q, k, v], seen.attrs, origin=_ORIGIN)
    statistic = [graph.constant(q.shape[:-1], "float32", origin=_ORIGIN) for _ in range(2)]
    places = [graph.constant((), "int32", origin=_ORIGIN) for _ in range(4)]
    one = graph.constant((), q.dtype, origin=_ORIGIN)
    buffers = [list(args[place]) if len(args) > place else [] for place in (7, 8)]
    for name, body, inputs, times in (
        ("score", score, [one, *places, *buffers[0]], seen.computed),
        ("mask", mask[-1], [*places, *buffers[1]], seen.asked),
    ):
        block, _ = regions.block(name, body, inputs, {})
        tensors = [each for each in inputs if isinstance(each, Tensor)]
        times = (
            int(times) if isinstance(times, Fraction) else times
        )  # whole, as blocks are given for each head or for all
        graph.call(block, tensors, times=times, params="shared", scope=name, origin=_ORIGIN)
    return [found, *statistic]


def _seen(regions: Regions, q: Tensor, k: Tensor, mask: Sequence[Any]) -> _Seen:
    rows, columns, heads = q.shape[-2], k.shape[-2], prod(q.shape[:-2])
    high, wide = mask[-3:-1]
    everything = heads * rows * columns
    if high == wide == _NO_BLOCKS:
        return _Seen(everything, 0, {})
    contents = [None if each is None else regions.content(each) for each in mask[2:6]]
    if contents[0] is None or contents[1] is None or not isinstance(rows, int) or not isinstance(columns, int):
        return _Seen(everything, everything, {})
    sides = (rows, high, columns, wide)
    in_part = list(_areas(contents[0], contents[1], sides))
    whole = list(_areas(contents[2], contents[3], sides)) if contents[2] is not None else [0]
    copies = max(len(in_part), 1)
    computed, asked = Fraction(sum(in_part) + sum(whole), copies), Fraction(sum(in_part), copies)  # of a head
    attrs: dict[str, AttrValue] = {"density": computed / (rows * columns)}
    if high == wide and rows % high == columns % wide == 0 and (computed / high**2).denominator == 1:
        attrs = {"blocks": int(computed / high**2), "block": high}
    return _Seen(heads * computed, heads * asked, attrs)


def _areas(numbers: Any, places: Any, sides: tuple[int, int, int, int]) -> Iterator[int]:
    """Yield the scores in the blocks of each head: how many blocks a row of blocks has, and which; edges are cut."""
    rows, high, columns, wide = sides
    for sample, sample_places in zip(numbers, places, strict=True):
        for head, head_places in zip(sample, sample_places, strict=True):
            yield sum(
                max(min(high, rows - high * row), 0) * max(min(wide, columns - wide * place), 0)
                for row, (number, listed) in enumerate(zip(head, head_places, strict=True))
                for place in listed[:number]
            )
