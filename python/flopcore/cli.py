"""The command line: parse, compose the stages, hand the result to `report`, choose the exit code.

Exit codes: 0 ok; 1 a line is exceeded or a check failed; 2 usage; 3 incomplete count (unsupported ops); 4 bad input
file; 130 interrupted. Data goes to stdout; progress, warnings and errors to stderr.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .cli_output import json_option
from .cli_output import print_document as _print
from .cli_output import usage as _usage
from .cli_study import study

if TYPE_CHECKING:
    from .conventions import Convention
    from .count import Count, GroupBy, Tally
    from .frontends.unsupported import OnUnsupported
    from .graph import Graph
    from .study.estimate import Estimate

__all__ = ["main"]

CHECK_FAILED = 1
INCOMPLETE = 3
BAD_INPUT = 4
INTERRUPTED = 130

AXES = ("op", "module", "dtype", "phase", "feature")
Command = TypeVar("Command", bound=Callable[..., object])


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a line on stderr, without the place in our code."""
    click.echo(f"Warning: {message}", err=True)


class _CheckFailed(click.ClickException):
    exit_code = CHECK_FAILED


class _Incomplete(click.ClickException):
    exit_code = INCOMPLETE


class _BadInput(click.ClickException):
    exit_code = BAD_INPUT


class _Commands(click.Group):
    """The command group that turns flopcore's errors into one message and the right exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the module's docstring has the exit codes."""
        from .errors import ConventionError, FlopcoreError, UnsupportedOp

        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except UnsupportedOp as error:
            raise _Incomplete(str(error)) from error
        except ConventionError as error:
            raise click.UsageError(str(error)) from error
        except FlopcoreError as error:
            raise _BadInput(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has gone; click ends quietly
                raise
            raise _BadInput(f"{error.filename or 'output'}: {error.strerror}") from error


class _Dim(click.ParamType[tuple[str, int]]):
    """`NAME=SIZE`; the name is all before the last `=`."""

    name = "NAME=SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return the name and the size."""
        name, equals, text = str(value).rpartition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=SIZE, such as batch=1", param, ctx)
        try:
            return name, int(text)
        except ValueError:
            self.fail(f"{value!r}: the size {text!r} is not an integer", param, ctx)


def _on_model(command: Command) -> Command:
    """Add the argument MODEL and the option --dim."""
    command = click.option(
        "--dim", "dims", type=_Dim(), multiple=True, help="Bind a symbolic dim; all of them, or none for a polynomial."
    )(command)
    return click.argument("model", type=click.Path(exists=True))(command)


def _bind(graph: Graph, given: tuple[tuple[str, int], ...]) -> dict[str, int | None]:
    """Return the size of each dim of a graph: all of them as given, or all None if none is."""
    dims = graph.dims
    known = ", ".join(dims) or "none"
    for name, size in given:
        if name not in dims:
            close = get_close_matches(name, dims, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise click.UsageError(f"--dim {name}={size}: the model has no dim {name!r}; {hint}its dims: {known}")
        low, high, step = dims[name]
        if size < low or size > (2**62 - 1 if high is None else high) or size % step:
            allowed = f"at least {low}" + (f", at most {high}" if high is not None else ", below 2^62")
            multiple = f", a multiple of {step}" if step > 1 else ""
            raise click.UsageError(f"--dim {name}={size}: {name!r} is {allowed}{multiple}")
    sizes = dict(given)
    if len(sizes) < len(given):
        raise click.UsageError("a dim is given twice")
    if missing := [name for name in dims if sizes and name not in sizes]:
        raise click.UsageError(
            f"missing {', '.join(f'--dim {name}=SIZE' for name in missing)}; without --dim the count is a polynomial"
        )
    return {name: sizes.get(name) for name in dims}


def _bound(dims: Mapping[str, int | None]) -> dict[str, int]:
    return {name: size for name, size in dims.items() if size is not None}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="flopcore", message="%(version)s")
def main() -> None:
    """Exact FLOP counts under any named convention, and what they say about compute thresholds.

    Exit codes: 0 ok; 1 a line is exceeded or a check failed; 2 usage; 3 incomplete count (unsupported ops);
    4 bad input file; 130 interrupted.
    """


@main.command()
@_on_model
@click.option("--convention", "names", multiple=True, metavar="NAME", help="What counts as one operation [macs].")
@click.option("--by", "axes", multiple=True, type=click.Choice(AXES), help="Split the count; may be repeated.")
@click.option("--explain", "explained", is_flag=True, help="Say which rule priced what, and what was not counted.")
@click.option("--coverage", "covered", is_flag=True, help="Say how much was priced, and what was not.")
@click.option("--bytes", "moved", is_flag=True, help="Bytes of weights and activations each op reads and writes.")
@click.option(
    "--on-unsupported",
    type=click.Choice(["error", "list"]),
    default="error",
    show_default=True,
    help="Of an ONNX model or a .pt2 file: refuse ops without a rule, or count the rest and list them (exit 3).",
)
@click.option(
    "--verify", "verified", is_flag=True, help="Recount with the reference implementation; exit 1 if it differs."
)
@json_option
def count(
    model: str,
    dims: tuple[tuple[str, int], ...],
    names: tuple[str, ...],
    axes: tuple[GroupBy, ...],
    explained: bool,
    covered: bool,
    moved: bool,
    on_unsupported: OnUnsupported,
    verified: bool,
    as_json: bool,
) -> None:
    """Count the operations of MODEL: an ONNX, GGUF or .pt2 file, or a Hugging Face config.json or its folder."""
    from .conventions import convention
    from .count import count
    from .errors import UnsupportedNodes
    from .frontends import load_model
    from .report import documents, tables

    if len(names) > 1:
        raise click.UsageError("one --convention; `flopcore compare` takes several")
    chosen = convention(names[0] if names else "macs")
    try:
        graph = load_model(model, on_unsupported=on_unsupported)
    except UnsupportedNodes as error:
        if as_json:
            incomplete = documents.count_document(
                *(model, chosen, None, None),
                parameters=None,
                active=None,
                by={},
                unsupported=error.nodes,
                dims={},
                verified=None,
            )
            _print(incomplete, as_json, tables.print_count)
        raise
    sizes = _bind(graph, dims)
    at = _bound(sizes)
    if verified and len(at) < len(sizes):
        raise click.UsageError(f"--verify counts in numbers: bind {', '.join(f'--dim {name}=SIZE' for name in sizes)}")
    tally = count(graph, at=at)
    document = documents.count_document(
        model,
        chosen,
        tally.flop(chosen),
        (count(graph) if at else tally).flop(chosen),
        parameters=tally.parameters,
        active=None if tally.unknown_routers else tally.active_parameters,
        by={axis: tally.flop(chosen, by=axis) for axis in axes},
        unsupported=tally.unsupported,
        dims=sizes,
        verified=_recount(graph, tally, chosen, at) if verified else None,
        traffic=tally.bytes(by="op") if moved else None,
        explanation=tally.explain(chosen) if explained or covered else None,
        detail="all" if explained else "coverage",
    )
    _print(document, as_json, tables.print_count)
    if tally.unsupported:
        listed = ", ".join(f"{op} x {nodes}" for op, nodes in sorted(tally.unsupported.items()))
        raise _Incomplete(f"{model}: the count is incomplete; without a rule: {listed}")


@main.command()
@_on_model
@click.option("--convention", "name", metavar="NAME", default="macs", show_default=True, help="What counts as one.")
@click.option("--depth", type=click.IntRange(min=0), default=4, show_default=True, help="Levels below the model.")
@json_option
def show(model: str, dims: tuple[tuple[str, int], ...], name: str, depth: int, as_json: bool) -> None:
    """Show the module tree of MODEL: cost, parameters and share of each module."""
    from .conventions import convention
    from .frontends import load_model
    from .module_tree import module_tree
    from .report import documents, tables

    chosen = convention(name)
    graph = load_model(model)
    sizes = _bind(graph, dims)
    tree = module_tree(graph, chosen, at=_bound(sizes))
    modules = [
        (level, each.name, each.path, each.cost, each.parameters, each.active_parameters)
        for level, each in tree.walk(depth)
    ]
    _print(documents.show_document(model, chosen, modules, dims=sizes), as_json, tables.print_show)


def _recount(graph: Graph, tally: Tally, chosen: Convention, at: Mapping[str, int]) -> int | Fraction:
    from .reference.verification import VerificationError, verify

    try:
        return verify(graph, tally, chosen, at=at)
    except VerificationError as error:
        raise _CheckFailed(f"the reference implementation disagrees: {error}") from error


@main.command()
@_on_model
@click.option("--convention", "names", multiple=True, required=True, metavar="A,B,...", help="Conventions to compare.")
@json_option
def compare(model: str, dims: tuple[tuple[str, int], ...], names: tuple[str, ...], as_json: bool) -> None:
    """Price one walk over MODEL under several conventions; the ops they disagree on most come first."""
    from .conventions import convention
    from .count import count
    from .frontends import load_model
    from .report import documents, tables

    chosen = {found.name: found for name in names for found in map(convention, name.split(","))}
    if len(chosen) < 2:
        raise click.UsageError("compare needs at least two conventions: --convention macs,torch-2.13")
    graph = load_model(model)
    sizes = _bind(graph, dims)
    at = _bound(sizes)
    tally = count(graph, at=at)
    symbolic = count(graph) if at else tally
    by_convention = {name: tally.flop(one, by="op") for name, one in chosen.items()}
    ops = dict.fromkeys(op for parts in by_convention.values() for op in parts)
    by_op = {op: {name: parts.get(op, 0) for name, parts in by_convention.items()} for op in ops}
    document = documents.compare_document(
        model,
        [(one, tally.flop(one), symbolic.flop(one)) for one in chosen.values()],
        parameters=tally.parameters,
        by=dict(sorted(by_op.items(), key=lambda item: -_spread(item[1].values()))),
        dims=sizes,
    )
    _print(document, as_json, tables.print_compare)


@main.command()
@_on_model
@click.argument("left")
@click.argument("right")
@json_option
def diff(model: str, left: str, right: str, dims: tuple[tuple[str, int], ...], as_json: bool) -> None:
    """Say which rows of MODEL make conventions LEFT and RIGHT differ, the largest difference first."""
    from .compare import compare
    from .frontends import load_model
    from .report import documents, tables

    graph = load_model(model)
    sizes = _bind(graph, dims)
    if sizes and not dims:
        raise click.UsageError(f"diff works on numbers: bind {', '.join(f'--dim {name}=SIZE' for name in sizes)}")
    found = compare(graph, [left, right], at=_bound(sizes))
    _print(documents.diff_document(model, found.to_dict(), sizes), as_json, tables.print_diff)


def _spread(costs: Iterable[Count]) -> int | Fraction:
    """Return how far costs lie apart; 0 where a dim is not bound."""
    numbers = [cost for cost in costs if isinstance(cost, int | Fraction)]
    return max(numbers) - min(numbers) if numbers else 0


@main.group("conventions", invoke_without_command=True)
@json_option
@click.pass_context
def conventions_(ctx: click.Context, as_json: bool) -> None:
    """List the conventions: what counts as one operation."""
    from .conventions import convention, conventions
    from .report import tables

    if ctx.invoked_subcommand is None:
        document = {
            "schema": "flopcore.conventions/1",
            "conventions": [convention(name).to_dict() for name in conventions()],
        }
        _print(document, as_json, tables.print_conventions)


@conventions_.command("show")
@click.argument("name")
@json_option
def show_convention(name: str, as_json: bool) -> None:
    """Show what convention NAME (or a .toml file) says on every question, its weights and source."""
    from .conventions import convention
    from .report import tables

    _print(convention(name).to_dict(), as_json, tables.print_convention)


@main.command()
@click.option("--params", metavar="N", help="Parameters active on one token: 405e9, or an interval 400e9..410e9.")
@click.option("--tokens", metavar="N", help="Training tokens of one epoch.")
@click.option("--epochs", metavar="N", default="1", show_default=True, help="Passes over the tokens.")
@click.option("--gpu", metavar="NAME", help="Accelerator, such as h100.")
@click.option("--hours", metavar="N", help="Accelerator-hours in total; wall-clock hours if --count is given.")
@click.option("--utilisation", metavar="U", help="Share of the peak rate: 0.4, or limits 0.35..0.45.")
@click.option("--count", "number", metavar="N", help="Number of accelerators.")
@click.option("--dtype", metavar="TYPE", help="Number format of the peak rate; the accelerator's usual one if absent.")
@click.option(
    "--config", type=click.Path(exists=True), help="A config.json: its exact walk beside 6ND; needs --dim seq=N."
)
@click.option("--dim", "dims", type=_Dim(), multiple=True, help="Sequence length of the walk over --config: seq=8192.")
@click.option("--check", is_flag=True, help="Exit 1 if the estimate is over a line whose status is in_force.")
@json_option
def estimate(
    params: str | None,
    tokens: str | None,
    epochs: str,
    gpu: str | None,
    hours: str | None,
    utilisation: str | None,
    number: str | None,
    dtype: str | None,
    config: str | None,
    dims: tuple[tuple[str, int], ...],
    check: bool,
    as_json: bool,
) -> None:
    """Estimate training compute, from parameters and tokens or from hardware, against every threshold.

    An uncertain number is written low..high: a 90 % interval, for --utilisation hard limits.
    """
    from .report import tables
    from .study.estimate import estimate_from_hardware, estimate_from_parameters

    from_hardware = {"--gpu": gpu, "--hours": hours, "--utilisation": utilisation}
    options = {**from_hardware, "--count": number, "--dtype": dtype}
    with _usage():
        if any(value is not None for value in options.values()):
            _together(from_hardware, {"--params": params, "--tokens": tokens, "--config": config})
            found = estimate_from_hardware(gpu or "", hours or "", utilisation or "", count=number or 1, dtype=dtype)
        elif config is not None:
            _together({"--config": config, "--tokens": tokens}, {})
            found = _walked_estimate(config, dims, params, tokens or "", epochs)
        elif params is None and tokens is None:
            raise click.UsageError("give --params and --tokens, or --gpu, --hours and --utilisation")
        else:
            _together({"--params": params, "--tokens": tokens}, {})
            found = estimate_from_parameters(params or "", tokens or "", epochs=epochs)
    _print(found.to_dict(), as_json, tables.print_estimate)
    if check and any(one.is_over and one.policy.status == "in_force" for one in found.crossings):
        raise click.exceptions.Exit(CHECK_FAILED)


def _walked_estimate(
    config: str, dims: tuple[tuple[str, int], ...], params: str | None, tokens: str, epochs: str
) -> Estimate:
    """Return 6ND beside the exact walk; N is the walk's own where --params does not say."""
    from .frontends import load_model
    from .study.estimate import estimate_from_graph, estimate_from_parameters

    graph = load_model(config)
    if set(graph.dims) != {"batch", "seq"}:
        raise click.UsageError(
            f"--config {config}: a model with dims batch and seq is needed, this one has {[*graph.dims]}"
        )
    sizes = _bind(graph, dims if dict(dims).get("batch") else (("batch", 1), *dims))
    found = estimate_from_graph(graph, tokens, seq=_bound(sizes)["seq"], epochs=epochs)
    if params is None or found.exact is None:
        return found
    return estimate_from_parameters(params, tokens, epochs=epochs, exact_flop=found.exact.flop)


def _together(needed: Mapping[str, str | None], foreign: Mapping[str, str | None]) -> None:
    """Require all of these options and none of those."""
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise click.UsageError(f"missing {', '.join(missing)}: {', '.join(needed)} go together")
    if extra := [name for name, value in foreign.items() if value is not None]:
        raise click.UsageError(f"{', '.join(extra)} cannot be combined with {', '.join(needed)}")


@main.command("build-info")
@json_option
def build_info_(as_json: bool) -> None:
    """Print version, compiler, instruction sets and threads, for bug reports."""
    from .build import build_info
    from .report import tables

    _print({"schema": "flopcore.build-info/1", **build_info().to_dict()}, as_json, tables.print_facts)


main.add_command(study)
