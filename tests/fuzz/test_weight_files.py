"""Damaged weight files give a result or one of our errors: never a crash, a hang, or memory out of proportion."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

import flopcore as fc
import weight_files as wf

INTERESTING = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


def mutated(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + 8] = struct.pack("<Q", rng.choice(INTERESTING))
            case 2:
                del data[at : at + rng.randint(1, 40)]
            case 3:
                data[at:at] = rng.randbytes(rng.randint(1, 20))
            case 4:
                other = rng.randrange(len(data))
                data[at : at + 16] = data[other : other + 16]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def test_mutated_headers(tmp_path: Path) -> None:
    rng = random.Random(20261122)
    samples = [
        wf.gguf(wf.LLAMA_GGUF, wf.llama_gguf_tensors()),
        wf.gguf(wf.LLAMA_GGUF | {"llama.rope.dimension_count": 32}, wf.llama_gguf_tensors("f16"), order=">"),
        wf.safetensors(wf.llama_tensors(), {"format": "pt"}),
    ]
    path = tmp_path / "model"
    results = {"read": 0, "error": 0}
    until = time.monotonic() + 4
    for _ in range(1500):
        header, size = rng.choice(samples)
        path.write_bytes(mutated(rng, header))
        with path.open("r+b") as file:
            file.truncate(max(size, 1))
        began = time.monotonic()
        try:
            weights = fc.read_weights(path)
            if weights.format == "gguf":
                fc.count(fc.from_gguf(path)).flop("macs")
            results["read"] += 1
        except fc.FlopcoreError:
            results["error"] += 1
        assert time.monotonic() - began < 2
        if time.monotonic() > until:
            break
    assert min(results.values()) > 0
    assert sum(results.values()) > 100
