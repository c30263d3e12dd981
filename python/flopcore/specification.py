"""What ops.toml says, as plain data: the ops, their inputs, attributes and counting expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from .checker import Array, Flag, Integer, Kind, Map, Report, Table, Text, load, raise_problems

__all__ = [
    "DTYPES",
    "EXTENT_KINDS",
    "PHASES",
    "Amount",
    "ExtentRule",
    "InputRules",
    "OpSpec",
    "Specification",
    "op_without_rule",
    "parse",
    "specification",
]

PHASES = ("forward", "grad_input", "grad_weight", "recompute", "optimizer")
DTYPES: Mapping[str, int] = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3": 8, "float8_e5m2": 8, "float8_e8m0": 8,
    "float4_e2m1": 4,
    "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2, "bool": 8,
    "complex64": 64, "complex128": 128,
}  # fmt: skip
"""Number formats with their bits per element, packed."""
EXTENT_KINDS = ("causal", "window", "padding_taps", "experts", "capacity", "sparsity", "dropout")


@dataclass(frozen=True, slots=True)
class Amount:
    """One row of a count: a feature, the expression of its base, and the extents that multiply it."""

    feature: str
    base: str
    extents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtentRule:
    """A part of the work that a convention may take in full (nominal) or as far as it is used.

    Of several rules under one name the first whose `when` holds counts; if none does, the nominal size of the last is
    a factor of the base.
    """

    kind: str
    when: str
    nominal: str
    used: str
    grade: str


@dataclass(frozen=True, slots=True)
class InputRules:
    """Names of the inputs that have one dtype, that are integers, and that are bool; ``*`` stands for all."""

    alike: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    bools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One op of the specification; `inputs` keeps the marks `?` (optional) and `*` (one or more), `outputs` the `*`."""

    name: str
    summary: str
    source: str
    leaf: bool
    view: bool
    family: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtypes: Mapping[str, str]
    weights: tuple[str, ...]
    cache: tuple[str, ...]
    attrs: Mapping[str, str]
    defaults: Mapping[str, str]
    accepts: InputRules
    variants: tuple[str, ...]
    let: Mapping[str, str]
    extents: Mapping[str, tuple[ExtentRule, ...]]
    amounts: tuple[Amount, ...]
    per_output: Mapping[str, int]
    per_output_when: tuple[tuple[str, Mapping[str, int]], ...]
    bytes_read: str
    shape: str
    notes: tuple[str, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the inputs without their marks."""
        return tuple(name.rstrip("?*") for name in self.inputs)

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the outputs without their marks."""
        return tuple(name.rstrip("*") for name in self.outputs)


@dataclass(frozen=True, slots=True)
class Specification:
    """All of ops.toml: the features in their order, what each size feature means, and the ops by name."""

    features: tuple[str, ...]
    sizes: Mapping[str, str]
    ops: Mapping[str, OpSpec]


@dataclass(frozen=True, slots=True)
class _AmountKind:
    """A count row [feature, base] or [feature, base, [extent, ...]]."""

    def check(self, value: object, path: str, report: Report) -> None:
        if not isinstance(value, list) or len(value) not in (2, 3):
            report.add(path, "expected [feature, base] or [feature, base, [extent, ...]]")
            return
        for index, item in enumerate(value[:2]):
            Text().check(item, f"{path}[{index}]", report)
        if len(value) == 3:
            Array(Text(), minimum_length=1).check(value[2], f"{path}[2]", report)


_NAME = "[a-z][a-z0-9_]*"
_PER_OUTPUT = Map(Integer(minimum=1))
_EXTENT = Table(
    required={
        "kind": Text(choices=EXTENT_KINDS),
        "nominal": Text(),
        "used": Text(),
        "grade": Text(choices=("exact", "expected", "bound")),
    },
    optional={"when": Text()},
)


@dataclass(frozen=True, slots=True)
class _ExtentKind:
    """One extent, or a list of alternatives."""

    def check(self, value: object, path: str, report: Report) -> None:
        if isinstance(value, list):
            Array(_EXTENT, minimum_length=1).check(value, path, report)
        else:
            _EXTENT.check(value, path, report)


# What a row and the family it belongs to may say.
_SHARED: Mapping[str, Kind] = {
    "inputs": Array(Text(pattern=rf"{_NAME}[?*]?")),
    "summary": Text(),
    "source": Text(),
    "leaf": Flag(),
    "view": Flag(),
    "weights": Array(Text()),
    "cache": Array(Text()),
    "attrs": Map(Text()),
    "defaults": Map(Text()),
    "outputs": Array(Text(pattern=rf"{_NAME}[*]?"), minimum_length=1),
    "dtypes": Map(Text()),
    "accepts": Table(required={}, optional={key: Array(Text()) for key in ("alike", "integers", "bools")}),
    "variants": Array(Text()),
    "let": Map(Text()),
    "extents": Map(_ExtentKind()),
    "count": Table(required={"forward": Array(_AmountKind())}),
    "per_output": _PER_OUTPUT,
    "per_output_when": Array(Table(required={"when": Text(), "per_output": _PER_OUTPUT})),
    "shape": Text(),
    "bytes_read": Text(),
    "notes": Array(Text()),
}
_NEEDED = ("inputs", "summary", "source")
_OP = Table(
    required={"name": Text(pattern=_NAME), **{key: _SHARED[key] for key in _NEEDED}},
    optional={key: kind for key, kind in _SHARED.items() if key not in _NEEDED},
)
_FAMILY = Table(required={"op": Map(Table(required={}, optional=_SHARED))}, optional=_SHARED)
_DOCUMENT = Table(
    required={
        "schema": Text(choices=("flopcore.ops/1",)),
        "features": Array(Text(), minimum_length=1),
        "sizes": Map(Text()),
        "op": Array(_OP, minimum_length=1),
    },
    optional={"family": Map(_FAMILY)},
)


@cache
def specification() -> Specification:
    """Return the specification of every op.

    Raises
    ------
    DataError
        Listing everything that is wrong with ops.toml.
    """
    return parse(files("flopcore").joinpath("data/ops.toml").read_text(encoding="utf-8"), source="ops.toml")


def op_without_rule(name: str, *, n_inputs: int, weights: Sequence[int]) -> OpSpec:
    """Return an op of which nothing but its sizes is known: inputs ``i0``, ``i1`` ..., any outputs."""
    row: dict[str, object] = {"name": name, "summary": "", "source": "registered by the user", "outputs": ["y*"]}
    return _op(row | {"inputs": [f"i{i}?" for i in range(n_inputs)], "weights": [f"i{i}" for i in weights]})


def parse(text: str, *, source: str) -> Specification:
    """Return the specification written in a TOML text; see `specification`."""
    document, report = load(text, _DOCUMENT, source=source)
    features = tuple(cast("list[str]", document["features"]))
    ops: dict[str, OpSpec] = {}
    for path, row in _rows(document, report):
        op = _op(row)
        if op.name in ops:
            report.add(f"{path}.name", f"{op.name!r} is defined twice", "names are unique")
        ops[op.name] = op
        _check_names(op, features, path, report)
    raise_problems(report, source=source)
    return Specification(features, cast("dict[str, str]", document["sizes"]), ops)


def _rows(document: Mapping[str, object], report: Report) -> list[tuple[str, dict[str, object]]]:
    """Return each op's row with its path; a row of a family has what the family shares, unless it says otherwise."""
    rows = [(f"op[{index}]", row) for index, row in enumerate(cast("list[dict[str, object]]", document["op"]))]
    for family, shared in cast("dict[str, dict[str, object]]", document.get("family", {})).items():
        common = {key: value for key, value in shared.items() if key != "op"}
        for name, own in cast("dict[str, dict[str, object]]", shared["op"]).items():
            row = {**common, **own, "family": family, "name": name}
            path = f"family.{family}.op.{name}"
            for key in _NEEDED:
                if key not in row:
                    report.add(path, f"{key!r} is missing", "give it to the op or to its family")
            rows.append((path, row))
    raise_problems(report, source="ops.toml")
    return rows


def _check_names(op: OpSpec, features: tuple[str, ...], path: str, report: Report) -> None:
    used = [amount.feature for amount in op.amounts] + list(op.per_output)
    used += [feature for _, amounts in op.per_output_when for feature in amounts]
    for feature in sorted(set(used) - set(features)):
        report.add(f"{path}.count", f"{feature!r} is not a feature", "see the list at the top")
    for name in sorted({name for amount in op.amounts for name in amount.extents} - set(op.extents)):
        report.add(f"{path}.count", f"extent {name!r} is not defined", "add it to extents")
    for key, names in (("weights", op.weights), ("cache", op.cache)):
        for name in sorted(set(names) - set(op.slots)):
            report.add(f"{path}.{key}", f"{name!r} is not an input")
    for name, dtype in op.dtypes.items():
        if name not in op.results:
            report.add(f"{path}.dtypes", f"{name!r} is not an output")
        if dtype not in DTYPES and dtype not in op.slots:
            report.add(f"{path}.dtypes", f"{dtype!r} is neither a dtype nor an input")
    named = (*op.accepts.alike, *op.accepts.integers, *op.accepts.bools)
    for name in sorted(set(named) - {*op.slots, "*"}):
        report.add(f"{path}.accepts", f"{name!r} is not an input")
    for name in sorted(set(op.defaults) - set(op.attrs)):
        report.add(f"{path}.defaults", f"{name!r} is not an attribute")


def _op(row: dict[str, object]) -> OpSpec:
    forward = cast("dict[str, list[list[object]]]", row.get("count", {})).get("forward", [])
    extents = cast("dict[str, dict[str, str] | list[dict[str, str]]]", row.get("extents", {}))
    alternatives = cast("list[dict[str, object]]", row.get("per_output_when", []))
    return OpSpec(
        name=cast("str", row["name"]),
        summary=cast("str", row["summary"]),
        source=cast("str", row["source"]),
        leaf=bool(row.get("leaf", False)),
        view=bool(row.get("view", False)),
        family=cast("str", row.get("family", "")),
        inputs=tuple(cast("list[str]", row["inputs"])),
        outputs=tuple(cast("list[str]", row.get("outputs", ["y"]))),
        dtypes=cast("dict[str, str]", row.get("dtypes", {})),
        weights=tuple(cast("list[str]", row.get("weights", []))),
        cache=tuple(cast("list[str]", row.get("cache", []))),
        attrs=cast("dict[str, str]", row.get("attrs", {})),
        defaults=cast("dict[str, str]", row.get("defaults", {})),
        accepts=InputRules(
            **{key: tuple(names) for key, names in cast("dict[str, list[str]]", row.get("accepts", {})).items()}
        ),
        variants=tuple(cast("list[str]", row.get("variants", []))),
        let=cast("dict[str, str]", row.get("let", {})),
        extents={
            name: tuple(
                ExtentRule(one["kind"], one.get("when", "True"), one["nominal"], one["used"], one["grade"])
                for one in (rules if isinstance(rules, list) else [rules])
            )
            for name, rules in extents.items()
        },
        amounts=tuple(
            Amount(cast("str", item[0]), cast("str", item[1]), tuple(cast("list[str]", item[2] if item[2:] else [])))
            for item in forward
        ),
        per_output=cast("dict[str, int]", row.get("per_output", {})),
        per_output_when=tuple(
            (cast("str", item["when"]), cast("dict[str, int]", item["per_output"])) for item in alternatives
        ),
        bytes_read=cast("str", row.get("bytes_read", "")),
        shape=cast("str", row.get("shape", "")),
        notes=tuple(cast("list[str]", row.get("notes", []))),
    )
