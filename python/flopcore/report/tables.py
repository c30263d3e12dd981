"""Tables of the JSON documents, for people to read. rich is imported only where something is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "model_rows",
    "print_compare",
    "print_convention",
    "print_conventions",
    "print_count",
    "print_diff",
    "print_estimate",
    "print_facts",
    "print_show",
    "print_study",
]

LARGEST = 25
"""How many models a study's table lists."""

# A document as JSON has it; its schema says what is where.
Json = Mapping[str, Any]


def grouped(value: object) -> str:
    """Return an integer with separators, any other value as text; "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


def share(part: object, whole: object) -> str:
    """Return a part of a whole as a percentage, or nothing where either is not a number."""
    return f"{100 * part / whole:.1f} %" if isinstance(part, int) and isinstance(whole, int) and whole else ""


def magnitude(value: float) -> str:
    """Return a number with four digits: 3.791e+25."""
    return f"{value:.4g}"


def console() -> Console:
    """Return a console on stdout; rich itself honours NO_COLOR and COLUMNS. A pipe is 120 columns wide."""
    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=120 if piped else None)


def table(*columns: str, title: str | None = None, left: int = 1) -> Table:
    """Return an empty table whose first `left` columns are text and whose others are numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return made


def _parameters(document: Json) -> str:
    """Return the number of parameters, and of those that one token goes through where they are fewer."""
    total, active = document["parameters"], document["active_parameters"]
    if active is None and total is not None:
        return f"{grouped(total)}, active not known"
    return grouped(total) if active == total else f"{grouped(total)}, active {grouped(active)}"


def print_count(document: Json) -> None:
    """Print a document of schema flopcore.count/1."""
    out = console()
    total = document["expr"] if document["flop"] is None else grouped(document["flop"])
    out.print(f"{document['model']}: {total} {document['unit']}", soft_wrap=True)
    out.print(f"parameters: {_parameters(document)}", soft_wrap=True)
    out.print(f"convention: {_named(document['convention'])}", soft_wrap=True)
    bound = [f"{name}={size}" for name, size in document["dims"].items() if size is not None]
    if bound:
        out.print(f"dims: {', '.join(bound)}", soft_wrap=True)
    if document["unsupported"]:
        listed = ", ".join(f"{row['op']} x {row['nodes']}" for row in document["unsupported"])
        out.print(f"incomplete: no rule for {listed}", soft_wrap=True)
    if document["verified"] is not None:
        out.print(f"verified: the reference implementation counts {grouped(document['verified'])}", soft_wrap=True)
    for axis, parts in document["by"].items():
        rows = table(axis, document["unit"], "share")
        for key, part in sorted(parts.items(), key=lambda item: -item[1] if isinstance(item[1], int) else 0):
            rows.add_row(key or "(top)", grouped(part), share(part, document["flop"]))
        out.print(rows)
    if document["bytes"] is not None:
        columns = ("weights", "activations", "reads", "writes", "cache")
        rows = table("op", *columns, title="Bytes")
        for op, moved in document["bytes"].items():
            rows.add_row(op, *(grouped(moved[column]) for column in columns))
        out.print(rows)
    if document["explanation"] is not None:
        _print_explanation(out, document["explanation"], document["unit"])


def _print_explanation(out: Console, explanation: Json, unit: str) -> None:
    if "charges" in explanation:
        rows = table("op", "nodes", unit, "by feature", "because", title="What was counted")
        rows.columns[-1].justify = "left"
        for charge in explanation["charges"]:
            terms = ", ".join(f"{feature} {grouped(price)}" for feature, price in charge["terms"].items())
            reason = charge["reason"] or "general weights"
            rows.add_row(_rows_named(charge), str(charge["nodes"]), grouped(charge["price"]), terms, reason)
        out.print(rows)
    if explanation["uncounted"]:
        rows = table("op", "nodes", "operations at most", "bytes", "because", title="What was not counted")
        rows.columns[-1].justify = "left"
        for row in explanation["uncounted"]:
            amounts = (grouped(row["at_most"]), grouped(row["bytes"]))
            rows.add_row(_rows_named(row), str(row["nodes"]), *amounts, row["reason"])
        out.print(rows)
    for one in explanation.get("assumptions", []):
        grades = " and ".join(one["grades"])
        other = "used" if one["taken"] == "nominal" else "nominal"
        out.print(
            f"assumed: {one['extent']} work as {one['taken']} ({grades}); "
            f"taken as {other} the count is {grouped(one['otherwise'])}",
            soft_wrap=True,
        )
    coverage = explanation["coverage"]
    rate = "" if coverage["share"] is None else f", {100 * coverage['share']:.4f} % of their operations"
    out.print(
        f"coverage: {coverage['priced_nodes']:,} of {coverage['nodes']:,} nodes cost something{rate} "
        f"({coverage['bound']}: {grouped(coverage['priced_operations'])} of {grouped(coverage['operations'])})",
        soft_wrap=True,
    )
    for note in explanation.get("notes", []):
        out.print(f"note: {note}", soft_wrap=True)


def _rows_named(row: Json) -> str:
    """Return the op and flags of rows, and whatever else is not the usual."""
    extra = [*row["variant"], *([] if row["phase"] == "forward" else [row["phase"]])]
    return " ".join([row["op"], *extra])


def print_diff(document: Json) -> None:
    """Print a document of schema flopcore.diff/1."""
    out = console()
    left, right = document["totals"]
    for total in (left, right):
        named = f"{total['convention']}@{total['version']}"
        out.print(f"{named}: {grouped(total['total'])} {total['unit']}", soft_wrap=True)
    rows = table("rows", "feature", left["convention"], right["convention"], "difference", left=2)
    for row in document["rows"]:
        amounts = (grouped(row["left"]), grouped(row["right"]), grouped(row["difference"]))
        rows.add_row(_rows_named(row), row["feature"], *amounts)
    out.print(rows)
    if left["unit"] != right["unit"]:
        out.print(f"note: {left['unit']} and {right['unit']} are compared as plain numbers", soft_wrap=True)


def print_compare(document: Json) -> None:
    """Print a document of schema flopcore.compare/1."""
    out = console()
    out.print(f"{document['model']}: {grouped(document['parameters'])} parameters", soft_wrap=True)
    totals = table("convention", "unit", "count", "of the first", left=2)
    first = document["results"][0]["flop"]
    for result in document["results"]:
        count = result["expr"] if result["flop"] is None else result["flop"]
        totals.add_row(_named(result["convention"]), result["unit"], grouped(count), share(result["flop"], first))
    out.print(totals)
    names = [result["convention"]["name"] for result in document["results"]]
    rows = table("op", *names)
    for op, parts in document["by"].items():
        rows.add_row(op, *(grouped(parts[name]) for name in names))
    out.print(rows)


def print_show(document: Json) -> None:
    """Print a document of schema flopcore.show/1."""
    out = console()
    out.print(f"{document['model']}: convention {_named(document['convention'])}", soft_wrap=True)
    sparse = document["active_parameters"] != document["parameters"]
    rows = table("module", document["unit"], "share", "parameters", "share", *(["active"] if sparse else []))
    for module in document["modules"]:
        cost = module["expr"] if module["flop"] is None else module["flop"]
        rows.add_row(
            "  " * module["level"] + (module["name"] or "(model)"),
            grouped(cost),
            share(module["flop"], document["flop"]),
            grouped(module["parameters"]),
            share(module["parameters"], document["parameters"]),
            *([grouped(module["active_parameters"])] if sparse else []),
        )
    out.print(rows)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    rows = table("", "", left=2)
    rows.show_header = False
    for name, value in facts.items():
        rows.add_row(name, str(value))
    console().print(rows)


def print_conventions(document: Json) -> None:
    """Print a document of schema flopcore.conventions/1."""
    rows = table("convention", "unit", "also", "what it counts", left=4)
    for convention in document["conventions"]:
        rows.add_row(_named(convention), convention["unit"], ", ".join(convention["aliases"]), convention["summary"])
    console().print(rows)


def print_convention(convention: Json) -> None:
    """Print one convention: what it says on each switch, its weights, source and notes."""
    out = console()
    out.print(f"{_named(convention)}: {convention['summary']}", soft_wrap=True)
    out.print(f"unit {convention['unit']}, digest {convention['digest']}", soft_wrap=True)
    rows = table("question", "answer", left=2)
    for question, answer in convention["switches"].items():
        rows.add_row(question, answer)
    for kind, size in convention["extents"].items():
        rows.add_row(f"{kind} extent", size)
    for dtype, weight in convention["precision"].items():
        rows.add_row(f"weight of {dtype}", str(weight))
    rows.add_row("arms of a branch", convention["branches"])
    rows.add_row("runs of a loop", convention["loops"])
    out.print(rows)
    out.print(f"source: {convention['source']}", soft_wrap=True)
    for note in convention["notes"]:
        out.print(f"note: {note}", soft_wrap=True)


def print_estimate(document: Json) -> None:
    """Print a document of schema flopcore.estimate/1."""
    out = console()
    out.print(f"{magnitude(document['flop'])} FLOP of training compute by {document['method']}", soft_wrap=True)
    if document["p05"] != document["p95"]:
        out.print(f"90 % interval {magnitude(document['p05'])} to {magnitude(document['p95'])}", soft_wrap=True)
    for given in document["inputs"]:
        value = given["value"] if "value" in given else f"{given['low']:.6g} to {given['high']:.6g}, {given['shape']}"
        out.print(f"  {given['name']}: {f'{value:.6g}' if isinstance(value, int | float) else value}", soft_wrap=True)
    if document["exact"] is not None:
        exact = document["exact"]
        out.print(
            f"exact walk: {magnitude(exact['flop'])} FLOP; the estimate is {exact['ratio']:.4f} of it", soft_wrap=True
        )
    rows = table("threshold", "where", "status", "read", "line", "verdict", "P(over)", left=4)
    for line in document["thresholds"]:
        rows.add_row(
            line["policy"] + (" *" if line["modality"] else ""),
            line["jurisdiction"],
            line["status"],
            line["grade"],
            f"{line['comparator']} {magnitude(line['threshold'])}",
            line["verdict"],
            f"{line['probability']:.3f}",
        )
    out.print(rows)
    if any(line["modality"] for line in document["thresholds"]):
        out.print("* only for models of the kind that the text names", soft_wrap=True)
    out.print("read: V the primary wording was read, S good secondary sources only", soft_wrap=True)
    for note in document["notes"]:
        out.print(f"note: {note}", soft_wrap=True)


def print_study(document: Json, *, parts: Callable[[], None]) -> None:
    """Print counts per line, year and class, the largest models, what `parts` prints, and the reading."""
    out = console()
    out.print(f"{len(document['models'])} models, {document['draws']:,} draws, seed {document['seed']}", soft_wrap=True)
    lines = table(
        "line", "models", "over by figure", "expected", "90 % interval", "MC error", title="Models over each line"
    )
    for count in document["thresholds"]:
        lines.add_row(
            count["policy"],
            str(count["n_models"]),
            str(count["point"]),
            f"{count['expected']:.2f}",
            f"{count['p05']} to {count['p95']}",
            "-" if count["mc_error"] is None else f"{count['mc_error']:.1g}",
        )
    out.print(lines)
    policies = [count["policy"] for count in document["thresholds"]]
    for title, axis, groups in (("By year", "year", "per_year"), ("By reference class", "domain", "per_domain")):
        rows = table(axis, "models", *policies, title=f"{title}: expected number over each line, and its 90 % interval")
        for group in document[groups]:
            expected = [_with_interval(count) for count in group["thresholds"]]
            rows.add_row(str(group[axis]), str(group["n_models"]), *expected)
        out.print(rows)
    rules = [rule["rule"] for rule in document["dynamic"][0]["rules"]]
    rows = table(
        "year",
        "models",
        *rules,
        f"{rules[0]} starts at",
        title="By year: models over lines that move with the field, by figure",
    )
    for year in document["dynamic"]:
        captured = [str(rule["point"]) for rule in year["rules"]]
        rows.add_row(str(year["year"]), str(year["n_models"]), *captured, f"{year['rules'][0]['cutoff']:.3g}")
    out.print(rows)
    rows = table(
        "way of counting", *policies, title="By way of counting: models over each line by figure, and expected number"
    )
    for other in ({"scenario": document["scenario"], "thresholds": document["thresholds"]}, *document["scenarios"]):
        rows.add_row(other["scenario"], *(f"{c['point']} ({c['expected']:.1f})" for c in other["thresholds"]))
    out.print(rows)
    largest = sorted(document["models"], key=lambda model: -model["flop"])[:LARGEST]
    rows = table(
        "model", "date", "FLOP", *policies, left=2, title="The largest models: probability of being over each line"
    )
    for model in largest:
        shares = [f"{model['probability'][name]:.3f}" if name in model["probability"] else "" for name in policies]
        rows.add_row(model["name"], model["date"], magnitude(model["flop"]), *shares)
    out.print(rows)
    if (hidden := len(document["models"]) - len(largest)) > 0:
        out.print(f"{hidden} more models: --json or --csv", soft_wrap=True)
    parts()
    for model in document["excluded"][:LARGEST]:
        out.print(f"left out: {model['name']} ({model['reason']})", soft_wrap=True)
    if (hidden := len(document["excluded"]) - LARGEST) > 0:
        out.print(f"left out: {hidden} more without a figure: --json", soft_wrap=True)
    if remarks := document["population"]["remarks"]:
        out.print(f"remarks on the data: {len(remarks)}, see --json", soft_wrap=True)
    for sentence in document["reading"]:
        out.print(sentence, soft_wrap=True)


def _with_interval(count: Json) -> str:
    """Return three digits of the expected number with its interval, on one line: 9.78 7-13."""
    digits = max(0, 3 - len(str(int(count["expected"]))))
    return f"{count['expected']:.{digits}f}\N{NO-BREAK SPACE}{count['p05']}-{count['p95']}"


def model_rows(document: Json) -> Iterator[list[str]]:
    """Yield the models of a document of schema flopcore.study/1 as rows of text, a header first."""
    policies = [count["policy"] for count in document["thresholds"]]
    facts = ["key", "name", "date", "developer", "domain", "flop", "confidence"]
    yield [*facts, *(f"P({policy})" for policy in policies)]
    for model in document["models"]:
        yield [*(str(model[fact]) for fact in facts), *(str(model["probability"].get(name, "")) for name in policies)]


def _named(convention: Json) -> str:
    return f"{convention['name']}@{convention['version']}"
