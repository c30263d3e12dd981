"""Compiles nodes to the core's bytecode: stages, registers, and the arrays that a plan is sent around as."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import LogTerm
from .program import Node, Rank, check_size
from .program_inputs import Source
from .sobol import directions
from .sweep_plan import Precision, Streams, TermColumns, Terms

__all__ = ["CoreSink", "ProgramSpec", "compile_program"]

SinkKind: TypeAlias = Literal["exceed", "table", "moments", "histogram", "values"]

_SINKS: tuple[SinkKind, ...] = ("exceed", "table", "moments", "histogram", "values")
# In the order of Opcode in cpp/include/flopcore/simd.hpp.
_ARITHMETIC = "fill add sub mul div min max pow less less_equal equal select log log10 exp exp10 sqrt floor lookup"
_OPCODES = (*_ARITHMETIC.split(), "draw", "couple", "store", "load", "order", "sink")
_CODES = {name: code for code, name in enumerate(_OPCODES)}
_START = {"total": 0.0, "highest": -np.inf, "lowest": np.inf}
_JOIN = {"total": "add", "highest": "max", "lowest": "min"}
_NO_GROUPS = np.empty(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class CoreSink:
    """A sink as the core takes it; the fields are those of ``Sink`` in cpp/include/flopcore/program.hpp."""

    kind: SinkKind
    inputs: tuple[Node, ...]
    of_entities: bool = False
    apart: bool = False
    n_categories: int = 1
    numbers: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    n_thresholds: int = 0
    group: NDArray[np.uint32] = field(default_factory=lambda: _NO_GROUPS)
    n_groups: int = 0
    joint: bool = False


_VariableFields: TypeAlias = tuple[bool, TermColumns, NDArray[np.float64], NDArray[np.uint32], int]
_SinkFields: TypeAlias = tuple[
    str,
    int,
    bool,
    bool,
    int,
    NDArray[np.uint32],
    NDArray[np.float64],
    int,
    NDArray[np.uint32],
    int,
    bool,
]


@dataclass(frozen=True, slots=True, eq=False)
class ProgramSpec:
    """A program as data: it can be sent to another process and named by a digest.

    The fields are those of ``ProgramInputs`` in cpp/include/flopcore/program.hpp.
    """

    key: tuple[int, int]
    precision: Precision
    n_registers: int
    n_slots: int
    constants: NDArray[np.float64]
    columns: NDArray[np.float64]
    code: NDArray[np.uint32]
    section_ends: NDArray[np.uint64]
    variables: tuple[_VariableFields, ...]
    members: tuple[NDArray[np.uint32], ...]
    sinks: tuple[_SinkFields, ...]
    variable_names: tuple[str, ...] = ()  # of each of `variables`

    @property
    def is_correlated(self) -> bool:
        """Whether some of the inputs are correlated."""
        return bool(np.any(self.code[:, 0] == _CODES["couple"]))

    def build(self) -> _core.ProgramPlan:
        """Return the core's plan."""
        return _core.ProgramPlan(
            key=self.key,
            single=self.precision == "single",
            n_registers=self.n_registers,
            n_slots=self.n_slots,
            constants=self.constants,
            columns=self.columns,
            code=self.code,
            section_ends=self.section_ends,
            variables=list(self.variables),
            members=list(self.members),
            sinks=list(self.sinks),
        )

    def digest(self) -> str:
        """Return SHA-256 over everything that the counters of a range of draws depend on."""
        head = f"flopcore program, stream {_core.stream_version}, {self.precision}, {self.key}, {self.n_slots}"
        state = hashlib.sha256(head.encode())

        def update(value: object) -> None:
            if isinstance(value, np.ndarray):
                state.update(f"{value.dtype.str}{value.shape}".encode())
                state.update(value.tobytes())
            elif isinstance(value, tuple):
                state.update(f"({len(value)}".encode())
                for item in value:
                    update(item)
            else:
                state.update(repr(value).encode())

        update((self.constants, self.columns, self.code, self.section_ends, self.variables, self.members, self.sinks))
        return state.hexdigest()


@dataclass(slots=True)
class _Step:
    """One instruction over virtual registers; `reads` lists those it reads, `to` the one it writes."""

    op: str
    to: int | None
    reads: tuple[int, ...]
    # Operands a, b, c: ("reg", virtual register), ("const", index), ("column", index) or ("raw", number).
    operands: tuple[tuple[str, int], ...] = ()
    target: int = 0  # of store and sink, which write no register


class _Compiler:
    """Holds what grows while nodes are turned into steps."""

    def __init__(self, entities: Sequence[str], dimensions: Mapping[str, int]) -> None:
        self.entities = entities
        self.dimensions = dimensions
        self.nodes: list[Node] = []
        self.args: list[tuple[int, ...]] = []
        self.stage: list[int] = []
        self.constants: list[float] = []
        self.columns: list[tuple[float, ...]] = []
        self.variables: list[_VariableFields] = []
        self.members: list[tuple[int, ...]] = []
        self.slots: dict[int, int] = {}
        self.sections: list[list[_Step]] = []
        self.study_registers: set[int] = set()
        self._by_id: dict[int, int] = {}
        self._by_key: dict[tuple[object, ...], int] = {}
        self._keep: list[Node] = []  # ids are those of living objects
        self._constant_at: dict[tuple[float, ...], int] = {}
        self._column_at: dict[tuple[float, ...], int] = {}
        self.source_at: dict[tuple[Source, str], int] = {}
        self._meaning: dict[tuple[str, str], Source] = {}
        self._streams = Streams()
        self._virtual: dict[tuple[int, int], int] = {}
        self._n_virtual = 0

    # Nodes: equal ones are one, operands stand before what is made of them.

    def add(self, root: Node) -> int:
        pending = [root]
        while pending:
            node = pending[-1]
            if id(node) in self._by_id:
                pending.pop()
                continue
            missing = [arg for arg in node.args if id(arg) not in self._by_id]
            if missing:
                pending += reversed(missing)
                continue
            args = tuple(self._by_id[id(arg)] for arg in node.args)
            key = (node.op, node.scope, args, node.payload)
            if key not in self._by_key:
                self._by_key[key] = len(self.nodes)
                self._append(node, args)
            self._by_id[id(node)] = self._by_key[key]
            self._keep.append(node)
        return self._by_id[id(root)]

    def _append(self, node: Node, args: tuple[int, ...]) -> None:
        after = 1 if node.op in _START or node.op == "rank" else 0
        self.nodes.append(node)
        self.args.append(args)
        self.stage.append(max((self.stage[arg] for arg in args), default=0) + after)

    def is_known(self, i: int) -> bool:
        return self.nodes[i].known is not None

    # Operands.

    def _number(self, value: Fraction) -> float:
        try:
            return float(value)
        except OverflowError:
            raise ValueError("a known number of the program exceeds the range of float64; compute in log10") from None

    def constant(self, values: Sequence[Fraction]) -> int:
        """Return the index of the first of some constants that stand side by side."""
        numbers = tuple(self._number(value) for value in values)
        return self._floats(numbers)

    def _floats(self, numbers: tuple[float, ...]) -> int:
        if numbers not in self._constant_at:
            self._constant_at[numbers] = len(self.constants)
            self.constants += numbers
        return self._constant_at[numbers]

    def scalar(self, i: int) -> tuple[str, int]:
        known = self.nodes[i].known
        assert known is not None
        if self.nodes[i].scope == "study":
            return "const", self.constant(known)
        numbers = tuple(self._number(value) for value in known)
        if numbers not in self._column_at:
            self._column_at[numbers] = len(self.columns)
            self.columns.append(numbers)
        return "column", self._column_at[numbers]

    def register(self, i: int, section: int) -> int:
        """Return the virtual register that holds a node in a section; the study's hold in all later ones."""
        of_study = self.nodes[i].scope == "study" and not self.is_known(i)
        place = (i, -1 if of_study else section)
        if place not in self._virtual:
            self._virtual[place] = self._n_virtual
            if of_study:
                self.study_registers.add(self._n_virtual)
            self._n_virtual += 1
            self._fetch(i, section, self._virtual[place])
        return self._virtual[place]

    def _fetch(self, i: int, section: int, register: int) -> None:
        """Bring what a section does not compute itself into its register."""
        if self.is_known(i):
            self.sections[section].append(_Step("fill", register, (), (self.scalar(i),)))
        elif i in self.slots and section != 2 * self.stage[i] + 1:
            self.sections[section].append(_Step("load", register, (), (("raw", self.slots[i]),)))

    def operand(self, i: int, section: int) -> tuple[str, int]:
        return self.scalar(i) if self.is_known(i) else ("reg", self.register(i, section))

    # Steps.

    def emit(self, i: int, section: int) -> None:
        """Append the steps of a node that is computed in this section."""
        node, args = self.nodes[i], self.args[i]
        steps = self.sections[section]
        if node.op == "draw":
            variable = self._variable(cast("Source", node.payload), node.scope)
            steps.append(_Step("draw", self.register(i, section), (), (("raw", variable),)))
        elif node.op == "couple":
            variable = self._variable(cast("Source", node.payload), node.scope)
            score = self.register(args[0], section)
            operands: tuple[tuple[str, int], ...] = (("raw", variable), ("reg", score))
            steps.append(_Step("couple", self.register(i, section), (score,), operands))
        elif node.op == "rank":
            rank, members = cast("Rank", node.payload).place(len(self.entities))
            if members not in self.members:
                self.members.append(members)
            raw = (self.slots[args[0]], rank, self.members.index(members))
            operands = tuple(("raw", number) for number in raw)
            steps.append(_Step("order", self.register(i, section), (), operands))
        else:
            operands = tuple(self.operand(arg, section) for arg in args)
            if node.op == "lookup":
                entries = cast("tuple[Fraction, ...]", node.payload)
                operands += (("const", self.constant(entries)), ("raw", len(entries)))
            reads = tuple(number for kind, number in operands if kind == "reg")
            steps.append(_Step(node.op, self.register(i, section), reads, operands))
        if i in self.slots and section == 2 * self.stage[i] + 1:
            register = self.register(i, section)
            steps.append(_Step("store", None, (register,), (("reg", register),), self.slots[i]))

    def start(self, i: int, section: int) -> None:
        """Append the step that sets a sum or extreme to its beginning."""
        start = ("const", self._floats((_START[self.nodes[i].op],)))
        self.sections[section].append(_Step("fill", self.register(i, section), (), (start,)))

    def join(self, i: int, section: int) -> None:
        """Append the step that adds one entity to a sum or extreme."""
        register, other = self.register(i, section), self.operand(self.args[i][0], section)
        reads = (register, other[1]) if other[0] == "reg" else (register,)
        step = _Step(_JOIN[self.nodes[i].op], register, reads, (("reg", register), other))
        self.sections[section].append(step)

    def _variable(self, source: Source, scope: str) -> int:
        if source.space != "score":  # which any meaning of the name may be made of
            known = self._meaning.setdefault((source.name, scope), source)
            if known != source:
                raise ValueError(f"variable {source.name!r} has two meanings: {known} and {source}")
        if (source, scope) not in self.source_at:
            self.source_at[source, scope] = len(self.variables)
            of_entities = scope == "entity"
            keys = source.groups or (self.entities if of_entities else ("",))
            purpose = "group" if source.groups else "factor"
            each = source.distributions * (len(keys) if len(source.distributions) == 1 else 1)
            terms, offsets = Terms(), []
            for key, distribution in zip(keys, each, strict=True):
                term = distribution.log10_term() if source.space == "log10" else distribution.linear_term()
                if term.kind == "constant":
                    terms.append(0, LogTerm("normal", term.offset), 1)
                else:
                    terms.append(self._streams.number(source.name, key, purpose), term, 1)
                offsets.append(float(term.offset))
            numbers, scramble = np.empty(0, dtype=np.uint32), 0
            if not of_entities and source.copula is None and source.name in self.dimensions:
                numbers = directions()[self.dimensions[source.name]]
                scramble = self._streams.number(source.name, "", "scramble")
            offset = np.array(offsets, dtype=np.float64)
            self.variables.append((of_entities, terms.arrays(), offset, numbers, scramble))
        return self.source_at[source, scope]


def _last_uses(sections: list[list[_Step]], inputs: list[list[int]], study: set[int]) -> dict[int, int]:
    """Return the last step, counted through all sections, that needs each virtual register.

    Code of entities runs again for each of them, so a register of the study that it reads is needed until after it.
    """
    last: dict[int, int] = {}
    position = 0
    for s, steps in enumerate(sections):
        after = position + len(steps)
        for step in steps:
            reads = (*step.reads, *(inputs[step.target] if step.op == "sink" else ()))
            for register in (*reads, *(() if step.to is None else (step.to,))):
                last[register] = after if s % 2 == 1 and register in study else position
            position += 1
    return last


def _assign(sections: list[list[_Step]], inputs: list[list[int]], study: set[int]) -> tuple[dict[int, int], int]:
    """Return a register for each virtual one, by linear scan, and how many are needed."""
    last = _last_uses(sections, inputs, study)
    ending: dict[int, list[int]] = {}
    for register, position in last.items():
        ending.setdefault(position, []).append(register)
    place: dict[int, int] = {}
    free: list[int] = []
    n = position = 0
    for steps in sections:
        for step in steps:
            gone = ending.get(position, [])
            # What is read here for the last time may be written over: every operation works element by element.
            free += sorted((place[r] for r in gone if r in place), reverse=True)
            if step.to is not None and step.to not in place:
                if free:
                    place[step.to] = free.pop()
                else:
                    place[step.to], n = n, n + 1
                if step.to in gone:
                    free.append(place[step.to])
            position += 1
    return place, n


def _resolve(steps: Sequence[_Step], place: dict[int, int], n_constants: int) -> list[tuple[int, ...]]:
    rows = []
    for step in steps:
        scalars, numbers = 0, [0, 0, 0]
        for k, (kind, number) in enumerate(step.operands):
            numbers[k] = place[number] if kind == "reg" else number + (n_constants if kind == "column" else 0)
            scalars |= (kind in ("const", "column")) << k
        to = step.target if step.to is None else place[step.to]
        rows.append((_CODES[step.op], scalars, to, *numbers))
    return rows


def compile_program(
    sinks: Sequence[tuple[str, CoreSink]],
    entities: Sequence[str],
    key: list[int],
    precision: Precision,
    dimensions: Mapping[str, int] = MappingProxyType({}),
) -> ProgramSpec:
    """Return the plan of some sinks; `key` is two words, `dimensions` those of Sobol' points that draw inputs.

    Raises
    ------
    ValueError
        For columns that do not fit the entities, a variable with two meanings, or numbers beyond float64.
    """
    c = _Compiler(entities, dimensions)
    for _, sink in sinks:
        for node in sink.inputs:
            check_size(node, len(entities))
    inputs = [[c.add(node) for node in sink.inputs] for _, sink in sinks]
    sink_stage = [max(c.stage[i] for i in nodes) for nodes in inputs]
    n_nodes = len(c.nodes)
    n_stages = max([*sink_stage, *(s for s in c.stage)], default=0) + 1
    active = [i for i in range(n_nodes) if not c.is_known(i)]
    for i in active:
        for arg in c.args[i]:
            later = c.nodes[i].op == "rank" or (c.nodes[i].op not in _START and c.stage[i] > c.stage[arg])
            if later and c.nodes[arg].scope == "entity" and not c.is_known(arg):
                c.slots.setdefault(arg, len(c.slots))
    for s, nodes in enumerate(inputs):
        for i in nodes:
            if sink_stage[s] > c.stage[i] and c.nodes[i].scope == "entity" and not c.is_known(i):
                c.slots.setdefault(i, len(c.slots))
    c.sections = [[] for _ in range(2 * n_stages)]
    registers: list[list[int]] = [[] for _ in sinks]
    for stage in range(n_stages):
        for section in (2 * stage, 2 * stage + 1):
            of_entities = section % 2 == 1
            if not of_entities:
                for i in active:
                    if c.nodes[i].op in _START and c.stage[i] == stage + 1:
                        c.start(i, section)
            for i in active:
                node = c.nodes[i]
                if node.op in _START:
                    if of_entities and c.stage[i] == stage + 1:
                        c.join(i, section)
                elif c.stage[i] == stage and (node.scope == "entity") == of_entities:
                    c.emit(i, section)
            for s, (_, sink) in enumerate(sinks):
                if sink_stage[s] == stage and sink.of_entities == of_entities:
                    registers[s] = [c.register(i, section) for i in inputs[s]]
                    c.sections[section].append(_Step("sink", None, (), (), s))
    place, n_registers = _assign(c.sections, registers, c.study_registers)
    rows = [_resolve(steps, place, len(c.constants)) for steps in c.sections]
    code = [row for section in rows for row in section]
    columns = np.array(c.columns, dtype=np.float64).reshape(len(c.columns), len(entities))
    return ProgramSpec(
        key=(key[0], key[1]),
        precision=precision,
        n_registers=n_registers,
        n_slots=len(c.slots),
        constants=np.array(c.constants, dtype=np.float64),
        columns=np.ascontiguousarray(columns.T),
        code=np.array(code, dtype=np.uint32).reshape(-1, 6),
        section_ends=np.cumsum([len(section) for section in rows]).astype(np.uint64),
        variables=tuple(c.variables),
        members=tuple(np.array(rows, dtype=np.uint32) for rows in c.members),
        sinks=tuple(
            (
                name,
                _SINKS.index(sink.kind),
                sink.of_entities,
                sink.apart,
                sink.n_categories,
                np.array([place[r] for r in registers[s]], dtype=np.uint32),
                np.ascontiguousarray(sink.numbers, dtype=np.float64),
                sink.n_thresholds,
                sink.group,
                sink.n_groups,
                sink.joint,
            )
            for s, (name, sink) in enumerate(sinks)
        ),
        variable_names=tuple(source.name for source, _ in c.source_at),
    )
