"""Tables of the study hooker that go beyond the counts: rules, errors, flips, gaps, claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .forecast_tables import print_staleness
from .tables import LARGEST, console, magnitude, print_study, table

__all__ = ["print_hooker"]

Json = Mapping[str, Any]


def print_hooker(document: Json) -> None:
    """Print a document of schema flopcore.study/1: the counts, then the essay's questions, then the reading."""
    print_study(document, parts=lambda: _print_essay(document))


def _print_essay(document: Json) -> None:
    essay = document["essay"]
    _print_rules(essay)
    _print_flips(document["flips"])
    _print_variance(essay["variance"])
    _print_influence(essay["influence"])
    out = console()
    rows = table("cause", "line", "missed", "90 %", "of effectively over", title="Models a line misses", left=2)
    for item in essay["false_negatives"]:
        rows.add_row(
            item["cause"],
            item["policy"],
            f"{item['missed']:.1f}",
            f"{item['p05']} to {item['p95']}",
            _percent(item["rate"]),
        )
    out.print(rows)
    print_staleness(essay["staleness"])
    rows = table("line", "just below", "just above", "expected below", "p", title="Bunching within a factor of two")
    for item in essay["bunching"]:
        rows.add_row(
            item["policy"], str(item["below"]), str(item["above"]), f"{item['expected']:.1f}", f"{item['p_value']:.2f}"
        )
    out.print(rows)
    rows = table("share of biology data", "line", "captured", title="Biology models over the line that applies")
    for item in essay["biology_dodge"]:
        rows.add_row(f"{item['share']:.2f}", magnitude(item["line"]), str(item["captured"]))
    out.print(rows)
    _print_missing(document)
    rows = table("claim", "where", "what the essay says", "what these data give", "agrees", left=5)
    rows.title = "Numeric claims of the essay"
    for claim in essay["claims"]:
        answer = {True: "yes", False: "no", None: "-"}[claim["agrees"]]
        rows.add_row(claim["id"], claim["where"], claim["claim"], claim["computed"], answer)
    out.print(rows)


def _print_rules(essay: Json) -> None:
    rows = table(
        "rule", "burden", "churn", "coverage", "at equal burden", "by chance", "FPR", "PPV", "J", "J there", "common",
        "mixed",
        title=f"Rules against the top {essay['index']['k']} of the risk index ({', '.join(essay['index']['metrics'])})",
    )  # fmt: skip
    for rule in essay["rules"]:
        rows.add_row(
            rule["rule"],
            f"{rule['burden']['point']:.0f}",
            _percent(rule["churn"]),
            _percent(rule["coverage"]["point"]),
            _percent(rule["static_coverage"]),
            _percent(rule["chance"]),
            _percent(rule["false_positive_rate"]["point"]),
            _percent(rule["ppv"]["point"]),
            "-" if rule["youden_j"]["point"] is None else f"{rule['youden_j']['point']:.2f}",
            "-" if rule["static_youden_j"] is None else f"{rule['static_youden_j']:.2f}",
            str(rule["common"]),
            f"{rule['mixed']:.1f}",
        )
    out = console()
    out.print(rows)
    out.print(
        "common, mixed: models that change side when every figure is multiplied by one factor of 1/2 to 2, or each by "
        "its own; at equal burden, J there: coverage and J of as many of the largest models",
        soft_wrap=True,
    )


def _print_flips(flips: Sequence[Json]) -> None:
    if not flips:
        return
    rows = table("model", "line", "FLOP", "changes side when", title="Which models change side, under what", left=2)
    for flip in sorted(flips, key=lambda flip: (-len(flip["under"]), -flip["flop"]))[:LARGEST]:
        rows.add_row(flip["name"], flip["policy"], magnitude(flip["flop"]), "; ".join(flip["under"]))
    out = console()
    out.print(rows)
    if (hidden := len(flips) - LARGEST) > 0:
        out.print(f"{hidden} more changes of side: --json", soft_wrap=True)


def _print_variance(parts: Sequence[Json]) -> None:
    names = list(dict.fromkeys(share["input"] for part in parts for share in part["shares"]))
    rows = table("input", *(part["policy"] for part in parts), title="Share of the variance of each count")
    for name in names:
        found = [{share["input"]: share["share"] for share in part["shares"]}[name] for part in parts]
        rows.add_row(name, *(_percent(share) for share in found))
    console().print(rows)


def _print_influence(headlines: Sequence[Json]) -> None:
    names = list(dict.fromkeys(effect["input"] for part in headlines for effect in part["inputs"]))
    rows = table("models", "mean", "sd", *names, title="What each uncertain input does to each count")
    for part in headlines:
        found = {effect["input"]: effect for effect in part["inputs"]}
        shares = [
            " / ".join(f"{100 * found[name][kind]:.0f}" for kind in ("given_data", "first_order", "total", "shapley"))
            if name in found
            else ""
            for name in names
        ]
        rows.add_row(part["headline"], f"{part['mean']:.1f}", f"{part['variance'] ** 0.5:.1f}", *shares)
    out = console()
    out.print(rows)
    out.print(
        "% of the variance: given the sample / first order / total / Shapley; errors: --json. A year on: the models of "
        "the last twelve months once more, with a year's growth",
        soft_wrap=True,
    )


def _print_missing(document: Json) -> None:
    out = console()
    if document["imputation"]:
        rows = table("way", "filled", "tried on", "band", title="Estimates of missing figures")
        for way in document["imputation"]:
            rows.add_row(way["way"], str(way["filled"]), str(way["tried"]), f"{way['band']:.3g}")
        out.print(rows)
    if document["censored"]:
        rows = table("line", "models", "expected", "90 %", title="Without a figure, possibly over 1e23: by the trend")
        for count in document["censored"]:
            rows.add_row(
                count["policy"], str(count["n"]), f"{count['expected']:.1f}", f"{count['p05']} to {count['p95']}"
            )
        out.print(rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
