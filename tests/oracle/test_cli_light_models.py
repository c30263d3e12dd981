"""The command line on the light models of the `onnx` wheel: the published totals, to the digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flopcore.cli import main

onnx = pytest.importorskip("onnx", reason="needs the extra 'oracle'")
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize(
    ("model", "convention", "total"),
    [
        ("resnet50", "macs", 4_089_184_256),
        ("resnet50", "torch-2.13", 8_178_368_512),
        ("resnet50", "pycls", 4_089_185_256),
        ("vgg19", "macs", 19_632_062_464),
    ],
)
def test_count_of_a_light_model(model: str, convention: str, total: int) -> None:
    file = str(LIGHT / f"light_{model}.onnx")
    result = CliRunner().invoke(main, ["count", file, "--convention", convention, "--json"])
    assert (result.exit_code, json.loads(result.stdout)["flop"]) == (0, total)


def test_verify_of_a_light_model() -> None:
    result = CliRunner().invoke(main, ["count", str(LIGHT / "light_resnet50.onnx"), "--verify", "--json"])
    assert json.loads(result.stdout)["verified"] == 4_089_184_256
