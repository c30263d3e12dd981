"""Tables of forecasts, for people to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .tables import console, table

__all__ = ["print_forecast", "print_growth", "print_staleness"]

Json = Mapping[str, Any]

_LEAST_SHARE = 0.01


def print_forecast(document: Json) -> None:
    """Print a document of schema flopcore.forecast/1: per year, cumulative as published and jointly, the frontier."""
    out = console()
    name = document["allocation"]["name"]
    out.print(f"{name}: {document['draws']:,} simulations, seed {document['seed']}", soft_wrap=True)
    out.print(document["allocation"]["source"], soft_wrap=True)
    rows = table(
        "year", "line", "yearly percentiles summed", "joint total", "joint mean", "authors printed",
        title="Models over each line to the end of a year: 5th / 50th / 95th percentile", left=2,
    )  # fmt: skip
    printed = {(item["year"], item["threshold"]): _triple(item) for item in document["published"]}
    for style, joint in zip(document["published_style"], document["joint"], strict=True):
        rows.add_row(
            str(style["year"]),
            f"{style['threshold']:g}",
            _triple(style),
            _triple(joint),
            f"{joint['mean']:.2f}",
            printed.get((style["year"], style["threshold"]), ""),
        )
    out.print(rows)
    rows = table(
        "year", "line", "mean", "MC error", "percentiles", "95 % of each percentile", "without bins",
        title="Models over each line that appear in a year", left=2,
    )  # fmt: skip
    for count in document["per_year"]:
        rows.add_row(
            str(count["year"]),
            f"{count['threshold']:g}",
            *_moments(count),
            " / ".join(f"{low}-{high}" for low, high in count["interval"].values()),
            f"{count['continuum']:.3f}",
        )
    out.print(rows)
    rows = table(
        "year", "within", "mean", "MC error", "percentiles", title="Models near the largest so far, by quarters", left=2
    )
    for count in document["frontier"]:
        rows.add_row(str(count["year"]), f"10^{count['width_oom']:g}", *_moments(count))
    out.print(rows)
    _print_shares(document["sensitivity"])
    for sentence in document["reading"]:
        out.print(sentence, soft_wrap=True)


def print_growth(document: Json) -> None:
    """Print a document of schema flopcore.growth/1: growth by definition of frontier, what it leads to, staleness."""
    out = console()
    out.print(f"{document['population']}, models since {document['since']}", soft_wrap=True)
    rows = table("frontier", "definition", "models", "factor a year", "90 %", "doubling", "sd of log10", left=2)
    for fit in document["fits"]:
        doubling = fit["doubling_months"]
        rows.add_row(
            fit["frontier"],
            fit["definition"],
            str(fit["n"]),
            f"{fit['per_year']:.2f}",
            f"{fit['per_year_p05']:.2f} to {fit['per_year_p95']:.2f}",
            "-" if doubling is None else f"{doubling:.1f} months",
            f"{fit['sd']:.2f}",
        )
    out.print(rows)
    rows = table("frontier", "line", "day", "between", title="When the line passes a threshold", left=2)
    for fit in document["fits"]:
        for crossing in fit["crossings"]:
            ends = f"{crossing['earliest'] or '-'} and {crossing['latest'] or '-'}"
            rows.add_row(fit["frontier"], f"{crossing['threshold']:g}", crossing["day"] or "-", ends)
    out.print(rows)
    rows = table("frontier", "year", "FLOP", "90 % of a single model", title="A model in the middle of a year", left=2)
    for fit in document["fits"]:
        for year in fit["years"]:
            rows.add_row(
                fit["frontier"], str(year["year"]), f"{year['p50']:.3g}", f"{year['p05']:.3g} to {year['p95']:.3g}"
            )
    out.print(rows)
    print_staleness(document["staleness"])
    for name in document["skipped"]:
        out.print(f"left out: {name} (too few models)", soft_wrap=True)
    for sentence in document["reading"]:
        out.print(sentence, soft_wrap=True)


def print_staleness(rows_of: Sequence[Json]) -> None:
    """Print by what factor a fixed line is too high after some months."""
    rows = table("months", "halving", "5 %", "50 %", "95 %", title="A fixed line is too high by a factor of", left=2)
    for item in rows_of:
        rows.add_row(f"{item['months']:g}", item["doubling"], *(f"{item[q]:.2f}" for q in ("p05", "p50", "p95")))
    console().print(rows)


def _print_shares(shares: Sequence[Json]) -> None:
    """Print what explains the variance of the last total, alone and in all, inputs above a hundredth."""
    lines = list(dict.fromkeys(share["threshold"] for share in shares))
    inputs = list(dict.fromkeys(share["input"] for share in shares))
    found = {(share["threshold"], share["input"]): share for share in shares}
    rows = table(
        "input",
        *(f"{line:g}" for line in lines),
        title="Share of the variance of the last total: first order, and with all interactions",
    )
    for name in inputs:
        if any(found[line, name]["total"] > _LEAST_SHARE for line in lines):
            pairs = [found[line, name] for line in lines]
            rows.add_row(name, *(f"{pair['share']:.3f} {pair['total']:.3f}" for pair in pairs))
    console().print(rows)


def _moments(count: Json) -> tuple[str, str, str]:
    return f"{count['mean']:.3f}", f"{count['mc_error']:.1g}", _triple(count)


def _triple(count: Json) -> str:
    return f"{count['p05']} / {count['p50']} / {count['p95']}"
