"""Decoding T tokens after a prompt of P is one closed form, sliding windows included: the explicit sum over steps."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore.reference import count, price

HEADS, KV_HEADS, SIZE = 4, 2, 3


def step(past: fc.Dim, window: fc.Dim | int | None, sinks: int, *, chunked: bool = False) -> fc.Graph:
    """One token of one layer, over a cache of so many; it sees a window of them, or those of its chunk."""
    graph = fc.Graph()
    width = HEADS * SIZE
    x = graph.input("x", (1, 1, width))

    def heads(name: str, n: int) -> fc.Tensor:
        projected = graph.linear(x, graph.parameter(name, (n * SIZE, width)))
        return graph.transpose(graph.reshape(projected, (1, 1, n, SIZE)), (0, 2, 1, 3))

    q, k, v = heads("q", HEADS), heads("k", KV_HEADS), heads("v", KV_HEADS)
    cache = [graph.input(name, (1, KV_HEADS, past, SIZE)) for name in ("past_k", "past_v")]
    attrs: dict[str, object] = {"causal": "bottom_right", "sink_tokens": sinks}
    if window is not None:
        attrs |= {"chunk": window} if chunked else {"window_left": window - 1}
    y = graph.op("attention", [q, k, v, None, None, *cache], attrs)  # type: ignore[arg-type]
    graph.output(y)
    return graph


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 40), st.integers(0, 40), st.one_of(st.none(), st.integers(1, 30)), st.integers(0, 3), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_decoding_is_the_sum_over_its_steps(
    prompt: int, tokens: int, window: int | None, sinks: int, named_window: bool, chunked: bool
) -> None:
    past = fc.dim("past", min=0)
    size = fc.dim("window") if named_window and window is not None else window
    graph = step(past, size, sinks, chunked=chunked)
    one = fc.count(graph).flop("all-arithmetic")
    first, more = fc.dim("prompt", min=0), fc.dim("tokens", min=0)
    whole = fc.sum_over(one, past, first, first + more)
    at = {"prompt": prompt, "tokens": tokens} | ({"window": window} if isinstance(size, fc.Dim) else {})
    value = whole.value(at, on_unknown="ignore") if isinstance(whole, fc.Expr) else whole
    steps: int | Fraction = 0
    for length in range(prompt, prompt + tokens):
        bound = {"past": length} | ({"window": window} if isinstance(size, fc.Dim) else {})
        steps += fc.count(graph, at=bound).flop("all-arithmetic")  # type: ignore[operator]
        if length == prompt:  # and the reference says the same of a step
            assert price(count(graph.to_dict(), at=bound), fc.convention("all-arithmetic")) == fc.count(
                graph, at=bound
            ).flop("all-arithmetic")
    assert value == steps


def test_a_window_closes_in_polynomials() -> None:
    past = fc.dim("past", min=0)
    one = fc.count(step(past, 16, 0)).flop("all-arithmetic")
    whole = fc.sum_over(one, past, 0, fc.dim("tokens", min=0))
    assert "sum" not in str(whole)


def test_chunks_close_in_whole_ones_and_the_rest() -> None:
    """S = q C + r queries over themselves leave q C (C + 1) / 2 + r (r + 1) / 2 scores, in one part or in two."""
    seq, chunk, past = fc.dim("seq"), fc.dim("chunk"), fc.dim("past", min=0)

    def scores(lengths: tuple[fc.Dim, ...]) -> fc.Expr:
        graph = fc.Graph()
        q, *kept = (graph.input(f"x{i}", (1, 1, length, 1)) for i, length in enumerate(lengths))
        y = graph.attention(q, q, q, causal="bottom_right", chunk=chunk, past=(kept[0], kept[0]) if kept else None)
        graph.output(y)
        (row,) = (row for row in fc.count(graph).rows() if row.feature == "exp")
        used = row.extents[0].used
        assert isinstance(used, fc.Expr)
        return used

    whole, rest = seq // chunk, seq - seq // chunk * chunk
    assert scores((seq,)) == whole * (chunk * (chunk + 1)) / 2 + rest * (rest + 1) / 2
    for parts, size in (((5, 3), 4), ((0, 7), 3), ((6, 6), 4), ((1, 11), 30)):
        all_at_once = scores((seq,)).value({"seq": sum(parts), "chunk": size})
        later = scores((seq, past)).value({"seq": parts[1], "past": parts[0], "chunk": size})
        assert later + scores((seq,)).value({"seq": max(parts[0], 1), "chunk": size}) * (parts[0] > 0) == all_at_once
