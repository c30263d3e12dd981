"""The command line: parse, compose the stages, hand the result to `report`, choose the exit code.

Exit codes: 0 ok; 1 a line is exceeded or a check failed; 2 usage; 3 incomplete count (unsupported ops); 4 bad input
file; 130 interrupted. Data goes to stdout; progress, warnings and errors to stderr.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["main"]

CHECK_FAILED = 1
INCOMPLETE = 3
BAD_INPUT = 4
INTERRUPTED = 130


class _Failure(click.ClickException):
    """One message on stderr and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Commands(click.Group):
    """The command group that turns flopcore's errors into one message and the right exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the module's docstring has the exit codes."""
        from .errors import ConventionError, FlopcoreError, UnsupportedOp

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except UnsupportedOp as error:
            raise _Failure(str(error), INCOMPLETE) from error
        except ConventionError as error:
            raise click.UsageError(str(error)) from error
        except FlopcoreError as error:
            raise _Failure(str(error), BAD_INPUT) from error


@contextmanager
def _usage() -> Iterator[None]:
    """Report a wrong value of an option as a usage error."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _print(document: Mapping[str, object], as_json: bool, table: Callable[[Mapping[str, Any]], None]) -> None:
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        table(document)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON document (docs/CLI.md names the fields)."
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="flopcore", message="%(version)s")
def main() -> None:
    """Exact FLOP counts under any named convention, and what they say about compute thresholds.

    Exit codes: 0 ok; 1 a line is exceeded or a check failed; 2 usage; 3 incomplete count (unsupported ops);
    4 bad input file; 130 interrupted.
    """


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
    check: bool,
    as_json: bool,
) -> None:
    """Estimate training compute, from parameters and tokens or from hardware, against every threshold.

    An uncertain number is written low..high: a 90 % interval, for --utilisation hard limits.
    """
    from .report import tables
    from .study.estimate import estimate_from_hardware, estimate_from_parameters

    from_hardware = {"--gpu": gpu, "--hours": hours, "--utilisation": utilisation}
    given = [name for name, value in (*from_hardware.items(), ("--count", number), ("--dtype", dtype)) if value]
    if params is None and tokens is None and not given:
        raise click.UsageError("give --params and --tokens, or --gpu, --hours and --utilisation")
    with _usage():
        if given:
            _together(from_hardware, {"--params": params, "--tokens": tokens})
            found = estimate_from_hardware(gpu or "", hours or "", utilisation or "", count=number or 1, dtype=dtype)
        else:
            _together({"--params": params, "--tokens": tokens}, {})
            found = estimate_from_parameters(params or "", tokens or "", epochs=epochs)
    _print(found.to_dict(), as_json, tables.print_estimate)
    if check and any(one.is_over and one.policy.status == "in_force" for one in found.crossings):
        raise click.exceptions.Exit(CHECK_FAILED)


def _together(needed: Mapping[str, str | None], foreign: Mapping[str, str | None]) -> None:
    """Require all of these options and none of those."""
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise click.UsageError(f"missing {', '.join(missing)}: {', '.join(needed)} go together")
    if extra := [name for name, value in foreign.items() if value is not None]:
        raise click.UsageError(f"{', '.join(extra)} cannot be combined with {', '.join(needed)}")


@main.group()
def study() -> None:
    """Run a study of the bundled population of models."""


@study.command()
@click.option("--draws", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="Draws of every model.")
@click.option("--seed", type=click.IntRange(min=0), help="Repeats a run; fresh, and printed, if absent.")
@click.option("--threads", type=click.IntRange(min=1), help="All CPUs if absent; the result does not depend on it.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the models with their probabilities as CSV.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@json_option
def hooker(draws: int, seed: int | None, threads: int | None, as_csv: bool, quiet: bool, as_json: bool) -> None:
    """Count the models over 1e23, 1e24, 1e25 and 1e26 FLOP, and how surely each one is over."""
    from .report import tables
    from .study.hooker import run_hooker

    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    with _progress(quiet) as progress:
        document = run_hooker(draws=draws, rng=seed, threads=threads, progress=progress).to_dict()
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(tables.model_rows(document))
    else:
        _print(document, as_json, tables.print_study)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a progress callback that draws a bar on stderr, if somebody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("draws")
        yield lambda done, total: bar.update(task, completed=done, total=total)


@main.command("build-info")
@json_option
def build_info_(as_json: bool) -> None:
    """Print version, compiler, instruction sets and threads, for bug reports."""
    from .build import build_info
    from .report import tables

    _print({"schema": "flopcore.build-info/1", **build_info().to_dict()}, as_json, tables.print_facts)
