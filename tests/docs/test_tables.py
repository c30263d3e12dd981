"""The tables of the docs are those that the data files give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", DOCS / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["OPS.md", "CONVENTIONS.md", "../python/flopcore/data/schemas/convention-file.schema.json"]
)
def test_a_table_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == script().PAGES[name](), "run: python docs/make_tables.py"
