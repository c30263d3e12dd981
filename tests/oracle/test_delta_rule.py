"""The gated delta rule in chunks, carried out on numbers: the recurrence's result, and the multiply-adds we count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import flopcore as fc

Matrix = NDArray[np.float64]


class Products:
    """Dot products that are counted by their length."""

    def __init__(self) -> None:
        self.macs = 0

    def dot(self, a: Matrix, b: Matrix) -> float:
        self.macs += len(a)
        return float(a @ b)

    def matmul(self, a: Matrix, b: Matrix) -> Matrix:
        return np.array([[self.dot(row, column) for column in b.T] for row in a]).reshape(len(a), b.shape[1])

    def lower(self, a: Matrix, b: Matrix) -> Matrix:
        """A product whose left operand is lower triangular."""
        return np.array([[self.dot(row[: i + 1], column[: i + 1]) for column in b.T] for i, row in enumerate(a)])


def recurrence(q: Matrix, k: Matrix, v: Matrix, beta: Matrix, decay: Matrix) -> Matrix:
    state, rows = np.zeros((k.shape[1], v.shape[1])), []
    for i in range(len(q)):
        state = np.exp(decay[i]) * state
        state = state + np.outer(k[i], beta[i] * (v[i] - k[i] @ state))
        rows.append(q[i] @ state)
    return np.array(rows)


def chunked(q: Matrix, k: Matrix, v: Matrix, beta: Matrix, decay: Matrix, chunk: int, count: Products) -> Matrix:
    """Yang et al. 2024, arXiv 2406.06484, section 3.2, with decays."""
    state, rows = np.zeros((k.shape[1], v.shape[1])), []
    for start in range(0, len(q), chunk):
        part = slice(start, start + chunk)
        qs, ks, vs, scale, total = q[part], k[part], v[part], beta[part], np.exp(np.cumsum(decay[part]))
        n = len(qs)
        a, p, inverse = np.zeros((n, n)), np.zeros((n, n)), np.eye(n)
        for i in range(n):
            for j in range(i + 1):
                p[i, j] = count.dot(qs[i], ks[j]) * total[i] / total[j]
            for j in range(i):
                a[i, j] = scale[i] * count.dot(ks[i], ks[j]) * total[i] / total[j]
        for i in range(n):
            for j in range(i):
                inverse[i, j] = -a[i, j] - count.dot(a[i, j + 1 : i], inverse[j + 1 : i, j])
        t = inverse * scale
        w = count.lower(t, ks * total[:, None])
        u = count.lower(t, vs) - count.matmul(w, state)
        rows.append(count.matmul(qs * total[:, None], state) + count.lower(p, u))
        state = total[-1] * state + count.matmul((ks * (total[-1] / total)[:, None]).T, u)
    return np.concatenate(rows)


@pytest.mark.parametrize(("length", "chunk"), [(12, 4), (11, 4), (5, 8), (6, 1)])
def test_chunks_give_the_recurrence_in_the_multiply_adds_that_are_counted(length: int, chunk: int) -> None:
    generator = np.random.default_rng(7)
    q, k, v = (generator.standard_normal((length, size)) / 2 for size in (3, 3, 5))
    beta, decay = generator.random(length), -generator.random(length)
    count = Products()
    found = chunked(q, k, v, beta, decay, chunk, count)
    np.testing.assert_allclose(found, recurrence(q, k, v, beta, decay), rtol=1e-9)

    graph = fc.Graph()
    shapes = [(1, length, 1, 3), (1, length, 1, 3), (1, length, 1, 5), (1, length, 1), (1, length, 1)]
    graph.op("gated_delta_rule", [graph.input(f"x{i}", shape) for i, shape in enumerate(shapes)], {"chunk": chunk})
    macs = fc.convention("macs")
    causal = replace(macs, extents={**macs.extents, "causal": "used"})
    assert fc.count(graph).flop(causal) == count.macs
