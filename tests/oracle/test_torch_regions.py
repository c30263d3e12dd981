"""Regions of `vmap` and FlexAttention in exports; FlopCounterMode, and blocks counted by hand, are the oracles."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flopcore as fc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
    flop_counter = pytest.importorskip("torch.utils.flop_counter", reason="needs the extra 'oracle'")
    flex = pytest.importorskip("torch.nn.attention.flex_attention", reason="needs the extra 'oracle'")
pytestmark = pytest.mark.slow  # dynamo, which traces the bodies, takes seconds to load
nn = torch.nn
zeros = torch.zeros


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Function(nn.Module):  # type: ignore[misc, name-defined]
    """A function of a layer and inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(4, 5)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self.layer, *inputs)


VMAPPED: list[tuple[Callable[..., Any], tuple[Any, ...], int]] = [
    (lambda layer, x: torch.vmap(lambda y: layer(y) @ torch.ones(5, 3))(x), (zeros(7, 2, 4),), 7 * 2 * (20 + 15)),
    (lambda layer, x: torch.vmap(lambda w: x @ w.T)(layer.weight.expand(3, 5, 4)), (zeros(2, 4),), 3 * 2 * 20),
    (lambda _, x, y: torch.vmap(torch.vmap(torch.dot, (None, 0)), (0, None))(x, y), (zeros(7, 4), zeros(5, 4)), 140),
]


@pytest.mark.parametrize(("function", "inputs", "macs"), VMAPPED, ids=["layer", "ensemble", "nested"])
def test_vmap_is_the_batched_computation(function: Callable[..., Any], inputs: tuple[Any, ...], macs: int) -> None:
    module = Function(function)
    with flop_counter.FlopCounterMode(display=False) as counter:
        module(*inputs)
    tally = fc.count(fc.from_torch(module, inputs))
    assert (tally.flop("macs"), tally.flop("torch-2.13")) == (macs, counter.get_total_flops())


def test_transforms_that_torch_cannot_write_out_are_an_error_with_a_remedy() -> None:
    with pytest.raises(fc.DataError, match=r"torch cannot .*flopcore\.record_torch records"):
        fc.from_torch(Function(lambda _, x: torch.func.jacrev(lambda z: (z @ z.T).sum(0))(x)), (zeros(3, 4),))


HEADS, WIDTH = 4, 16


def causal(b: Any, h: Any, q: Any, k: Any) -> Any:
    return q >= k


def blocks(mask: Any, seq: int, heads: int | None = None) -> Any:
    return flex.create_block_mask(mask, None, heads, seq, seq, device="cpu")


def attended(seq: int, mask: Any = None, score: Any = None, *, kv_heads: int = HEADS) -> fc.Tally:
    q, k = zeros(2, HEADS, seq, WIDTH), zeros(2, kv_heads, seq, WIDTH)

    def attend(_: Any, q: Any, k: Any, v: Any) -> Any:
        made = mask(q) if callable(mask) else mask
        return flex.flex_attention(q, k, v, score_mod=score, block_mask=made, enable_gqa=kv_heads != HEADS)

    return fc.count(fc.from_torch(Function(attend), (q, k, k)))


# Scores of a head that the blocks hold, 128 to a side, out of 512 x 512 unless said; how it is known.
MASKS: list[tuple[str, int, Callable[[], Any], tuple[int, str]]] = [
    ("constant", 512, lambda: blocks(causal, 512), (10 * 128**2, "exact")),
    ("made of sizes", 512, lambda: lambda q: blocks(causal, q.shape[2]), (10 * 128**2, "exact")),
    ("window", 512, lambda: blocks(lambda b, h, q, k: (q >= k) & (q - k < 100), 512), (7 * 128**2, "exact")),
    (
        "of each head",
        512,
        lambda: blocks(lambda b, h, q, k: (q >= k) & (q - k < 100 + 400 * (h > 1)), 512, HEADS),
        ((7 + 10) * 128**2 // 2, "expected"),
    ),
    ("cut at the edge", 500, lambda: blocks(causal, 500), (128 * (128 + 256 + 384) + 116 * 500, "expected")),
]


@pytest.mark.parametrize(("seq", "mask", "expected"), [case[1:] for case in MASKS], ids=[case[0] for case in MASKS])
def test_flex_attention_computes_the_blocks_of_its_mask(
    seq: int, mask: Callable[[], Any], expected: tuple[int, str]
) -> None:
    tally = attended(seq, mask())
    (scores,) = (row.extents[0] for row in tally.rows() if row.op == "attention" and row.feature == "mac")
    assert (scores.nominal, (scores.used, scores.grade)) == (seq**2, expected)
    assert tally.flop("torch-2.13") == 2 * 2 * 2 * HEADS * seq**2 * WIDTH


def test_functions_of_scores_and_masks_run_where_they_are_asked() -> None:
    by_module = attended(512, blocks(causal, 512), lambda s, b, h, q, k: s + (q - k) * h, kv_heads=2).flop(
        "all-arithmetic", by="module"
    )
    computed, in_part = 2 * HEADS * 10 * 128**2, 2 * HEADS * 4 * 128**2  # whole blocks need no mask
    assert by_module[f"score.[0..{computed - 1}]"] == 3 * computed
    assert by_module[f"mask.[0..{in_part - 1}]"] == in_part


def test_a_mask_of_data_is_counted_as_a_bound() -> None:
    def by_document(_: Any, x: Any, document: Any) -> Any:
        mask = flex.create_block_mask(lambda b, h, q, k: document[q] == document[k], None, None, 256, 256, device="cpu")
        return flex.flex_attention(x, x, x, block_mask=mask)

    found = fc.from_torch(Function(by_document), (zeros(1, 2, 256, WIDTH), zeros(256, dtype=torch.long)))
    tally = fc.count(found)
    assert tally.flop("macs") == 2 * 2 * 256 * 256 * WIDTH
    assert not [row for row in tally.rows() if row.op == "attention" and row.extents]
