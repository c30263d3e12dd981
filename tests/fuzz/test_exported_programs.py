"""Damaged and hostile .pt2 files give a graph or one of our errors: no code of theirs runs, memory is in proportion."""

from __future__ import annotations

import json
import pickle
import random
import resource
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flopcore as fc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
nn = torch.nn


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A saved program: convolution, norm, product, a constant, a symbolic batch."""

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.conv(x)).mean((2, 3))) + torch.tensor([1.0, 2.0])

    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    x = torch.zeros(2, 3, 8, 8)
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(Net().eval(), (x,), dynamic_shapes=({0: batch},), strict=False)
    torch.export.save(exported, path)
    assert fc.count(fc.load_model(path)).flop("macs").free_dims
    return path.read_bytes()


def outcome(path: Path) -> object:
    """Load and count: the polynomial, or the class of our error."""
    try:
        return str(fc.count(fc.load_model(path)).flop("macs"))
    except fc.FlopcoreError as error:
        return type(error)


def rewritten(content: bytes, path: Path, change: dict[str, bytes], *, compressed: bool = False) -> None:
    """Write the archive with some entries replaced or added, its checksums right."""
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    path.with_suffix(".old").write_bytes(content)
    with zipfile.ZipFile(path.with_suffix(".old")) as old, zipfile.ZipFile(path, "w", method) as new:
        entries = {entry.filename: old.read(entry) for entry in old.infolist()} | change
        for name, data in entries.items():
            new.writestr(name, data)


def entry(content: bytes, path: Path, end: str) -> tuple[str, bytes]:
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(end))
        return name, archive.read(name)


def test_mutated_bytes_end_in_a_result_or_our_error(program: bytes, tmp_path: Path) -> None:
    path, rng = tmp_path / "model.pt2", random.Random(20261122)
    outcomes = []
    for _ in range(100):
        data = bytearray(program)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 8)] = rng.randbytes(rng.randint(0, 8))
        path.write_bytes(bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])]))
        outcomes.append(outcome(path))
    assert outcomes.count(fc.DataError) > 60


HOSTILE: list[object] = [
    None, True, -1, 0, 1, 2**31, 2**62, 2**63, 10**30, 0.5, 1e308, "", "s0", "9**9**9", "__import__('os')", "x" * 1000,
    [], {}, [[]], {"as_int": -1}, {"as_expr": {"expr_str": "s0**s0", "hint": None}},
]  # fmt: skip


def spots(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON document: its container and the key there."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(items):
        yield document, key
        yield from spots(value)


@pytest.mark.parametrize("seed", range(2))
def test_mutated_programs_end_in_a_result_or_our_error(program: bytes, tmp_path: Path, seed: int) -> None:
    path, rng = tmp_path / "model.pt2", random.Random(seed)
    name, text = entry(program, path, "/models/model.json")
    deadline = time.monotonic() + 30
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = 0
    for _ in range(60):
        document = json.loads(text)
        for _ in range(rng.randint(1, 2)):
            container, key = rng.choice(list(spots(document)))
            container[key] = rng.choice(HOSTILE)
        rewritten(program, path, {name: json.dumps(document).encode()})
        results += isinstance(outcome(path), str)
        assert time.monotonic() < deadline
    assert results > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


class Exploit:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_no_code_of_a_file_runs(program: bytes, tmp_path: Path) -> None:
    path, touched = tmp_path / "model.pt2", tmp_path / "touched"
    torch.save(Exploit(touched), tmp_path / "exploit.pt")
    hostile = (tmp_path / "exploit.pt").read_bytes()
    config_name, config = entry(program, path, "model_weights_config.json")
    weights = json.loads(config)
    first = next(iter(weights["config"].values()))
    first["use_pickle"] = True
    folder = config_name.rpartition("/")[0]
    sample, _ = entry(program, path, "/data/sample_inputs/model.pt")
    constants_name, constants = entry(program, path, "model_constants_config.json")
    opaque = json.loads(constants)
    next(iter(opaque["config"].values()))["path_name"] = "opaque_obj_0"
    attacks = [
        {config_name: json.dumps(weights).encode(), f"{folder}/{first['path_name']}": hostile},
        {sample: hostile},
        {
            constants_name: json.dumps(opaque).encode(),
            f"{constants_name.rpartition('/')[0]}/opaque_obj_0": pickle.dumps(Exploit(touched)),
        },
    ]
    for attack in attacks:
        rewritten(program, path, attack)
        assert outcome(path) is fc.DataError
        assert not touched.exists()
    torch.load(tmp_path / "exploit.pt", weights_only=False)
    assert touched.exists()  # the attack works where nothing stops it


def test_a_compressed_archive_is_refused(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    rewritten(program, path, {"model/data/weights/weight_9": bytes(50_000_000)}, compressed=True)
    with pytest.raises(fc.DataError, match="compressed or too large"):
        fc.load_model(path)
