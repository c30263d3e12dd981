"""A damaged convention file gives a convention or one of our errors, never anything else."""

from __future__ import annotations

import random
from importlib.resources import files
from pathlib import Path

import pytest

import flopcore as fc
from flopcore.conventions import convention, parse
from flopcore.errors import ConventionError

TEXTS = {
    item.name: item.read_text(encoding="utf-8")
    for item in sorted(files("flopcore").joinpath("data/conventions").iterdir(), key=lambda item: item.name)
}
PIECES = [
    "[",
    "]",
    "{",
    "}",
    '"',
    "=",
    "\n",
    "0",
    "-",
    ".",
    ",",
    "true",
    "[[override]]\n",
    "weights = 1\n",
    "\x00",
    "é",
]


def damaged(text: str, chooser: random.Random) -> str:
    for _ in range(chooser.randint(1, 4)):
        at = chooser.randrange(len(text))
        match chooser.randrange(4):
            case 0:
                text = text[:at] + text[at + chooser.randint(1, 20) :]
            case 1:
                text = text[:at] + chooser.choice(PIECES) + text[at:]
            case 2:
                lines = text.splitlines(keepends=True)
                chooser.shuffle(lines)
                text = "".join(lines)
            case _:
                text = text[:at] + chooser.choice(PIECES) + text[at + 1 :]
    return text


@pytest.mark.parametrize("name", TEXTS)
def test_damaged_files_are_explained(name: str) -> None:
    chooser = random.Random(name)
    messages = []
    for _ in range(40):
        try:
            parse(damaged(TEXTS[name], chooser), source=name)
        except ConventionError as error:
            messages.append(str(error))
    assert len(messages) >= 10
    assert all(message.startswith(f"{name}: ") for message in messages)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("9" * 5000, "not valid TOML"),
        ("9" * 30, "too many digits"),
        ('"1/' + "9" * 30 + '"', "too many digits"),
        ('"0.' + "0" * 5000 + '1"', "too many digits"),
        ("[" * 5000, "not valid TOML"),
        ("true", "expected an exact number"),
        ('"1e5"', "not an exact number"),
    ],
)
def test_hostile_weights_are_refused(weight: str, message: str) -> None:
    with pytest.raises(ConventionError, match=message):
        parse(TEXTS["macs.toml"].replace("mac = 1\n", f"mac = {weight}\n"), source="macs.toml")


def test_the_largest_weight_still_prices_exactly_or_overflows(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    large = 10**18 - 1
    text = (
        TEXTS["macs.toml"]
        .replace("mac = 1\n", f"mac = {large}\n")
        .replace("multiply_add = 1", f"multiply_add = {large}")
    )
    path.write_text(text, encoding="utf-8")
    graph = fc.Graph()
    graph.matmul(graph.input("a", (10**6, 10**6)), graph.input("b", (10**6, 1)))
    assert fc.count(graph).flop(convention(path)) == 10**12 * large
    graph.matmul(graph.input("c", (10**11, 10**11)), graph.input("d", (10**11, 1)))
    with pytest.raises(fc.CountOverflowError):
        fc.count(graph).flop(convention(path))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConventionError, match="not UTF-8"):
        convention(path)
