"""ops.toml is whole: every op has what a rule needs, and mistakes in it are found."""

from __future__ import annotations

from importlib.resources import files

import pytest

from flopcore.errors import DataError
from flopcore.reference.expression import evaluate
from flopcore.specification import parse, specification

TEXT = files("flopcore").joinpath("data/ops.toml").read_text(encoding="utf-8")


def test_the_first_slice_is_specified() -> None:
    names = set(specification().ops)
    assert names >= {"matmul", "linear", "conv", "attention", "batch_norm", "embedding", "cast"}
    assert len(specification().features) == 30


def test_every_size_feature_is_explained() -> None:
    sizes = set(specification().sizes) - {"bytes"}
    assert sizes == set(specification().features[20:])


@pytest.mark.parametrize("name", sorted(specification().ops))
def test_every_op_says_what_it_does_and_where_that_stands(name: str) -> None:
    op = specification().ops[name]
    assert op.summary.endswith(".")
    assert op.source
    assert op.leaf or op.family or op.shape


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["mac", "n(y) * d(a, -1)"]', '["max", "n(y) * d(a, -1)"]', "'max' is not a feature"),
        ('["mac", "n(y) * d(a, -1)"]', '["mac"]', r"expected \[feature, base\]"),
        ('weights = ["weight"]', 'weights = ["wait"]', "'wait' is not an input"),
        ('name = "linear"', 'name = "matmul"', "'matmul' is defined twice"),
        ('["exp", "heads", ["scores"]]', '["exp", "heads", ["score"]]', "extent 'score' is not defined"),
        ('kind = "causal"', 'kind = "casual"', "did you mean 'causal'"),
    ],
)
def test_a_mistake_is_found(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(DataError, match=message):
        parse(TEXT.replace(old, new, 1), source="ops.toml")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-7 // 2", -4),
        ("7 % 4", 3),
        ("2 ** 70 if False else 2 ** 5", 32),
        ("(3 + 1) / 6 * 3", 2),
        ("a[-1] + len(a)", 8),
        ("prod([x * 2 for x in a])", 480),
        ("sum(i for i in range(4))", 6),
        ("min(3, 2) if word == 'yes' and not 1 > 2 else 0", 2),
        ("1 if word != 'yes' or 2 <= 1 else 5", 5),
        ("ceil(7 / 2)", 4),
    ],
)
def test_expressions_are_exact_python(expression: str, value: int) -> None:
    assert evaluate(expression, {"a": [3, 4, 5], "word": "yes"}) == value


@pytest.mark.parametrize(
    "expression",
    [
        *("__import__('os')", "(1).real", "x", "1.5", "lambda: 1", "2 ** 1000", "2 ** -1", "1 // 0", "'a' + 'b'"),
        *("[x for x in range(3) if x]", "a[9]", "1 << 3", "1 < 2 < 3", "'a' < 'b'", "f(1)", "1 +"),
    ],
)
def test_anything_else_is_refused(expression: str) -> None:
    with pytest.raises(DataError):
        evaluate(expression, {"a": [1]})
