"""Choice of the instruction set and the facts of the build."""

import json
import os
import subprocess
import sys

import pytest

import flopcore as fc
from flopcore import _core


def run(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


def test_build_info_is_complete_and_true():
    info = fc.build_info()
    assert info.version == fc.__version__
    assert info.isa in info.available_isas
    assert info.available_isas[0] == "base"
    assert info.threads == len(os.sched_getaffinity(0))
    assert info.stream_version == 1
    assert json.loads(json.dumps(info.to_dict()))["isa"] == info.isa


def test_select_isa(every_isa):
    assert _core.isa() == every_isa
    with pytest.raises(fc.FlopcoreError, match=r"isa=v9 is not.*base, v3, v4"):
        _core.select_isa("v9")
    assert _core.isa() == every_isa


def test_environment_forces_the_isa():
    code = "import flopcore; print(flopcore.build_info().isa)"
    for name in _core.available_isas():
        assert run(code, FLOPCORE_ISA=name).stdout.strip() == name
    assert run(code, FLOPCORE_ISA="").stdout.strip() == _core.available_isas()[-1]


def test_an_unknown_isa_is_a_clear_error():
    result = run("import flopcore; flopcore.build_info()", FLOPCORE_ISA="avx9")
    assert result.returncode == 1
    assert "FLOPCORE_ISA=avx9 is not an instruction set flopcore knows" in result.stderr
