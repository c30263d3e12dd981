"""The commands of ``flopcore study``: read a population or parameters, run the study, print its result."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from .cli_output import json_option, print_document, progress_bar, usage

if TYPE_CHECKING:
    from .study.population import Population

__all__ = ["study"]

Command = TypeVar("Command", bound=Callable[..., object])


def _run_options(command: Command) -> Command:
    """Add --seed, --threads, --quiet and --json."""
    for option in (
        json_option,
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option(
            "--threads", type=click.IntRange(min=1), help="All CPUs if absent; the result does not depend on it."
        ),
        click.option("--seed", type=click.IntRange(min=0), help="Repeats a run; fresh, and printed, if absent."),
    ):
        command = option(command)
    return command


class _Draws(click.ParamType[int]):
    """A whole number from 1, written as any number: 1000000, 1_000_000, 1e6, 10^6."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        from .quantity import parse_quantity

        try:
            number = value if isinstance(value, int) else parse_quantity(str(value))
        except ValueError:
            number = 0
        if not isinstance(number, int) or number < 1:
            self.fail(f"{value!r} is not a whole number from 1, such as 100_000 or 1e6", param, ctx)
        return number


_checkpoint_option = click.option(
    "--checkpoint",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the counts here; the same call goes on after an interruption.",
)


def _read_population(data: Path, columns: tuple[tuple[str, str], ...] = ()) -> Population:
    from .study.studyfile import read_population

    return read_population(data, dict(columns))


class _Pair(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`; the value may be left out where that says something."""

    def __init__(self, name: str, example: str, *, optional: bool = False) -> None:
        self.name = name
        self.example = example
        self.optional = optional

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the name and the text of the value."""
        name, equals, text = str(value).partition("=")
        if not name.strip() or not (equals or self.optional):
            self.fail(f"{value!r} is not {self.name}, such as {self.example}", param, ctx)
        return name.strip(), text.strip()


_columns_option = click.option(
    "--column",
    "columns",
    type=_Pair("FIELD=COLUMN", "date=Released"),
    multiple=True,
    help="Your name of a column of --data, where it is not Epoch AI's (docs/DATA.md has the fields); repeatable.",
)


class _Studies(click.Group):
    """Studies by name; a name that ends in .toml is a file that says which study, of what and how."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, or one that runs the study of a file."""
        if cmd_name.endswith(".toml"):
            return _file_command(cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Studies, subcommand_metavar="NAME|FILE.toml [OPTIONS]")
def study() -> None:
    """Run a study: one of those below, or that of a TOML file (docs/STUDIES.md, flopcore/data/schemas)."""


def _file_command(name: str) -> click.Command:
    """Return the command that runs the study of a file."""

    @click.command(name)
    @click.option("--draws", type=_Draws(), help="In place of the file's.")
    @_checkpoint_option
    @_run_options
    def command(
        draws: int | None, checkpoint: Path | None, seed: int | None, threads: int | None, quiet: bool, as_json: bool
    ) -> None:
        """Run the study of a file."""
        from dataclasses import replace

        from .study.studyfile import Study

        found = Study.read(name)
        with usage():
            found = replace(
                found,
                draws=found.draws if draws is None else draws,
                seed=found.seed if seed is None else seed,
            )
        with usage(), progress_bar(quiet) as progress:
            result = found.run(threads=threads, progress=progress, checkpoint=checkpoint)
        print_document(result.to_dict(), as_json, _table_of(found.study))

    return command


def _table_of(name: str) -> Callable[[Mapping[str, Any]], None]:
    from .report import forecast_tables, study_tables

    return {
        "hooker": study_tables.print_hooker,
        "kumar-manning": forecast_tables.print_forecast,
        "forecast": forecast_tables.print_growth,
    }[name]


@study.command()
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Models to study: a table like Epoch AI's (.csv, .parquet), or a .toml like the bundled one.",
)
@_columns_option
@click.option(
    "--line", "lines", metavar="FLOP", multiple=True, help="A line other than 1e23 to 1e26; may be given several times."
)
@click.option("--at-least", is_flag=True, help="A figure at a line is over it (>=); else only one above it (>).")
@click.option("--in-force", metavar="DATE", help="The lines of the laws in force on that day (2026-11-22) instead.")
@click.option(
    "--estimate-error",
    type=click.Choice(["resample", "shrink"]),
    default="resample",
    show_default=True,
    help="Draw around each figure, or shrink it to the trend of the population first.",
)
@click.option("--new-runs", is_flag=True, help="Training runs only: without models trained on from another one.")
@click.option(
    "--missing",
    type=click.Choice(["exclude", "impute", "censored"]),
    default="exclude",
    show_default=True,
    help="Models without a figure: left out, estimated, or counted apart.",
)
@click.option(
    "--band",
    "bands",
    type=_Pair("LABEL=FACTOR", "likely=5"),
    multiple=True,
    help="What a label of confidence means: the one-sided factor of the central interval; repeatable.",
)
@click.option("--factor", metavar="NUMBER", help="A way of counting: every figure times this, such as 1/2 or 4/3.")
@click.option(
    "--capability",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Scores to join by model name: a table with the columns 'Model name' and 'ECI Score'.",
)
@click.option(
    "--metric",
    "metrics",
    type=_Pair("NAME[=WEIGHT]", "capability=2", optional=True),
    multiple=True,
    help="Of the risk index; repeatable. Without weights they are uniform on the simplex.",
)
@click.option(
    "--without-metric",
    type=click.Choice(["impute", "exclude"]),
    default="impute",
    show_default=True,
    help="A model without one of the metrics: gets the middle of its group, or is left out of the index.",
)
@click.option("--top-share", metavar="SHARE", default="1/10", show_default=True, help="Of the models: the index's top.")
@_checkpoint_option
@click.option("--draws", type=_Draws(), default=1_000_000, show_default=True, help="Draws of every model.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the models with their probabilities as CSV.")
@_run_options
def hooker(
    data: Path | None,
    columns: tuple[tuple[str, str], ...],
    lines: tuple[str, ...],
    at_least: bool,
    in_force: str | None,
    estimate_error: Literal["resample", "shrink"],
    new_runs: bool,
    missing: Literal["exclude", "impute", "censored"],
    bands: tuple[tuple[str, str], ...],
    factor: str | None,
    capability: Path | None,
    metrics: tuple[tuple[str, str], ...],
    without_metric: Literal["impute", "exclude"],
    top_share: str,
    checkpoint: Path | None,
    draws: int,
    seed: int | None,
    threads: int | None,
    as_csv: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Count the models over 1e23, 1e24, 1e25 and 1e26 FLOP, how surely, and what other rules would find."""
    from .quantity import parse_quantity
    from .report import study_tables, tables
    from .study.capability import read_capability, with_capability
    from .study.hooker import LINES, IndexOptions, run_hooker
    from .study.population import Population
    from .study.scenario import Scenario
    from .thresholds import thresholds

    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    if lines and in_force:
        raise click.UsageError("--line or --in-force, not both")
    if 0 < sum(bool(weight) for _, weight in metrics) < len(metrics):
        raise click.UsageError("--metric: a weight for each or for none")
    with usage():
        over = thresholds(in_force) if in_force else lines or LINES
        index = IndexOptions(
            metrics=tuple(name for name, _ in metrics),
            weights=tuple((name, parse_quantity(weight, name=name)) for name, weight in metrics if weight),
            missing=without_metric,
            top_share=Fraction(parse_quantity(top_share, name="--top-share")),
        )
    models = Population.bundled() if data is None else _read_population(data, columns)
    if new_runs:
        models = models.new_runs()
    if capability is not None:
        models = with_capability(models, read_capability(capability))
    with usage():
        scenario = (
            None if factor is None else Scenario(f"every figure x {factor}", parse_quantity(factor, name="--factor"))
        )
        meaning = models.bands.replaced({label: parse_quantity(text, name=label) for label, text in bands})
    with usage(), progress_bar(quiet) as progress:
        found = run_hooker(
            models,
            bands=meaning,
            scenario=scenario,
            thresholds=over,
            comparators=(">=" if at_least else ">",),
            estimate_error=estimate_error,
            missing=missing,
            index=index,
            checkpoint=checkpoint,
            draws=draws,
            rng=seed,
            threads=threads,
            progress=progress,
        )
    document = found.to_dict()
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(tables.model_rows(document))
    else:
        print_document(document, as_json, study_tables.print_hooker)


@study.command("kumar-manning")
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the history's yearly compute from these models (a table like Epoch AI's, or a .toml).",
)
@_columns_option
@click.option(
    "--set",
    "knobs",
    type=_Pair("NAME=VALUE", "growth_sd=0.25"),
    multiple=True,
    help="Change a parameter: growth_sd=0.25, gradient=1..1.1.",
)
@click.option("--line", "lines", metavar="FLOP", multiple=True, help="A line other than 1e25 to 1e29; repeatable.")
@click.option("--width", "widths", metavar="OOM", multiple=True, help="A width other than 0.5, 1 and 1.5; repeatable.")
@click.option("--draws", type=_Draws(), default=200_000, show_default=True, help="Simulations.")
@_checkpoint_option
@_run_options
def kumar_manning(
    data: Path | None,
    columns: tuple[tuple[str, str], ...],
    knobs: tuple[tuple[str, str], ...],
    lines: tuple[str, ...],
    widths: tuple[str, ...],
    draws: int,
    checkpoint: Path | None,
    seed: int | None,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Forecast how many models pass 1e25 and more, after Kumar and Manning (arXiv:2504.16138), and jointly."""
    from dataclasses import replace

    from .report import forecast_tables
    from .study.allocation import Allocation, yearly_budgets
    from .study.allocation_run import THRESHOLDS, WIDTHS, run_allocation

    with usage():
        model = Allocation.bundled().with_knobs(dict(knobs))
    if data is not None:
        years = [year for year, _ in model.history]
        history = yearly_budgets(
            _read_population(data, columns), first=years[0], last=years[-1], left_out=model.left_out
        )
        with usage():
            model = replace(model, history=history)
    with usage(), progress_bar(quiet) as progress:
        found = run_allocation(
            model,
            thresholds=lines or THRESHOLDS,
            widths=widths or WIDTHS,
            draws=draws,
            rng=seed,
            threads=threads,
            progress=progress,
            checkpoint=checkpoint,
        )
    print_document(found.to_dict(), as_json, forecast_tables.print_forecast)


@study.command()
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Models to fit: a table like Epoch AI's (.csv, .parquet), or a .toml like the bundled one.",
)
@_columns_option
@click.option("--frontier", "frontiers", metavar="NAME", multiple=True, help="A definition of frontier; all if absent.")
@click.option("--since", metavar="DATE", default="2018-01-01", show_default=True, help="First day of the fit.")
@click.option("--line", "lines", metavar="FLOP", multiple=True, help="A line other than 1e26 to 1e28; repeatable.")
@json_option
def forecast(
    data: Path | None,
    columns: tuple[tuple[str, str], ...],
    frontiers: tuple[str, ...],
    since: str,
    lines: tuple[str, ...],
    as_json: bool,
) -> None:
    """Fit the growth of training compute under each definition of frontier, and say when lines are passed."""
    import datetime as dt

    from .report import forecast_tables
    from .study.growth import FRONTIERS, fit_growth

    models = None if data is None else _read_population(data, columns)
    with usage():
        found = fit_growth(
            models,
            frontiers=frontiers or tuple(FRONTIERS),
            since=dt.date.fromisoformat(since),
            thresholds=lines or (10**26, 10**27, 10**28),
        )
    print_document(found.to_dict(), as_json, forecast_tables.print_growth)
