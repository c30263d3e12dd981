"""`import flopcore` loads none of the extras, nor what only the CLI needs."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = (
    "onnx",
    "torch",
    "jax",
    "xarray",
    "pandas",
    "pyarrow",
    "matplotlib",
    "jinja2",
    "scipy",
    "sympy",
    "click",
    "rich",
)


def test_import_loads_no_extra() -> None:
    code = "import flopcore, json, sys; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not set(HEAVY) & set(json.loads(output))


def test_version_stands_in_one_place() -> None:
    import importlib.metadata

    import flopcore

    assert flopcore.__version__ == importlib.metadata.version("flopcore")
