"""JAX functions as graphs, from their jaxpr: scans keep their length, shapes may be symbolic, nothing is compiled."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

from flopcore.errors import DataError, FlopcoreError, ShapeError, UnsupportedNodes
from flopcore.expr import Expr, dim, maximum, minimum
from flopcore.graph import DimLike, Graph, Tensor

from .jax_equation import Equation
from .jax_ops import HANDLERS
from .unsupported import NotCountable, OnUnsupported, Unsupported

__all__ = ["from_jax"]


def from_jax(
    fn: Callable[..., object],
    *avals: object,
    params: int | Sequence[int] = (),
    on_unsupported: OnUnsupported = "error",
) -> Graph:
    """Return the graph of one call of a JAX function, from its jaxpr.

    Parameters
    ----------
    fn
        The function. It is traced, not compiled or run.
    *avals
        Its arguments: arrays, `jax.ShapeDtypeStruct`, or trees of them. Sizes may be symbolic
        (`jax.export.symbolic_shape`) and then stay dims under their names.
    params
        Which arguments hold learned weights, by position: their leaves are parameters under the names of the tree.
    on_unsupported
        "list": primitives that cannot be counted are left out and listed in ``graph.unsupported``, which the tally and
        its explanation repeat; what reads their results is counted.

    Returns
    -------
    Graph
        Ops as the jaxpr has them, before XLA lowers and fuses them, those alone that a result needs. `lax.scan` is a
        loop of its length, `lax.cond` a branch, `lax.while_loop` a loop whose number of runs is a dim named ``trips``,
        ``trips_2`` ... What `jax.checkpoint` computes once more in a gradient is of phase ``recompute``.

    Raises
    ------
    ImportError
        If jax is not installed; the message names the extra.
    DataError
        If JAX cannot trace the function.
    UnsupportedNodes
        If primitives have no rule and they are not to be listed; `nodes` has them all by name and number.
    ShapeError
        If a shape is not the one that JAX infers.

    Notes
    -----
    XLA's `cost_analysis` counts the body of a scan once (4.9 % of a scanned Llama-7B); here it counts as often as it
    runs.

    Examples
    --------
    >>> import flopcore as fc
    >>> import jax, jax.numpy as jnp  # doctest: +SKIP
    >>> x = jax.ShapeDtypeStruct((32, 784), jnp.float32)  # doctest: +SKIP
    >>> w = jax.ShapeDtypeStruct((784, 10), jnp.float32)  # doctest: +SKIP
    >>> fc.count(fc.from_jax(lambda w, x: x @ w, w, x, params=0)).flop("macs")  # doctest: +SKIP
    250880
    """
    unsupported = Unsupported(on_unsupported)
    try:
        import jax
        from jax.interpreters import partial_eval
    except ImportError as error:
        raise ImportError("reading JAX functions needs jax: pip install 'flopcore[jax]'") from error
    name = getattr(fn, "__name__", type(fn).__name__)
    try:
        closed = jax.make_jaxpr(fn)(*avals)
    except FlopcoreError:
        raise
    except Exception as error:
        first = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise DataError(f"{name}: JAX cannot trace it: {first}") from error
    # What no result needs is not run under jit: the value beside a gradient, for one.
    needed, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True)
    closed = closed.replace(jaxpr=needed)
    chosen = {params} if isinstance(params, int) else set(params)
    if wrong := sorted(each for each in chosen if not 0 <= each < len(avals)):
        raise ValueError(f"params={wrong}: the function has arguments 0 to {len(avals) - 1}")
    names: list[tuple[str, bool]] = []
    for position, aval in enumerate(avals):
        for path, _ in jax.tree_util.tree_flatten_with_path(aval)[0]:
            parts = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
            names.append((".".join(parts) or f"arg{position}", position in chosen))
    try:
        return _Importer(name, unsupported).run(closed, names)
    except UnsupportedNodes as error:
        raise UnsupportedNodes(f"{name}: {error}", error.nodes) from error
    except FlopcoreError as error:
        raise type(error)(f"{name}: {error}") from error


_Env = dict[Any, Tensor]


class _Importer:
    """Builds one graph from a jaxpr and those inside it."""

    def __init__(self, name: str, unsupported: Unsupported) -> None:
        self._main = Graph(name)
        self._dims: dict[str, DimLike] = {}
        self._n_loops = 0
        self._unsupported = unsupported

    def run(self, closed: Any, names: Sequence[tuple[str, bool]]) -> Graph:
        env: _Env = {}
        for variable, (name, learned) in zip(closed.jaxpr.invars, names, strict=True):
            shape, dtype = self.shape(variable.aval), dtype_name(variable.aval.dtype)
            if learned:
                scope, _, last = name.rpartition(".")
                with self._main.scope(scope):
                    env[variable] = self._main.parameter(last, shape, dtype, origin="jax")
            else:
                env[variable] = self._main.input(name, shape, dtype, origin="jax")
        results = self._body(self._main, closed, env)
        self._unsupported.settle(self._main)
        self._main.output(*results)
        return self._main

    # ------------------------------------------------------------------------------------------------- shapes
    def shape(self, aval: Any) -> tuple[DimLike, ...]:
        """Return the shape of an abstract value; keys of random numbers are their two words."""
        shape = tuple(self.size(each) for each in aval.shape)
        return (*shape, 2) if str(aval.dtype).startswith("key<") else shape

    def size(self, value: Any) -> DimLike:
        """Return an int as it is, a symbolic size as an expression."""
        if isinstance(value, int):
            return value
        try:
            return int(value)
        except Exception:  # a symbolic size says in its own way that it is no number
            return self._expression(ast.parse(str(value), mode="eval").body)

    def _expression(self, node: ast.expr) -> DimLike:
        """Return a size that JAX writes as text, such as ``2*b + floordiv(t, 4)``."""
        found: object = None
        match node:
            case ast.Constant(value=int() as value):
                found = value
            case ast.Name(id=name):
                found = self._dims.setdefault(name, dim(name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = 0 - self._expression(operand)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self._expression(left), self._expression(right)
                match op:
                    case ast.Add():
                        found = a + b
                    case ast.Sub():
                        found = a - b
                    case ast.Mult():
                        found = a * b
                    case ast.Pow() if isinstance(b, int) and 0 <= b <= 64:
                        found = prod([a] * b, start=1)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                parts = [self._expression(each) for each in arguments]
                match name, parts:
                    case "floordiv", [a, b]:
                        found = a // b
                    case "mod", [a, b]:
                        found = a - b * (a // b)
                    case "max", _:
                        found = maximum(*parts)
                    case "min", _:
                        found = minimum(*parts)
                    case "non_negative", [a]:
                        found = maximum(a, 0)
        if isinstance(found, int | Expr):
            return found
        raise DataError(f"a size of JAX's, {ast.unparse(node)}, has an unknown form")

    def same(self, a: DimLike, b: DimLike) -> bool:
        """Return whether two sizes are equal, as expressions or at several values of their dims."""
        difference = a - b
        if not isinstance(difference, Expr):
            return difference == 0
        return all(
            difference.at({name: trial + i for i, name in enumerate(self._dims)}, on_unknown="ignore") == 0
            for trial in (3, 8, 64)
        )

    # -------------------------------------------------------------------------------------------------- bodies
    def _body(self, graph: Graph, closed: Any, env: _Env) -> list[Tensor]:
        """Translate the equations of a closed jaxpr whose inputs have values; return its results."""
        for variable in closed.jaxpr.constvars:
            env[variable] = graph.constant(self.shape(variable.aval), dtype_name(variable.aval.dtype), origin="jax")
        return self._equations(graph, closed.jaxpr, env)

    def _equations(self, graph: Graph, jaxpr: Any, env: _Env) -> list[Tensor]:
        self._run(graph, jaxpr.eqns, env)
        return [self._read(graph, env, each) for each in jaxpr.outvars]

    def _run(self, graph: Graph, equations: Sequence[Any], env: _Env) -> None:
        for equation in equations:
            inputs = [self._read(graph, env, each) for each in equation.invars]
            with self._located(graph, equation):
                results = self._equation(graph, equation, inputs)
            for variable, result in zip(equation.outvars, results, strict=True):
                env[variable] = result

    def _read(self, graph: Graph, env: _Env, atom: Any) -> Tensor:
        if hasattr(atom, "val"):  # a number that stands in the equation itself
            return graph.constant(self.shape(atom.aval), dtype_name(atom.aval.dtype), origin="jax")
        return env[atom]

    @contextmanager
    def _located(self, graph: Graph, equation: Any) -> Iterator[None]:
        names = str(equation.source_info.name_stack).split("/")
        stack = ".".join(name for name in names if name != _AGAIN)
        with graph.scope(stack):
            try:
                yield
            except FlopcoreError as error:
                raise type(error)(f"{equation.primitive.name}: {error}") from error

    def _equation(self, graph: Graph, equation: Any, inputs: list[Tensor]) -> list[Tensor]:
        name, given = equation.primitive.name, equation.params
        outputs = [(self.shape(each.aval), dtype_name(each.aval.dtype)) for each in equation.outvars]
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, graph, given, inputs, outputs)
        if name in _CALLS:
            inner = next(given[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in given)
            return self._inline(graph, given.get("name", ""), inner, inputs)
        try:
            if name not in HANDLERS:
                raise NotCountable("")
            found = HANDLERS[name](Equation(graph, name, given, inputs, outputs, self.size))
        except NotCountable as error:
            self._unsupported.add(name, "", error)
            return [graph.constant(*each) for each in outputs]
        results = [found] if isinstance(found, Tensor) else list(found)
        for result, (shape, _) in zip(results, outputs, strict=True):
            if len(result.shape) != len(shape) or not all(map(self.same, result.shape, shape)):
                raise ShapeError(f"shape {list(map(str, result.shape))}, JAX infers {list(map(str, shape))}")
        return results

    def _inline(self, graph: Graph, name: str, inner: Any, inputs: list[Tensor]) -> list[Tensor]:
        """Write out a function that is called: jit, custom derivatives, checkpoint."""
        jaxpr = getattr(inner, "jaxpr", inner)
        env: _Env = dict(zip(jaxpr.invars, inputs, strict=True))
        with graph.scope(name if name and not name.startswith("<") else ""):
            return self._body(graph, inner, env) if hasattr(inner, "consts") else self._equations(graph, jaxpr, env)

    def _block(self, graph: Graph, name: str, closed: Any, order: Sequence[int]) -> Graph:
        """Return a subgraph of a jaxpr, whose inputs stand in another order."""
        block = graph.subgraph(name)
        env: _Env = {}
        for position in order:
            variable = closed.jaxpr.invars[position]
            env[variable] = block.input(
                f"x{position}", self.shape(variable.aval), dtype_name(variable.aval.dtype), origin="jax"
            )
        block.output(*self._body(block, closed, env))
        return block

    # ---------------------------------------------------------------------------------------- loops and branches
    def _scan(self, graph: Graph, given: Mapping[str, Any], inputs: list[Tensor], _: Any) -> list[Tensor]:
        n_consts, n_carry = given["num_consts"], given["num_carry"]
        order = [*range(n_consts, len(inputs)), *range(n_consts)]
        body = self._block(graph, "scan", given["jaxpr"], order)
        carries, xs = inputs[n_consts : n_consts + n_carry], inputs[n_consts + n_carry :]
        length = self.size(given["length"])
        return list(
            graph.scan(body, carries, xs, length=length, invariants=inputs[:n_consts], scope="scan", origin="jax")
        )

    def _while(self, graph: Graph, given: Mapping[str, Any], inputs: list[Tensor], _: Any) -> list[Tensor]:
        n_cond, n_body = given["cond_nconsts"], given["body_nconsts"]
        state = inputs[n_cond + n_body :]
        self._n_loops += 1
        name = "trips" if self._n_loops == 1 else f"trips_{self._n_loops}"
        trips = self._dims.setdefault(name, dim(name, min=0))
        condition = self._block(graph, "condition", given["cond_jaxpr"], range(n_cond + len(state)))
        tests = trips + 1
        assert isinstance(tests, int | Expr)
        graph.call(condition, [*inputs[:n_cond], *state], times=tests, params="shared", scope="while", origin="jax")
        order = [*range(n_body, n_body + len(state)), *range(n_body)]
        body = self._block(graph, "while", given["body_jaxpr"], order)
        consts = inputs[n_cond : n_cond + n_body]
        return list(graph.loop(body, state, times=trips, invariants=consts, scope="while", origin="jax"))

    def _cond(self, graph: Graph, given: Mapping[str, Any], inputs: list[Tensor], _: Any) -> list[Tensor]:
        arms = [
            (self._block(graph, f"arm{i}", closed, range(len(inputs) - 1)), inputs[1:])
            for i, closed in enumerate(given["branches"])
        ]
        return list(graph.cond(arms, scope="cond", origin="jax"))

    # ------------------------------------------------------------------------------------------ checkpoint, reductions
    def _remat(self, graph: Graph, given: Mapping[str, Any], inputs: list[Tensor], _: Any) -> list[Tensor]:
        """A checkpointed function where it stands; in a gradient what is computed once more is a recompute frame."""
        jaxpr = given["jaxpr"]
        env: _Env = dict(zip(jaxpr.invars, inputs, strict=True))
        again = [equation for equation in jaxpr.eqns if _AGAIN in str(equation.source_info.name_stack)]
        made = dict.fromkeys(variable for equation in again for variable in equation.outvars)
        read = dict.fromkeys(
            atom for equation in again for atom in equation.invars if not hasattr(atom, "val") and atom not in made
        )
        if not given["differentiated"] or not again or not all(atom in env for atom in read):
            return self._equations(graph, jaxpr, env)
        rest = [equation for equation in jaxpr.eqns if _AGAIN not in str(equation.source_info.name_stack)]
        wanted = {atom for equation in rest for atom in equation.invars if not hasattr(atom, "val")} | {
            atom for atom in jaxpr.outvars if not hasattr(atom, "val")
        }
        kept = [variable for variable in made if variable in wanted]
        block = graph.subgraph("recompute")
        inner: _Env = {
            atom: block.input(f"x{i}", env[atom].shape, env[atom].dtype, origin="jax") for i, atom in enumerate(read)
        }
        self._run(block, again, inner)
        block.output(*(inner[variable] for variable in kept))
        env.update(zip(kept, graph.recompute(block, [env[atom] for atom in read], origin="jax"), strict=True))
        self._run(graph, rest, env)
        return [self._read(graph, env, each) for each in jaxpr.outvars]

    def _linear_solve(self, graph: Graph, given: Mapping[str, Any], inputs: list[Tensor], _: Any) -> list[Tensor]:
        """The solver alone: the other functions are for derivatives."""
        lengths, solve = given["const_lengths"], given["jaxprs"].solve
        begin = lengths.matvec + lengths.vecmat
        taken = inputs[begin : begin + lengths.solve] + inputs[sum(lengths) :]
        return self._inline(graph, "", solve, taken)

    def _reduce(self, graph: Graph, given: Mapping[str, Any], inputs: list[Tensor], outputs: Any) -> list[Tensor]:
        """A function that joins two elements, once for each element that is not a result, and once for the start."""
        closed = given["jaxpr"]
        block = self._block(graph, "reduce", closed, range(len(closed.jaxpr.invars)))
        entries = [
            graph.constant((), dtype_name(variable.aval.dtype), origin="jax:reduce") for variable in closed.jaxpr.invars
        ]
        times = prod(inputs[0].shape, start=1)
        graph.call(block, entries, times=times, params="shared", scope="reduce", origin="jax:reduce")
        return [graph.constant(*each, origin="jax:reduce") for each in outputs]


_AGAIN = "rematted_computation"  # how JAX marks, in the name stack, what a checkpoint computes once more
_CALLS = frozenset(
    "jit pjit closed_call core_call custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr".split()  # noqa: SIM905
)
_SPECIAL: Mapping[str, Callable[..., list[Tensor]]] = {
    "scan": _Importer._scan,
    "while": _Importer._while,
    "cond": _Importer._cond,
    "remat2": _Importer._remat,
    "checkpoint": _Importer._remat,
    "custom_linear_solve": _Importer._linear_solve,
    "reduce": _Importer._reduce,
}


def dtype_name(dtype: Any) -> str:
    """Return our name of a dtype of JAX; keys of random numbers are words."""
    name = str(dtype)
    if name.startswith("key<"):
        return "uint32"
    renamed = {"float8_e4m3fn": "float8_e4m3", "float4_e2m1fn": "float4_e2m1", "float0": "bool"}
    return renamed.get(name, name)
