"""Every import and include inside the project is one that the tables of docs/ARCHITECTURE.md allow."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "flopcore"
CPP = ROOT / "cpp"
TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")

Table = dict[str, list[str]]


def table(heading: str) -> Table:
    """Rows `name` -> allowed names of the table under a heading."""
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section, f"docs/ARCHITECTURE.md has no section {heading!r}"
    rows = [line.split("|")[1:3] for line in section[1].splitlines() if line.startswith("| `")]
    return {re.findall(r"`([^`]+)`", name)[0]: re.findall(r"`([^`]+)`", allowed) for name, allowed in rows}


def row_of(name: str, rows: Table) -> str:
    """The most specific row that stands for a module or header."""
    matching = [pattern for pattern in rows if fnmatch.fnmatchcase(name, pattern)]
    assert matching, f"docs/ARCHITECTURE.md has no row for {name!r}"
    return max(matching, key=len)


def breaches(name: str, used: Iterator[str], rows: Table) -> list[str]:
    """What a module uses and its row does not allow."""
    row = row_of(name, rows)
    patterns = [*rows[row], row]
    return [
        f"{name} may not use {other}"
        for other in used
        if other != name and not any(fnmatch.fnmatchcase(other, pattern) for pattern in patterns)
    ]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    return name == "_core" or path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, without the leading `flopcore.`."""
    package = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "flopcore":
                    yield alias.name.partition(".")[2] or "__init__"
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            elif (node.module or "").split(".")[0] == "flopcore":
                base = str(node.module).split(".")[1:]
            else:
                continue
            prefix = ".".join(part for part in base if part)
            for alias in node.names:
                inner = f"{prefix}.{alias.name}".lstrip(".")
                yield inner if is_module(inner) else prefix or "__init__"


def noun(path: Path) -> str:
    """`expr` for include/flopcore/expr.hpp and src/expr.cpp, `simd/kernels` for src/simd/kernels.cpp."""
    parts = path.relative_to(CPP).with_suffix("").parts
    return "/".join(parts[2:] if parts[0] == "include" else parts[1:] if parts[0] == "src" else parts)


def includes(path: Path) -> Iterator[str]:
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
        places = [CPP / "include" / name, path.parent / name, CPP / "src" / name]
        found = [place.resolve() for place in places if place.exists()]
        assert found, f"{path.relative_to(ROOT)} includes {name}, which is in none of the include folders"
        yield noun(found[0])


PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
CPP_FILES = sorted(path for path in CPP.rglob("*") if path.suffix in {".cpp", ".hpp", ".inl"})


def test_python_imports_are_allowed() -> None:
    rows = table("Allowed imports")
    found = [line for path in PYTHON_FILES for line in breaches(module_name(path), imports(path), rows)]
    assert not found, "\n".join(found)


def test_cpp_includes_are_allowed() -> None:
    rows = table("Allowed includes")
    found = [line for path in CPP_FILES for line in breaches(noun(path), includes(path), rows)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("heading", "names"),
    [("Allowed imports", map(module_name, PYTHON_FILES)), ("Allowed includes", map(noun, CPP_FILES))],
    ids=["python", "cpp"],
)
def test_no_row_is_stale(heading: str, names: Iterator[str]) -> None:
    rows = table(heading)
    used = {row_of(name, rows) for name in names}
    assert set(rows) == used


def test_only_the_bindings_know_python() -> None:
    guilty = [
        path.relative_to(ROOT)
        for path in CPP_FILES
        if "bind" not in path.relative_to(CPP).parts
        and re.search(r'#\s*include\s+[<"](Python\.h|pybind11/)', path.read_text(encoding="utf-8"))
    ]
    assert guilty == []


def test_kernels_include_c_headers_only() -> None:
    """A C++ header could put a weak symbol, compiled for one instruction set, in everybody's way."""
    kernels = [path for path in (CPP / "src" / "simd").iterdir() if path.name == "kernels.cpp" or path.suffix == ".inl"]
    assert kernels
    found = {name for path in kernels for name in re.findall(r"#\s*include\s+<([^>]+)>", path.read_text("utf-8"))}
    assert found <= {"stddef.h", "stdint.h"}


def test_the_gate_sees_a_breach() -> None:
    rows = {"expr": ["_core"], "graph": ["expr"]}
    assert breaches("expr", iter(["_core"]), rows) == []
    assert breaches("expr", iter(["graph"]), rows) == ["expr may not use graph"]
