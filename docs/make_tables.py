"""Writes OPS.md from ops.toml and CONVENTIONS.md from the convention files: ``python docs/make_tables.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

from flopcore.conventions import Convention, Override, convention, convention_file_schema, conventions
from flopcore.specification import OpSpec, specification

HERE = Path(__file__).parent
# The columns of the table of switches, and how their values are abbreviated in it.
SHOWN = (
    *("multiply_add", "bias", "elementwise", "activations", "normalisation", "softmax", "pooling", "reductions"),
    *("attention", "integer_operations"),
)
SHORT = {"counted": "yes", "in part": "part", "not counted": "-"}
OWN = (
    "## A convention of your own",
    "",
    'Is a TOML file: read it with `fc.convention("mine.toml")` or give it to `--convention mine.toml`. Every key is',
    "required but `aliases`, `notes`, `precision`, `backward` and `[[override]]`. A weight left out is 0; one that is",
    'no integer is text (`"1/2"`). `[precision]` says what one operation in a dtype, that of the first input, is worth',
    "(1 where it does not). `backward = 2` says that a backward pass is taken as twice the forward one",
    "(`tally.training_flop`), for conventions that price no gradient rows. An override replaces all weights for the",
    "rows that match its `op`, `variant` (flags the row must have, or with a leading `!` must not have), `origin`",
    "(exact, or a prefix ending in `*`), `dtype` and `phase`; the first that matches wins. With",
    "`printed = { digits = 4, times = 2 }` the price of a row, while its dims are numbers, is what would be read in a",
    "text: twice the price in four significant digits, halved, rounded down. A file with mistakes gives one error that",
    "lists all of them by line; editors may use the JSON Schema",
    "`flopcore/data/schemas/convention-file.schema.json`. This is `macs`:",
    "",
)
ORIGIN = "<!-- Made by docs/make_tables.py from {source}; change that, not this. -->\n\n"


def ops_page() -> str:
    """Return the text of OPS.md."""
    spec = specification()
    lines = [
        ORIGIN.format(source="python/flopcore/data/ops.toml") + "# Ops and what they count",
        "",
        "Counts are exact and free of any convention: a row is an amount of one *feature*; a convention says what a",
        "feature is worth. `n(t)` is the number of elements of tensor t (`y` is the output), `d(t, i)` the size of",
        "its dim i, `n_except(t, axes)` the product of the other dims, `has(t)` 1 if an optional input is given. A",
        "row with an extent is multiplied by its full (nominal) or its used size, as the convention says.",
        "",
        "## Features",
        "",
        "Primitives, one operation each: " + ", ".join(f"`{name}`" for name in spec.features[:20]) + ".",
        "",
        "Every op that is no leaf also has these sizes, where they are not zero:",
        "",
        "| size | is |",
        "|---|---|",
        *(f"| `{name}` | {_cell(text)} |" for name, text in spec.sizes.items() if name in spec.features),
        "",
        "## Ops",
        "",
        "| op | computes | source |",
        "|---|---|---|",
        *(f"| [`{op.name}`](#{op.name}) | {_cell(op.summary)} | {_cell(op.source)} |" for op in spec.ops.values()),
        "",
    ]
    for op in spec.ops.values():
        lines += [] if op.family == "elementwise" else _op_section(op)
    lines += _elementwise_section([op for op in spec.ops.values() if op.family == "elementwise"])
    return "\n".join(lines).rstrip() + "\n"


def conventions_page() -> str:
    """Return the text of CONVENTIONS.md."""
    found = [convention(name) for name in conventions()]
    lines = [
        ORIGIN.format(source="python/flopcore/data/conventions") + "# Conventions",
        "",
        "A convention says what each feature of a tally is worth, which extents count in full (*nominal*) or as far",
        "as they are *used*, and which phases count. `NAME-VERSION/measured` reproduces what a peer reports, bugs",
        "included; `NAME/intended` is its documented rule. Only a number in FLOP may be held against a threshold.",
        "",
        "| name | also | unit | in one line |",
        "|---|---|---|---|",
        *(
            f"| [`{one.name}`](#{_anchor(one.name)}) | {_codes(one.aliases)} | {one.unit} | {_cell(one.summary)} |"
            for one in found
        ),
        "",
        "`tally.explain(name)`, or `flopcore count MODEL --convention NAME --explain`, says which of these rules",
        "priced what, which assumptions were made and what was left out; `flopcore diff MODEL A B` says which rows",
        "make two conventions differ.",
        "",
        "## Switches",
        "",
        "Stated in each file and checked against its weights when it is read. Yes: counted; part: some of the ops the",
        "switch speaks of. All switches of a convention stand in its section below.",
        "",
        "| | " + " | ".join(name.replace("_", " ") for name in SHOWN) + " | causal |",
        "|---|" + "---|" * (len(SHOWN) + 1),
    ]
    lines += [
        f"| `{one.name}` | "
        + " | ".join(SHORT.get(one.switches[name], one.switches[name]) for name in SHOWN)
        + f" | {one.extents['causal']} |"
        for one in found
    ]
    lines += ["", *OWN, "```toml", _file("macs.toml").rstrip(), "```", "", "## One by one", ""]
    for one in found:
        lines += _convention_section(one)
    return "\n".join(lines).rstrip() + "\n"


def _file(name: str) -> str:
    return files("flopcore").joinpath("data/conventions", name).read_text(encoding="utf-8")


def _op_section(op: OpSpec) -> list[str]:
    lines = [f"### {op.name}", "", _text(op.summary), ""]
    if op.inputs:
        slots = [f"`{slot}`" + (" (weight)" if slot.rstrip("?*") in op.weights else "") for slot in op.inputs]
        lines.append("- inputs: " + ", ".join(slots))
    if op.outputs != ("y",):
        slots = [f"`{slot}`" + (f" ({op.dtypes[slot]})" if slot in op.dtypes else "") for slot in op.outputs]
        lines.append("- outputs: " + ", ".join(slots))
    for name, kind in op.attrs.items():
        default = f" (default `{op.defaults[name]}`)" if name in op.defaults else ""
        lines.append(f"- attribute `{name}`: {_text(kind)}{default}")
    if not op.leaf:
        lines.append(f"- shape: {_text(op.shape or 'the inputs broadcast')}")
    if op.variants:
        lines.append("- flags: " + _codes(op.variants))
    if op.view:
        lines.append("- a view: no bytes are read or written")
    lines += [f"- bytes read: `{op.bytes_read}`"] if op.bytes_read else []
    lines += [f"- with `{name} = {value}`" for name, value in op.let.items()]
    lines += [f"- note: {_text(note)}" for note in op.notes]
    rows = [(amount.feature, amount.base, ", ".join(amount.extents)) for amount in op.amounts]
    rows += [(feature, f"{each} n(y)" if each > 1 else "n(y)", "") for feature, each in op.per_output.items()]
    for when, amounts in op.per_output_when:
        rows += [(feature, f"{each} n(y) if {when}, instead", "") for feature, each in amounts.items()]
    if rows:
        lines += ["", "| feature | amount | extent |", "|---|---|---|"]
        lines += [f"| `{feature}` | `{base}` | {extents} |" for feature, base, extents in rows]
    lines += [
        f"\nExtent `{name}` ({rule.kind}, {rule.grade}) when `{rule.when}`:"
        f" nominal `{rule.nominal}`, used `{rule.used}`."
        for name, rules in op.extents.items()
        for rule in rules
    ]
    return [*lines, ""]


def _elementwise_section(ops: list[OpSpec]) -> list[str]:
    """Return one table of all elementwise ops: what an element of the output costs."""
    lines = ["### elementwise", "", "The inputs broadcast, and each element of the output costs the same.", ""]
    lines += ["| op | inputs | attributes | an element costs | notes |", "|---|---|---|---|---|"]
    for op in ops:
        cost = [_per_element(op.per_output), *(f"`{row.base}` {row.feature} in all" for row in op.amounts)]
        cost += [f"{_per_element(amounts)} if `{when}`" for when, amounts in op.per_output_when]
        attrs = [f"`{name}`: {kind}" for name, kind in op.attrs.items()]
        cells = [_codes(op.inputs), "; ".join(attrs), "; ".join(filter(None, cost)), "; ".join(op.notes)]
        lines.append(f'| <a id="{op.name}"></a>`{op.name}` | ' + " | ".join(map(_cell, cells)) + " |")
    return [*lines, ""]


def _per_element(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{each} {feature}" for feature, each in amounts.items())


def _convention_section(one: Convention) -> list[str]:
    lines = [f"### {one.name}", "", _text(one.summary), ""]
    lines += [f"- source: {_text(one.source)}", f"- version {one.version}, digest `{one.digest[:16]}`"]
    lines += [f"- phases: {', '.join(one.phases)}; branches: {one.branches}; loops: {one.loops}"]
    for state in ("counted", "in part", "not counted"):
        named = [name.replace("_", " ") for name, value in one.switches.items() if value == state]
        lines += [f"- {state}: {', '.join(named)}"] if named else []
    for state in ("nominal", "used"):
        named = [kind.replace("_", " ") for kind, value in one.extents.items() if value == state]
        lines += [f"- extents taken as {state}: {', '.join(named)}"] if named else []
    lines += [f"- {_text(note)}" for note in one.notes]
    lines += ["", "| rows | price | because |", "|---|---|---|"]
    lines += [
        f"| {_matched(rule)} | {_form(rule.weights)}{_read(rule)} | {_cell(rule.reason)} |" for rule in one.overrides
    ]
    lines += [f"| {'all others' if one.overrides else 'all'} | {_form(one.weights)} | |", ""]
    return lines


def _matched(rule: Override) -> str:
    parts = [_codes(rule.op) or "any op"]
    parts += [f"{word} {_codes(values)}" for word, values in (
        ("with", rule.variant), ("from", rule.origin), ("in", rule.dtype), ("in phase", rule.phase),
    ) if values]  # fmt: skip
    return " ".join(parts)


def _read(rule: Override) -> str:
    """Return how a price is rounded, if it is."""
    if rule.printed is None:
        return ""
    return f", {rule.printed.times} times it printed to {rule.printed.digits} digits, divided, rounded down"


def _form(weights: tuple[int | Fraction, ...]) -> str:
    terms = []
    for feature, weight in zip(specification().features, weights, strict=True):
        if weight:
            sign = "-" if weight < 0 else "+"
            size = "" if abs(weight) == 1 else f"{abs(weight)} "
            terms.append(f"{sign} {size}{feature}")
    return f"`{' '.join(terms).removeprefix('+ ')}`" if terms else "0"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _anchor(name: str) -> str:
    return name.replace(".", "").replace("/", "")


def _text(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return text.replace("*", "\\*").replace("<", "&lt;").replace("_", "\\_")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def convention_schema() -> str:
    """Return the JSON Schema of convention files."""
    return json.dumps(convention_file_schema(), indent=2) + "\n"


PAGES = {
    "OPS.md": ops_page,
    "CONVENTIONS.md": conventions_page,
    "../python/flopcore/data/schemas/convention-file.schema.json": convention_schema,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
