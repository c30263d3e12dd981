"""Which op of ours an ONNX op is, as data, for those that are one; and which have nothing to count, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

__all__: list[str] = []

# One op of ours with the same inputs in the same order, whatever the attributes say: its name and how many inputs it
# has, 0 for one or more. The core appends such nodes in bulk.
PLAIN: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "Abs": ("abs", 1),
        "Acos": ("acos", 1),
        "Acosh": ("acosh", 1),
        "Add": ("add", 2),
        "And": ("logical_and", 2),
        "Asin": ("asin", 1),
        "Asinh": ("asinh", 1),
        "Atan": ("atan", 1),
        "Atanh": ("atanh", 1),
        "BitwiseAnd": ("bitwise_and", 2),
        "BitwiseNot": ("bitwise_not", 1),
        "BitwiseOr": ("bitwise_or", 2),
        "BitwiseXor": ("bitwise_xor", 2),
        "Ceil": ("ceil", 1),
        "Celu": ("celu", 1),
        "Cos": ("cos", 1),
        "Cosh": ("cosh", 1),
        "Div": ("div", 2),
        "Elu": ("elu", 1),
        "Equal": ("equal", 2),
        "Erf": ("erf", 1),
        "Exp": ("exp", 1),
        "Floor": ("floor", 1),
        "Greater": ("greater", 2),
        "GreaterOrEqual": ("greater_equal", 2),
        "HardSigmoid": ("hard_sigmoid", 1),
        "HardSwish": ("hard_swish", 1),
        "IsInf": ("isinf", 1),
        "IsNaN": ("isnan", 1),
        "LeakyRelu": ("leaky_relu", 1),
        "Less": ("less", 2),
        "LessOrEqual": ("less_equal", 2),
        "Log": ("log", 1),
        "MatMul": ("matmul", 2),
        "Max": ("maximum", 0),
        "Mean": ("mean_n", 0),
        "Min": ("minimum", 0),
        "Mish": ("mish", 1),
        "Mul": ("mul", 2),
        "Neg": ("neg", 1),
        "Not": ("logical_not", 1),
        "Or": ("logical_or", 2),
        "PRelu": ("prelu", 2),
        "Pow": ("pow", 2),
        "Reciprocal": ("reciprocal", 1),
        "Relu": ("relu", 1),
        "Round": ("round", 1),
        "Selu": ("selu", 1),
        "Sigmoid": ("sigmoid", 1),
        "Sign": ("sign", 1),
        "Sin": ("sin", 1),
        "Sinh": ("sinh", 1),
        "Softplus": ("softplus", 1),
        "Softsign": ("softsign", 1),
        "Sqrt": ("sqrt", 1),
        "Sub": ("sub", 2),
        "Sum": ("add", 2),
        "Tan": ("tan", 1),
        "Tanh": ("tanh", 1),
        "ThresholdedRelu": ("thresholded_relu", 1),
        "Where": ("where", 3),
        "Xor": ("logical_xor", 2),
    }
)

# Inputs of the ops above that are weights where the file stores them.
WEIGHT_SLOTS: Mapping[str, int] = MappingProxyType({"MatMul": 1, "PRelu": 1})

_TEXTS = "it works on text, not on numbers"
_DATA = "it looks up entries of a table or dictionary, on text as a rule"

# Ops that have neither a rule nor a decomposition, and why. A node of one is reported, not counted as nothing.
NO_ARITHMETIC: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("", "ImageDecoder"): "it decodes a compressed image: its work depends on the bytes, not on shapes",
        ("", "RegexFullMatch"): _TEXTS,
        ("", "StringConcat"): _TEXTS,
        ("", "StringNormalizer"): _TEXTS,
        ("", "StringSplit"): _TEXTS,
        ("", "TfIdfVectorizer"): "it looks up n-grams in a dictionary: its work depends on the data, not on shapes",
        ("ai.onnx.ml", "CastMap"): _DATA,
        ("ai.onnx.ml", "CategoryMapper"): _DATA,
        ("ai.onnx.ml", "DictVectorizer"): _DATA,
        ("ai.onnx.ml", "LabelEncoder"): _DATA,
        ("ai.onnx.ml", "ZipMap"): "it makes a dictionary of what is there already",
        ("ai.onnx.preview.training", "Gradient"): "the derivatives that it stands for are not written out",
    }
)

_Kind: TypeAlias = Literal["axis", "int", "flag", "text"]


@dataclass(frozen=True, slots=True)
class Row:
    """One op of ours, with attributes that follow from those of the node.

    Attributes
    ----------
    op : str
        Its name.
    inputs : int
        How many inputs of the node it takes; further ones are dropped, and absent ones too.
    attrs : mapping
        Name of the attribute -> (name in the file, how it is read, value where it is left out).
    weights : tuple of int
        Inputs that are weights where the file stores them.
    """

    op: str
    inputs: int
    attrs: Mapping[str, tuple[str, _Kind, int | str]] = field(default_factory=dict)
    weights: tuple[int, ...] = ()


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "Gelu": Row("gelu", 1, {"approximate": ("approximate", "text", "none")}),
    }
)
