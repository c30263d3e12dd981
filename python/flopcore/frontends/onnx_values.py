"""What an ONNX tensor name stands for while a file is read: a tensor of the graph, a weight not yet placed, or numbers.

Relies on the graph builder only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

from flopcore._core import Graph as CoreGraph
from flopcore._core import OnnxAttributeReference, OnnxGraph, OnnxTensor
from flopcore.errors import DataError
from flopcore.expr import Expr, Operand

from .unsupported import NotCountable

__all__: list[str] = []

Size: TypeAlias = int | Expr
Learned: TypeAlias = Literal["always", "weight", "never"]
Kind: TypeAlias = Literal["tensor", "sequence", "optional", "map", "sparse_tensor", "opaque", "text", "unknown"]
Attribute: TypeAlias = (
    int
    | float
    | bytes
    | tuple[int, ...]
    | tuple[float, ...]
    | tuple[bytes, ...]
    | OnnxTensor
    | OnnxGraph
    | OnnxAttributeReference
    | None
)

TEXT = 8  # TensorProto.STRING

# TensorProto.DataType -> our dtype; the dtypes that are missing here cannot be computed with.
DTYPES: Mapping[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3",
    18: "float8_e4m3",
    19: "float8_e5m2",
    20: "float8_e5m2",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1",
    24: "float8_e8m0",
    25: "uint2",
    26: "int2",
}


def whole(value: Operand) -> Size:
    """Return a size that was computed from sizes; no operation on them here leaves a fraction."""
    if isinstance(value, Fraction):
        raise DataError(f"a size of {value}")
    return value


FLOATING = ("float", "bfloat", "complex")  # dtypes that can be learned begin so


def literal_learned(shape: Sequence[int]) -> Learned:
    """Return whether a float tensor written into a node is a weight: a single number is one only in a weight slot."""
    return "weight" if 0 in shape or all(size == 1 for size in shape) else "always"


@dataclass(eq=False, slots=True)
class Frame:
    """A block of the graph under construction.

    Attributes
    ----------
    block : int
        Its number in the core.
    outer : Frame or None
        The block around it.
    taken : dict
        Tensors of the block around it that this one reads: number there -> number of its input here, in order.
    """

    block: int = 0
    outer: Frame | None = None
    taken: dict[int, int] = field(default_factory=dict)


class Lost(NotCountable):
    """A node that reads what an uncountable node would have made."""


def dtype_name(code: int, what: str) -> str:
    """Return our name of a TensorProto.DataType."""
    name = DTYPES.get(code)
    if name is None:
        raise NotCountable(f"{what} has ONNX data type {code}, which has no arithmetic here")
    return name


class Value:
    """One tensor of the file.

    Parameters
    ----------
    name
        Its name in the file.
    dtype, shape
        One of our dtype names, and sizes, integers or symbolic; of a placed tensor they are looked up when asked for.
    elements
        The values of a small integer tensor in row-major order, where they are known.
    learned
        Whether it becomes a parameter when it is placed: always, only if a weight slot reads it, or never.
    items
        Of a sequence: its tensors; of an optional: its value, or nothing.
    kind
        What the file calls it.

    Attributes
    ----------
    frame : Frame or None
        The block it is placed in, or will be.
    id : int or None
        The tensor of the graph, once there is one.
    numbers : tuple of float or None
        The values of a small float tensor that is stored in the file.
    lost : bool
        It comes from a node that could not be translated.
    """

    __slots__ = (
        "_core",
        "_dtype",
        "_shape",
        "elements",
        "frame",
        "id",
        "items",
        "kind",
        "learned",
        "lost",
        "name",
        "numbers",
    )

    def __init__(
        self,
        name: str,
        dtype: str,
        shape: tuple[Size, ...],
        *,
        elements: tuple[Size, ...] | None = None,
        learned: Learned = "never",
        items: tuple[Value, ...] | None = None,
        kind: Kind = "tensor",
    ) -> None:
        self.name = name
        self._dtype = dtype
        self._shape: tuple[Size, ...] | None = shape
        self._core: CoreGraph | None = None
        self.id: int | None = None
        self.frame: Frame | None = None
        self.elements = elements
        self.learned = learned
        self.numbers: tuple[float, ...] | None = None
        self.items = items
        self.kind = kind
        self.lost = False

    @classmethod
    def placed(cls, name: str, core: CoreGraph, tensor: int, frame: Frame) -> Value:
        """Return the value of a tensor of the graph."""
        value = cls.__new__(cls)
        value.name = name
        value._dtype = ""
        value._shape = None
        value._core = core
        value.id = tensor
        value.frame = frame
        value.items = None
        value.kind = "tensor"
        value.numbers = None
        value.elements = None
        value.learned = "never"
        value.lost = False
        return value

    @property
    def dtype(self) -> str:
        """Return its number format."""
        if not self._dtype and self._core is not None and self.id is not None:
            self._dtype = self._core.dtype(self.id)
        return self._dtype

    @property
    def shape(self) -> tuple[Size, ...]:
        """Return its sizes, outermost first."""
        if self._shape is None:
            assert self._core is not None
            assert self.id is not None
            self._shape = self._core.shape(self.id)
        return self._shape

    def flat(self) -> tuple[Value, ...]:
        """Return the tensors it is made of: itself, or those of a sequence or an optional."""
        return (self,) if self.items is None else tuple(each for item in self.items for each in item.flat())

    @property
    def rank(self) -> int:
        """Return the number of dims."""
        return len(self.shape)


@dataclass(slots=True)
class Node:
    """A node of the file with its inputs looked up."""

    op: str
    domain: str
    name: str
    inputs: list[Value | None]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    opset: int

    def label(self) -> str:
        """Return its name, or that of its first output."""
        return self.name or (self.outputs[0] if self.outputs else "")

    def describe(self) -> str:
        """Return how messages call the node."""
        return f"{self.op} node {self.label()!r}"

    def any_input(self, index: int) -> Value:
        """Return a required input of any kind: a tensor, a sequence, an optional."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise DataError(f"{self.describe()}: input {index} is missing")
        return value

    def input(self, index: int) -> Value:
        """Return a required input that is a tensor."""
        value = self.any_input(index)
        if value.kind != "tensor":
            raise NotCountable(f"reads {value.name!r}, which is {value.kind} and no tensor")
        return value

    def optional(self, index: int) -> Value | None:
        """Return an input that is a tensor, or None where it is left out."""
        return self.input(index) if index < len(self.inputs) and self.inputs[index] is not None else None

    def tensors(self) -> list[Value]:
        """Return all inputs, none left out."""
        return [self.input(index) for index in range(len(self.inputs))]

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an integer attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise DataError(f"{self.describe()}: attribute {name} must be an integer, is {_told(value)}")
        return value

    def number(self, name: str, default: float) -> float:
        """Return a float attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, float):
            raise DataError(f"{self.describe()}: attribute {name} must be a float, is {_told(value)}")
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of integers, or None where it is left out."""
        value = self.attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            raise DataError(f"{self.describe()}: attribute {name} must be a list of integers, is {_told(value)}")
        return tuple(item for item in value if isinstance(item, int))

    def text(self, name: str, default: str) -> str:
        """Return a text attribute."""
        value = self.attributes.get(name, default.encode())
        if not isinstance(value, bytes):
            raise DataError(f"{self.describe()}: attribute {name} must be a text, is {_told(value)}")
        return value.decode("utf-8", "replace")

    def axis(self, value: int, rank: int) -> int:
        """Return an axis counted from the front."""
        if not -rank <= value < rank:
            raise DataError(f"{self.describe()}: axis {value} is out of range for {rank} dims")
        return value % rank


def _told(value: object) -> str:
    return "missing" if value is None else f"{value!r}"
