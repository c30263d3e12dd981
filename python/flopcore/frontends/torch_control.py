"""Control flow of PyTorch's higher-order operators, as loops, scans and branches of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flopcore.expr import Dim, Expr
from flopcore.graph import DimLike, Graph, Tensor

from .unsupported import NotCountable

if TYPE_CHECKING:
    from torch.fx import GraphModule

__all__: list[str] = []

Results = list[Any]


class Regions(Protocol):
    """What the importer of a program can do about the graphs inside of it."""

    @property
    def graph(self) -> Graph:
        """The graph that nodes are added to now."""
        ...

    def written_out(self, body: GraphModule, arguments: Sequence[Any]) -> Results:
        """Return the results of a body whose nodes are put where its call stands."""
        ...

    def block(
        self, name: str, body: GraphModule, arguments: Sequence[Any], shapes: Mapping[int, Sequence[DimLike]]
    ) -> tuple[Graph, Results]:
        """Return a finished subgraph and what the body gives, the tensors of which are its outputs.

        Its inputs are the tensors among the arguments, in their order; `shapes` has those that differ inside, by place.
        """
        ...

    def trips(self) -> Dim:
        """Return a new dim: how often a loop runs whose end the data tells."""
        ...

    def content(self, tensor: Tensor) -> Any:
        """Return what stands in a tensor as lists of numbers, None if that is not known."""
        ...


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    return [each for each in values if isinstance(each, Tensor)]


def _flat(values: Any) -> list[Any]:
    return list(values) if isinstance(values, tuple | list) else [values]


def _cond(regions: Regions, args: Sequence[Any]) -> Results:
    """One of two bodies; a condition on sizes that holds or fails within their bounds leaves one."""
    condition, if_true, if_false = args[:3]
    operands = _flat(args[3]) if len(args) > 3 else []
    if isinstance(condition, bool):
        return regions.written_out(if_true if condition else if_false, operands)
    arms = [
        (regions.block(name, body, operands, {})[0], _tensors(operands))
        for name, body in (("true", if_true), ("false", if_false))
    ]
    return list(regions.graph.cond(arms, scope="cond", origin="torch:cond"))


def _while_loop(regions: Regions, args: Sequence[Any]) -> Results:
    """A test before each run and one after the last; sizes that it carries cannot be followed."""
    condition, body, state = args[0], args[1], _flat(args[2])
    invariants = _flat(args[3]) if len(args) > 3 else []
    if len(_tensors(state)) != len(state):
        raise NotCountable("a loop that carries sizes")
    trips, operands = regions.trips(), [*state, *invariants]
    tests = trips + 1
    assert isinstance(tests, Expr)
    tested, _ = regions.block("condition", condition, operands, {})
    done, _ = regions.block("while", body, operands, {})
    graph = regions.graph
    graph.call(tested, _tensors(operands), times=tests, params="shared", scope="while", origin="torch:while_loop")
    return list(
        graph.loop(done, state, times=trips, invariants=_tensors(invariants), scope="while", origin="torch:while_loop")
    )


def _scan(regions: Regions, args: Sequence[Any]) -> Results:
    """A body over the entries of tensors along their first dim."""
    body, carries, xs = args[0], _flat(args[1]), _flat(args[2])
    invariants = _flat(args[3]) if len(args) > 3 else []
    operands = [*carries, *xs, *invariants]
    slices = {len(carries) + i: x.shape[1:] for i, x in enumerate(xs)}
    block, _ = regions.block("scan", body, operands, slices)
    return list(
        regions.graph.scan(block, carries, xs, invariants=_tensors(invariants), scope="scan", origin="torch:scan")
    )


def _map(regions: Regions, args: Sequence[Any]) -> Results:
    return _scan(regions, [args[0], [], *args[1:]])


def _associative_scan(regions: Regions, args: Sequence[Any]) -> Results:
    """Every entry joined with what came before: one join fewer than entries, in whichever order."""
    body, xs = args[0], _flat(args[1])
    invariants = _flat(args[2]) if len(args) > 2 else []
    size = xs[0].shape[0]
    inner = [*(x.shape[1:] for x in xs)] * 2
    block, _ = regions.block("combine", body, [*xs, *xs, *invariants], dict(enumerate(inner)))
    graph = regions.graph
    entry = [graph.constant(x.shape[1:], x.dtype, origin="torch:associative_scan") for x in xs]
    graph.call(
        block,
        [*entry, *entry, *_tensors(invariants)],
        times=size - 1,
        params="shared",
        scope="associative_scan",
        origin="torch:associative_scan",
    )
    return [graph.constant(x.shape, x.dtype, origin="torch:associative_scan") for x in xs]


def _body_first(place: int) -> Callable[[Regions, Sequence[Any]], Results]:
    """Return the rule of an operator that only calls a body with other settings: no gradient, autocast, checkpoint."""
    return lambda regions, args: regions.written_out(args[place], args[place + 1 :])


def _named_region(regions: Regions, args: Sequence[Any]) -> Results:
    return regions.written_out(args[0], args[2:])


def _hinted(regions: Regions, args: Sequence[Any]) -> Results:
    return regions.written_out(args[0], _flat(args[1]))


CONTROL: Mapping[str, Callable[[Regions, Sequence[Any]], Results]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
    "associative_scan": _associative_scan,
    "wrap": _body_first(0),
    "wrap_activation_checkpoint": _body_first(0),
    "tag_activation_checkpoint": _body_first(0),
    "wrap_with_set_grad_enabled": _body_first(1),
    "wrap_with_autocast": _body_first(4),
    "invoke_subgraph": _named_region,
    "hints_wrapper": _hinted,
}
