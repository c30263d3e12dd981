"""The gate on what the sdist and the wheel hold tells what is extra and what is missing."""

from __future__ import annotations

import runpy
import tarfile
import zipfile
from pathlib import Path

import pytest

GATE = runpy.run_path(str(Path(__file__).parents[2] / ".ci" / "gate_contents.py"))


def test_names_what_is_extra_and_what_is_missing() -> None:
    found = ["pkg/a.py", "pkg/data/b.toml", "pkg/secret.key"]
    assert GATE["problems"](found, ["pkg/*.py", "pkg/data/*.toml"], ["pkg/a.py", "pkg/c.py"]) == [
        "not allowed: pkg/secret.key",
        "missing: pkg/c.py",
    ]


def test_reads_both_kinds_of_archive(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    with zipfile.ZipFile(tmp_path / "pkg.whl", "w") as wheel:
        wheel.write(tmp_path / "a.py", "pkg/a.py")
    with tarfile.open(tmp_path / "pkg.tar.gz", "w:gz") as sdist:
        sdist.add(tmp_path / "a.py", "pkg-1/a.py")
    assert GATE["names"](tmp_path / "pkg.whl") == ["pkg/a.py"]
    assert GATE["names"](tmp_path / "pkg.tar.gz") == ["a.py"]


def test_a_wheel_with_a_stray_file_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "pkg.whl", "w") as wheel:
        wheel.writestr("flopcore/notes.md", "")
    assert GATE["main"]([str(tmp_path / "pkg.whl")]) == 1
    assert "not allowed: flopcore/notes.md" in capsys.readouterr().out
