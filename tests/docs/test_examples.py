"""What the README and the docs show is what happens: Python blocks run, console blocks print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import flopcore
from flopcore.architectures import cnn
from flopcore.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> Iterator[object]:
    """Fenced blocks of a language in all pages, named by page and line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            yield pytest.param(match[1], id=f"{page.name}:{line}")


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each `$ command` of a console block with the output under it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", " ").partition("\n")
        yield command, output


def modules() -> list[str]:
    """Every module of the package that the base install can import."""
    found = pkgutil.walk_packages(flopcore.__path__, "flopcore.")
    return ["flopcore", *sorted(module.name for module in found if not module.name.endswith("._core"))]


@pytest.mark.parametrize("block", [*blocks("python")])
def test_python_block_runs(block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(block, "<docs>", "exec"), {"__name__": "__main__"})
    shown = re.findall(r"print\(.*\)\s*# (.*)$", block, re.MULTILINE)
    printed = capsys.readouterr().out
    for line in shown:
        assert line in printed.splitlines()


@pytest.mark.parametrize("block", [*blocks("console")])
def test_console_block_prints_what_it_shows(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "120")
    for command, expected in commands(block):
        program, *arguments = shlex.split(command, comments=True)
        assert program == "flopcore"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code in (0, 1), result.output
        want, got = (re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE) for text in (expected, result.stdout))
        options = doctest.ELLIPSIS | doctest.REPORT_UDIFF
        checker = doctest.OutputChecker()
        assert checker.check_output(want, got, options), checker.output_difference(
            doctest.Example(command, want), got, options
        )


def test_table_of_resnet50_in_the_readme() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([\d,]+) (\w+) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 8
    tally = flopcore.count(cnn.resnet(50))
    for name, count, unit in rows:
        convention = flopcore.convention(name)
        assert (f"{tally.flop(convention):,}", convention.unit) == (count, unit)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0
