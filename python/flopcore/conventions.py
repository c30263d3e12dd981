"""Conventions: what each feature of a tally is worth, read from versioned TOML files; they never see a graph."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias, cast

from . import _core
from .checker import Array, Integer, Map, Rational, Report, Table, Text, load, raise_problems
from .errors import ConventionError
from .file_schema import Schema, file_schema
from .specification import EXTENT_KINDS, PHASES, OpSpec, specification

__all__ = ["Convention", "Override", "Unit", "chosen", "convention", "conventions"]

Unit: TypeAlias = Literal["MAC", "FLOP", "instruction"]
Weight: TypeAlias = int | Fraction

DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3", "float8_e5m2", "float8_e8m0", "float4_e2m1"),
    *("int64", "int32", "int16", "int8", "int4", "int2"),
    *("uint64", "uint32", "uint16", "uint8", "uint4", "uint2", "bool"),
    *("complex64", "complex128"),
)
INTEGER_DTYPES = tuple(dtype for dtype in DTYPES if dtype.startswith(("int", "uint")) or dtype == "bool")
BRANCH_RULES = ("probability", "max", "min", "both")
LOOP_RULES = ("every run", "once")

# Which ops (with the flags of the row) each switch speaks of: it is "counted" if all of them cost something.
_SWITCH_OPS: Mapping[str, tuple[str, ...]] = {
    "elementwise": ("add", "sub", "mul", "div"),
    "activations": ("relu", "gelu", "silu", "sigmoid", "tanh"),
    "comparisons": ("relu", "max_pool", "reduce_max"),
    "transcendentals": ("gelu", "silu", "sigmoid", "tanh", "softmax"),
    "normalisation": ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"),
    "softmax": ("softmax", "log_softmax"),
    "pooling": ("max_pool", "average_pool", "adaptive_average_pool", "adaptive_max_pool"),
    "interpolation": ("interpolate_nearest", "interpolate_linear", "interpolate_cubic"),
    "reductions": ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"),
    "attention": ("attention",),
    "data_movement": ("cast", "transpose", "concat", "slice", "embedding", "gather", "pad", "tile"),
    "random_numbers": ("random_uniform", "random_normal"),
}
_STATED = (
    *("multiply_add", "bias", *_SWITCH_OPS, "integer_operations", "precision", "backward", "recompute", "optimizer"),
)


@dataclass(frozen=True, slots=True)
class Printed:
    """How a peer reads the price of a row in a text that another program printed.

    Attributes
    ----------
    digits
        Significant digits of the text.
    times
        How many times the price is printed.
    """

    digits: int
    times: int

    def of(self, price: int | Fraction) -> int:
        """Return the price that is read: printed (a tie goes to the even digit), divided, rounded down."""
        exact = Decimal(int(price * self.times))
        return int(Context(prec=self.digits, rounding=ROUND_HALF_EVEN).plus(exact)) // self.times


@dataclass(frozen=True, slots=True)
class Override:
    """Weights that replace all others for the rows that match; an empty condition matches anything.

    Attributes
    ----------
    op, origin, dtype, phase
        The row's op, origin (exact, or a prefix ending in ``*``), dtype of the first input and phase is one of these.
    variant
        Flags the row must have; a flag with ``!`` before it is one it must not have.
    weights
        One weight per feature, in the order of ops.toml.
    reason
        Why, with the source.
    printed
        If the peer reads the price of a row in a text; then only numbers are priced, and there is no `Basis`.
    """

    op: tuple[str, ...]
    variant: tuple[str, ...]
    origin: tuple[str, ...]
    dtype: tuple[str, ...]
    phase: tuple[str, ...]
    weights: tuple[Weight, ...]
    reason: str = ""
    printed: Printed | None = None

    def matches(self, *, op: str, variant: Iterable[str], origin: str, dtype: str, phase: str) -> bool:
        """Return whether a row with these properties is priced by this override."""
        flags = set(variant)
        return (
            (not self.op or op in self.op)
            and all((flag[1:] not in flags) if flag.startswith("!") else (flag in flags) for flag in self.variant)
            and (not self.origin or any(_origin_matches(pattern, origin) for pattern in self.origin))
            and (not self.dtype or dtype in self.dtype)
            and (not self.phase or phase in self.phase)
        )


@dataclass(frozen=True, slots=True, repr=False)
class Convention:
    """A named, versioned answer to "what counts as one operation".

    Attributes
    ----------
    name, version
        ``NAME``, or for a peer ``NAME-VERSION/measured`` and ``NAME/intended``; a change of meaning is a new version.
    unit
        What the result is a number of; only FLOP may be held against a threshold.
    weights
        One exact weight per feature, in the order of ops.toml, for rows that no override matches.
    overrides
        Tried in order; the first that matches a row replaces all weights for it.
    extents
        Whether each kind of extent is priced as ``nominal`` or as ``used``.
    phases
        The phases that are priced.
    branches
        How the arms of a branch are joined.
    loops
        Whether the body of a loop is priced for ``"every run"``, or as if it ran ``"once"``.
    precision
        What one operation in a dtype is worth relative to the others; 1 for a dtype that is not named.
    backward
        None if the gradient phases are priced by their own rows (or not at all); a number if a backward pass is said
        to cost that many times the forward one, and its rows are not priced (see `Tally.training`).
    aliases, summary, source, notes
        Other names, and what a reader should know.
    """

    name: str
    version: int
    unit: Unit
    weights: tuple[Weight, ...]
    overrides: tuple[Override, ...]
    extents: Mapping[str, Literal["nominal", "used"]] = field(hash=False)
    phases: tuple[str, ...]
    branches: str
    loops: str = "every run"
    precision: Mapping[str, Weight] = field(default_factory=dict, hash=False)
    backward: Weight | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Convention({self.name}@{self.version}, {self.unit}, digest {self.digest[:8]})"

    def rule_of(
        self,
        op: str,
        *,
        variant: Iterable[str] = (),
        origin: str = "builder",
        dtype: str = "float32",
        phase: str = "forward",
    ) -> int | None:
        """Return the number of the override that prices a row with these properties, or None if there is none."""
        flags = tuple(variant)
        for number, override in enumerate(self.overrides):
            if override.matches(op=op, variant=flags, origin=origin, dtype=dtype, phase=phase):
                return number
        return None

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning (all that can move a number; not the prose) as canonical JSON."""
        text = json.dumps(self._meaning(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return sha256(text.encode("ascii")).hexdigest()

    def weights_of(
        self,
        op: str,
        *,
        variant: Iterable[str] = (),
        origin: str = "builder",
        dtype: str = "float32",
        phase: str = "forward",
    ) -> tuple[Weight, ...]:
        """Return the weight of each feature for a row with these properties."""
        if phase not in self.phases:
            return (0,) * len(self.weights)
        rule = self.rule_of(op, variant=variant, origin=origin, dtype=dtype, phase=phase)
        weights = self.weights if rule is None else self.overrides[rule].weights
        scale = self.precision.get(dtype, 1)
        return weights if scale == 1 else _scaled(weights, scale)

    def compiled(self) -> _core.Convention:
        """Return the convention in the form the core prices with; a dtype with a weight gets overrides of its own."""
        general = Override((), (), (), (), (), self.weights)
        scaled = [
            replace(rule, dtype=(dtype,), weights=_scaled(rule.weights, scale))
            for dtype, scale in self.precision.items()
            for rule in (*self.overrides, general)
            if not rule.dtype or dtype in rule.dtype
        ]
        return _core.Convention(
            self.name,
            self.unit,
            self.weights,
            [
                (o.op, o.variant, o.origin, o.dtype, o.phase, o.weights, astuple(o.printed) if o.printed else (0, 1))
                for o in (*scaled, *self.overrides)
            ],
            [kind for kind, size in self.extents.items() if size == "used"],
            self.phases,
            self.branches,
            self.loops == "once",
        )

    @property
    def switches(self) -> dict[str, str]:
        """What this convention says on each question that conventions differ on, derived from its weights."""
        state = {"multiply_add": str(self.weights_of("linear")[specification().features.index("mac")])}
        state["bias"] = _summed([_charges_bias(self, op) for op in ("linear", "conv")])
        for switch, ops in _SWITCH_OPS.items():
            state[switch] = _summed([_charges(self, op) for op in ops])
        state["integer_operations"] = _summed([_charges(self, "linear", dtype=dtype) for dtype in INTEGER_DTYPES])
        by_dtype = self.precision or any(override.dtype for override in self.overrides)
        state["precision"] = "by dtype" if by_dtype else "every dtype alike"
        backward = _summed([phase in self.phases for phase in ("grad_input", "grad_weight")])
        factor = None if self.backward is None else f"{self.backward} x forward"
        state["backward"] = factor or {"counted": "by rule"}.get(backward, backward)
        state["recompute"] = _summed(["recompute" in self.phases])
        state["optimizer"] = _summed(["optimizer" in self.phases])
        return state

    def to_dict(self) -> dict[str, object]:
        """Return all of it as plain data; weights that are zero are left out, fractions are text."""
        return {
            **self._meaning(),
            "schema": "flopcore.convention/1",
            "aliases": list(self.aliases),
            "summary": self.summary,
            "source": self.source,
            "notes": list(self.notes),
            "switches": self.switches,
            "digest": self.digest,
        }

    def _meaning(self) -> dict[str, object]:
        return {
            "name": self.name,
            "version": self.version,
            "unit": self.unit,
            "weights": _named(self.weights),
            "overrides": [
                {
                    "op": list(override.op),
                    "variant": list(override.variant),
                    "origin": list(override.origin),
                    "dtype": list(override.dtype),
                    "phase": list(override.phase),
                    "weights": _named(override.weights),
                    **({"printed": asdict(override.printed)} if override.printed else {}),
                }
                for override in self.overrides
            ],
            "extents": dict(self.extents),
            "phases": list(self.phases),
            "branches": self.branches,
            "loops": self.loops,
            "precision": {dtype: _text(weight) for dtype, weight in self.precision.items()},
            "backward": None if self.backward is None else _text(self.backward),
        }


def convention(name_or_path: str | os.PathLike[str] | Convention) -> Convention:
    """Return a convention by name or alias, or from a TOML file of your own.

    Parameters
    ----------
    name_or_path
        A name or alias (see `conventions`), a name with its version (``macs@1``), or the path of a ``.toml`` file. A
        convention is returned as it is.

    Returns
    -------
    Convention
        The newest version of that name, unless a version is asked for.

    Raises
    ------
    ConventionError
        If there is no such convention, or the file does not describe one (every problem is listed).
    TypeError
        If it is no text, path or convention.

    Examples
    --------
    >>> convention("macs").unit
    'MAC'
    >>> convention("torch-2.13").name
    'torch-2.13/measured'
    """
    if isinstance(name_or_path, Convention):
        return name_or_path
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(f"a convention is a name, the path of a .toml file or a Convention, not {name_or_path!r}")
    if isinstance(name_or_path, os.PathLike) or name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as caught:
            raise ConventionError(f"cannot read the convention file {path}: {caught.strerror}") from None
        except UnicodeDecodeError:
            raise ConventionError(f"cannot read the convention file {path}: it is not UTF-8 text") from None
        return parse(text, source=str(path))
    found = _catalogue().get(name_or_path)
    if found is None:
        close = get_close_matches(name_or_path, _catalogue(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(repr(name) for name in close)}? " if close else ""
        raise ConventionError(f"there is no convention {name_or_path!r}; {hint}known: {', '.join(conventions())}")
    return found


def chosen(names: Sequence[str | Convention]) -> tuple[Convention, ...]:
    """Return several conventions; one name alone is a TypeError, lest its letters be taken for names."""
    if isinstance(names, str | Convention):
        raise TypeError(f"conventions must be a list, such as [{str(getattr(names, 'name', names))!r}]")
    return tuple(map(convention, names))


def conventions() -> tuple[str, ...]:
    """Return the names of all bundled conventions, sorted; see `convention` for aliases and versions.

    Examples
    --------
    >>> "all-arithmetic" in conventions()
    True
    """
    return tuple(sorted({found.name for found in _catalogue().values()}))


def parse(text: str, *, source: str) -> Convention:
    """Return the convention written in a TOML text; see `convention`."""
    document, report = load(text, _document(), source=source, error=ConventionError)
    rows = cast("list[dict[str, object]]", document.get("override", []))
    for index, row in enumerate(rows):
        _check_variants(cast("dict[str, list[str]]", row["match"]), f"override[{index}].match", report)
        _check_printed(row, f"override[{index}]", report)
    raise_problems(report, source=source, error=ConventionError)
    found = Convention(
        name=cast("str", document["name"]),
        version=cast("int", document["version"]),
        unit=cast("Unit", document["unit"]),
        weights=_dense(document["weights"]),
        overrides=tuple(_override(row) for row in rows),
        extents=cast("dict[str, Literal['nominal', 'used']]", document["extents"]),
        phases=tuple(cast("list[str]", document["phases"])),
        branches=cast("str", document["branches"]),
        loops=cast("str", document["loops"]),
        precision={
            dtype: Rational.value(scale)
            for dtype, scale in cast("dict[str, int | str]", document.get("precision", {})).items()
        },
        backward=None if "backward" not in document else Rational.value(cast("int | str", document["backward"])),
        aliases=tuple(cast("list[str]", document.get("aliases", []))),
        summary=cast("str", document["summary"]),
        source=cast("str", document["source"]),
        notes=tuple(cast("list[str]", document.get("notes", []))),
    )
    if found.backward is not None and {"grad_input", "grad_weight"} & set(found.phases):
        report.add("backward", "is a factor, but the phases have gradients of their own", "leave out one of them")
    for switch, stated in cast("dict[str, int | str]", document["switches"]).items():
        derived = found.switches[switch]
        said = str(Rational.value(stated)) if switch == "multiply_add" else stated
        if said != derived:
            report.add(f"switches.{switch}", f"says {said!r}, but the weights say {derived!r}", "correct one of them")
    raise_problems(report, source=source, error=ConventionError)
    return found


def convention_file_schema() -> Schema:
    """Return the JSON Schema of a convention file; `data/schemas/convention-file.schema.json` is this, written down."""
    return file_schema(_document(), name="flopcore.convention-file/1", title="A convention: a TOML file")


@cache
def _document() -> Table:
    """Return what a convention file must hold."""
    names = Array(Text(), minimum_length=1)
    switch = Text(choices=("counted", "in part", "not counted"))
    return Table(
        required={
            "schema": Text(choices=("flopcore.convention/1",)),
            "name": Text(pattern=r"[a-z0-9]+([-.][a-z0-9]+)*(/(measured|intended))?"),
            "version": Integer(minimum=1),
            "unit": Text(choices=("MAC", "FLOP", "instruction")),
            "summary": Text(),
            "source": Text(),
            "phases": Array(Text(choices=PHASES), minimum_length=1),
            "branches": Text(choices=BRANCH_RULES),
            "loops": Text(choices=LOOP_RULES),
            "switches": Table(
                required={
                    **dict.fromkeys(_STATED, switch),
                    "multiply_add": Rational(),
                    "precision": Text(choices=("every dtype alike", "by dtype")),
                    "backward": Text(pattern=r"by rule|in part|not counted|[0-9./]+ x forward"),
                }
            ),
            "extents": Table(required=dict.fromkeys(EXTENT_KINDS, Text(choices=("nominal", "used")))),
            "weights": Map(Rational(), keys=specification().features),
        },
        optional={
            "aliases": Array(Text()),
            "precision": Map(Rational(), keys=DTYPES),
            "backward": Rational(),
            "notes": Array(Text()),
            "override": Array(
                Table(
                    required={
                        "match": Table(
                            required={},
                            optional={
                                "op": Array(Text(choices=tuple(specification().ops)), minimum_length=1),
                                "variant": names,
                                "origin": names,
                                "dtype": Array(Text(choices=DTYPES), minimum_length=1),
                                "phase": Array(Text(choices=PHASES), minimum_length=1),
                            },
                        ),
                        "weights": Map(Rational(), keys=specification().features),
                        "reason": Text(),
                    },
                    optional={
                        "printed": Table(
                            required={
                                "digits": Integer(minimum=1, maximum=17),
                                "times": Integer(minimum=1, maximum=1000),
                            }
                        )
                    },
                )
            ),
        },
    )


@cache
def _catalogue() -> dict[str, Convention]:
    """Every bundled convention under its name, its aliases and ``name@version``; the newest version wins a name."""
    found = [
        parse(item.read_text(encoding="utf-8"), source=item.name)
        for item in files("flopcore").joinpath("data/conventions").iterdir()
        if item.name.endswith(".toml")
    ]
    catalogue: dict[str, Convention] = {}
    for item in sorted(found, key=lambda one: (one.version, one.name)):
        versioned = f"{item.name}@{item.version}"
        if versioned in catalogue:
            raise ConventionError(f"the convention {versioned} is defined twice")
        for name in (item.name, *item.aliases):
            if name in catalogue and catalogue[name].name != item.name:
                raise ConventionError(f"the name {name!r} belongs to {catalogue[name].name} and to {item.name}")
            catalogue[name] = item
        catalogue[versioned] = item
    return catalogue


def _check_variants(match: Mapping[str, list[str]], path: str, report: Report) -> None:
    ops = specification().ops
    known = {flag for op in match.get("op", ops) for flag in ops[op].variants}
    for index, flag in enumerate(match.get("variant", [])):
        if flag.removeprefix("!") not in known:
            allowed = ", ".join(sorted(known)) or "none"
            report.add(f"{path}.variant[{index}]", f"{flag!r} is no flag of these ops", f"their flags: {allowed}")


def _check_printed(row: Mapping[str, object], path: str, report: Report) -> None:
    printed = cast("dict[str, int]", row.get("printed", {}))
    for feature, weight in cast("dict[str, int | str]", row["weights"]).items() if printed else ():
        if Fraction(Rational.value(weight) * printed["times"]).denominator != 1:
            report.add(f"{path}.printed.times", f"makes no whole number of {weight} {feature}", "print a multiple")


def _override(row: Mapping[str, object]) -> Override:
    match = cast("dict[str, list[str]]", row["match"])
    conditions = {key: tuple(match.get(key, ())) for key in ("op", "variant", "origin", "dtype", "phase")}
    printed = cast("dict[str, int] | None", row.get("printed"))
    return Override(
        **conditions,
        weights=_dense(row["weights"]),
        reason=cast("str", row["reason"]),
        printed=None if printed is None else Printed(**printed),
    )


def _dense(weights: object) -> tuple[Weight, ...]:
    named = cast("dict[str, int | str]", weights)
    return tuple(Rational.value(named.get(feature, 0)) for feature in specification().features)


def _named(weights: tuple[Weight, ...]) -> dict[str, int | str]:
    return {feature: _text(weight) for feature, weight in zip(specification().features, weights, strict=True) if weight}


def _text(weight: Weight) -> int | str:
    return weight if isinstance(weight, int) else str(weight)


def _scaled(weights: tuple[Weight, ...], scale: Weight) -> tuple[Weight, ...]:
    return tuple(Rational.value(_text(weight * scale)) for weight in weights)


def _origin_matches(pattern: str, origin: str) -> bool:
    return origin.startswith(pattern[:-1]) if pattern.endswith("*") else origin == pattern


def _emitted(op: OpSpec) -> set[str]:
    """Features that rows of this op can have."""
    sizes = {"out_elems", "in_elems", "weight_elems", "bytes_read", "bytes_written", "weight_bytes", "cache_bytes"}
    alternatives = {feature for _, amounts in op.per_output_when for feature in amounts}
    return sizes | {amount.feature for amount in op.amounts} | set(op.per_output) | alternatives


def _charges(rule: Convention, op: str, *, dtype: str = "float32") -> bool:
    """Whether a plain row of this op costs anything, with no flag or with each flag it can have."""
    spec = specification().ops[op]
    emitted = _emitted(spec)
    return any(
        weight and feature in emitted
        for flags in ((), *((flag,) for flag in spec.variants))
        for feature, weight in zip(
            specification().features, rule.weights_of(op, variant=flags, dtype=dtype), strict=True
        )
    )


def _charges_bias(rule: Convention, op: str) -> bool:
    biased = rule.weights_of(op, variant=("bias",))
    return bool(biased[specification().features.index("add")]) or biased != rule.weights_of(op)


def _summed(charged: Iterable[bool]) -> str:
    answers = set(charged)
    return "in part" if len(answers) == 2 else ("counted" if answers == {True} else "not counted")
