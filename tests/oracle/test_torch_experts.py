"""Active parameters of mixtures of experts as people write them: k of E experts, or an error that says so."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

import flopcore as fc
from flopcore.report.documents import count_document
from flopcore.report.tables import _parameters

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
nn, F = torch.nn, torch.nn.functional
WIDTH, INNER, EXPERTS, CHOSEN, TOKENS = 16, 24, 3, 2, 10
DENSE = WIDTH * WIDTH + WIDTH + EXPERTS * WIDTH + WIDTH * 4 + 4
EXPERT = 2 * WIDTH * INNER + INNER + WIDTH


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Mixture(nn.Module):  # type: ignore[misc, name-defined]
    """Linear layer, experts beside a residual stream, linear layer; experts as modules and as tables."""

    def __init__(self, mix: Callable[[Any, Any], Any], tables: bool) -> None:
        super().__init__()
        self.mix = mix
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        if tables:
            self.up, self.up_bias = (nn.Parameter(torch.empty(EXPERTS, *shape)) for shape in ((WIDTH, INNER), (INNER,)))
            self.down, self.down_bias = (
                nn.Parameter(torch.empty(EXPERTS, *shape)) for shape in ((INNER, WIDTH), (WIDTH,))
            )
        else:
            self.experts = nn.ModuleList(
                nn.Sequential(nn.Linear(WIDTH, INNER), nn.ReLU(), nn.Linear(INNER, WIDTH)) for _ in range(EXPERTS)
            )

    def forward(self, x: Any) -> Any:
        hidden = self.first(x)
        return self.last(hidden + self.mix(self, hidden))

    def gates(self, x: Any) -> Any:
        """One number for each expert, 0 of those that are not chosen."""
        values, places = self.router(x).topk(CHOSEN, -1)
        return torch.zeros(x.shape[0], EXPERTS, device=x.device).scatter(1, places, values.softmax(-1))


def rows_of_each(m: Any, x: Any) -> Any:
    values, places = m.router(x).softmax(-1).topk(CHOSEN, -1)
    found = torch.zeros_like(x)
    for i, expert in enumerate(m.experts):
        rows, slots = torch.where(places == i)
        found.index_add_(0, rows, expert(x[rows]) * values[rows, slots, None])
    return found


def rows_by_one_hot(m: Any, x: Any) -> Any:
    values, places = m.router(x).softmax(-1).topk(CHOSEN, -1)
    masks, found = F.one_hot(places, EXPERTS).permute(2, 1, 0), torch.zeros_like(x)
    for i, expert in enumerate(m.experts):
        slots, rows = torch.where(masks[i])
        found.index_add_(0, rows, expert(x[rows]) * values[rows, slots, None])
    return found


def masked(m: Any, x: Any) -> Any:
    gates = m.gates(x)
    return sum(gates[:, i : i + 1] * expert(x) for i, expert in enumerate(m.experts))


def best_one(m: Any, x: Any) -> Any:
    value, place = m.router(x).softmax(-1).max(-1)
    return sum(torch.where((place == i)[:, None], each(x), 0.0) for i, each in enumerate(m.experts)) * value[:, None]


def stacked(m: Any, x: Any) -> Any:
    return torch.einsum("ne,neh->nh", m.gates(x), torch.stack([expert(x) for expert in m.experts], 1))


def picked_tables(m: Any, x: Any) -> Any:
    values, places = m.router(x).topk(CHOSEN, -1)
    places = places.flatten()
    rows = x.repeat_interleave(CHOSEN, 0)[:, None]
    inner = torch.relu(torch.bmm(rows, m.up[places]) + m.up_bias[places][:, None])
    found = torch.bmm(inner, m.down[places]) + m.down_bias[places][:, None]
    return (found.view(-1, CHOSEN, WIDTH) * values[..., None]).sum(1)


def all_tables(m: Any, x: Any) -> Any:
    inner = torch.relu(torch.einsum("nh,ehf->nef", x, m.up) + m.up_bias)
    found = torch.einsum("nef,efh->neh", inner, m.down) + m.down_bias
    return (found * m.gates(x)[..., None]).sum(1)


def with_capacity(m: Any, x: Any) -> Any:
    scores = m.router(x).softmax(-1)
    mask = F.one_hot(scores.argmax(-1), EXPERTS)
    slots = F.one_hot(((mask.cumsum(0) - 1) * mask).clamp(max=3), 4) * mask[..., None]
    sent = torch.einsum("nec,nh->ech", slots.to(x.dtype), x)
    found = torch.bmm(torch.relu(torch.bmm(sent, m.up) + m.up_bias[:, None]), m.down) + m.down_bias[:, None]
    return torch.einsum("nec,ech->nh", slots * scores[..., None], found)


FOLLOWED: list[tuple[Callable[[Any, Any], Any], int]] = [
    (rows_of_each, CHOSEN),
    (rows_by_one_hot, CHOSEN),
    (masked, CHOSEN),
    (best_one, 1),
    (stacked, CHOSEN),
    (picked_tables, CHOSEN),
    (all_tables, CHOSEN),
    (with_capacity, 1),
]


def graph(mix: Callable[[Any, Any], Any], *, tables: bool = False) -> fc.Graph:
    return fc.from_torch(Mixture(mix, tables).to("meta"), (torch.empty(TOKENS, WIDTH, device="meta"),))


@pytest.mark.parametrize(("mix", "chosen"), FOLLOWED, ids=[case[0].__name__ for case in FOLLOWED])
def test_the_experts_that_a_token_is_sent_to_are_active(mix: Callable[[Any, Any], Any], chosen: int) -> None:
    tables = "tables" in mix.__name__ or mix is with_capacity
    found = graph(mix, tables=tables)
    assert found.unknown_routers == []
    assert (found.parameters, found.active_parameters) == (DENSE + EXPERTS * EXPERT, DENSE + chosen * EXPERT)


def test_rows_that_the_data_tell_are_dims() -> None:
    counts = list(graph(rows_of_each).dims)
    assert len(counts) == EXPERTS
    macs = fc.count(graph(rows_of_each)).flop("macs", at=dict.fromkeys(counts, 5))
    assert macs == TOKENS * (WIDTH * WIDTH + EXPERTS * WIDTH + 4 * WIDTH) + 5 * EXPERTS * 2 * WIDTH * INNER


def by_sorting(m: Any, x: Any) -> Any:
    values, places = m.router(x).sort(-1, descending=True)
    gates = torch.zeros(x.shape[0], EXPERTS, device=x.device)
    gates = gates.scatter(1, places[:, :CHOSEN], values[:, :CHOSEN])
    return sum(gates[:, i : i + 1] * expert(x) for i, expert in enumerate(m.experts))


def with_one_for_two(m: Any, x: Any) -> Any:
    experts = [*m.experts[:-1], m.experts[0]]
    return torch.einsum("ne,neh->nh", m.gates(x), torch.stack([expert(x) for expert in experts], 1)[:, :, :WIDTH])


@pytest.mark.parametrize("mix", [by_sorting, with_one_for_two])
def test_a_router_that_cannot_be_followed_is_an_error_when_asked(mix: Callable[[Any, Any], Any]) -> None:
    found = graph(mix)
    tally = fc.count(found)
    assert len(found.unknown_routers) == 1
    assert tally.unknown_routers == tuple(found.unknown_routers)
    for asked in (found, tally):
        with pytest.raises(fc.DataError, match="is not known, so neither is the number of active"):
            _ = asked.active_parameters
    assert fc.module_tree(found).active_parameters is None


@pytest.mark.slow  # dynamo, which traces the bodies, takes seconds to load
def test_a_router_in_a_branch_is_not_known() -> None:
    found = graph(lambda m, x: torch.cond(x.sum() > 0, lambda y: masked(m, y), lambda y: y * 2, (x,)))
    assert len(found.unknown_routers) == 1
    with pytest.raises(fc.DataError, match="is not known"):
        _ = found.active_parameters


def test_groups_from_outside_are_not_known() -> None:
    class Sent(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.empty(EXPERTS, WIDTH, WIDTH, dtype=torch.bfloat16))

        def forward(self, x: Any, ends: Any) -> Any:
            return torch._grouped_mm(x, self.table, ends)

    x, ends = torch.empty(TOKENS, WIDTH, dtype=torch.bfloat16), torch.empty(EXPERTS, dtype=torch.int32)
    assert len(fc.from_torch(Sent().to("meta"), (x.to("meta"), ends.to("meta"))).unknown_routers) == 1


def test_choices_that_are_no_routers_leave_all_parameters_active() -> None:
    def best_classes(m: Any, x: Any) -> Any:
        return m.router(x).topk(CHOSEN, -1)[1][:, :1] * 0

    def best_rows(m: Any, x: Any) -> Any:
        return m.experts[0](x[x.sum(-1).topk(4)[1]]).sum(0)

    def sparse_code(m: Any, x: Any) -> Any:
        inner = torch.relu(m.experts[0][0](x))
        values, places = inner.topk(4, -1)
        return m.experts[0][2](torch.zeros_like(inner).scatter(1, places, values))

    for mix in (best_classes, best_rows, sparse_code):
        found = graph(mix)
        assert found.unknown_routers == []
        assert found.active_parameters == found.parameters


def test_a_recording_follows_routers_too() -> None:
    module, x = Mixture(picked_tables, True), torch.zeros(TOKENS, WIDTH)
    with fc.record_torch() as found:
        module(x).sum().backward()
    assert found.active_parameters == DENSE + Fraction(CHOSEN, EXPERTS) * EXPERTS * EXPERT


def test_tables_and_documents_say_what_is_not_known() -> None:
    macs = fc.convention("macs")
    document = count_document(
        "m", macs, 1, 1, parameters=1234, active=None, by={}, unsupported={}, dims={}, verified=None
    )
    assert _parameters(document) == "1,234, active not known"
