"""`import flopcore` loads none of the extras, nor what only the CLI needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this machine reports no peak memory")
def test_reading_a_config_stays_small() -> None:
    """Issue 5: the peak resident memory of config import is below 60 MB."""
    config = {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 32000,
    }  # fmt: skip
    code = (
        "import json, sys; import flopcore as fc; "
        "assert fc.from_huggingface(json.loads(sys.argv[1])).parameters == 6738415616; "
        "print(open('/proc/self/status').read())"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(config)], check=True, capture_output=True, text=True)
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 60 * 1024
