"""Decoding T tokens after a prompt of P is one closed form, sliding windows included: the explicit sum over steps."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore.reference import count, price

HEADS, KV_HEADS, SIZE = 4, 2, 3


def step(past: fc.Dim, window: fc.Dim | int | None, sinks: int) -> fc.Graph:
    """One token of one layer, over a cache of so many."""
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
        attrs["window_left"] = window - 1
    y = graph.op("attention", [q, k, v, None, None, *cache], attrs)  # type: ignore[arg-type]
    graph.output(y)
    return graph


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 40), st.integers(0, 40), st.one_of(st.none(), st.integers(1, 30)), st.integers(0, 3), st.booleans()
)
def test_decoding_is_the_sum_over_its_steps(
    prompt: int, tokens: int, window: int | None, sinks: int, named_window: bool
) -> None:
    past = fc.dim("past", min=0)
    size = fc.dim("window") if named_window and window is not None else window
    graph = step(past, size, sinks)
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
