"""Damaged ONNX bytes give a graph or one of our errors: never a crash, a hang, or memory out of proportion."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator

import pytest

import flopcore as fc
import onnx_writer as ow


def sample() -> bytes:
    """A small model with each kind of thing the reader reads."""
    body = [
        ow.node("Conv", ["x", "w", "b"], ["c"], "/features/conv/Conv", pads=[1, 1, 1, 1], group=1, auto_pad="NOTSET"),
        ow.node("Relu", ["c"], ["r"], "relu"),
        ow.node("GlobalAveragePool", ["r"], ["p"]),
        ow.node("Constant", [], ["s"], value=ow.tensor("", [2], "int64", [0, -1])),
        ow.node("Reshape", ["p", "s"], ["f"]),
        ow.node("Dense", ["f", "d"], ["y"], "head", "own", flip=1),
    ]
    dense = ow.function(
        "own", "Dense", ["a", "b"], ["c"], [ow.node("Gemm", ["a", "b"], ["c"], transB=ow.Reference("flip"))], "flip"
    )
    stored = [ow.tensor("w", [4, 3, 3, 3]), ow.tensor("b", [4]), ow.tensor("d", [10, 4])]
    inputs = [ow.value("x", ["batch", 3, 8, None])]
    return ow.model(body, inputs, ["y"], stored, opsets={"own": 1}, functions=[dense])


def control() -> bytes:
    """A small model of bodies within bodies, sequences, a recurrent layer and rules with many attributes."""
    step = [
        ow.node("MatMul", ["s", "w"], ["h"]),
        ow.node("Concat", ["s", "row"], ["grown"], axis=0),
        ow.node("If", ["flag"], ["c"], "inner",
                then_branch=ow.graph([ow.node("Relu", ["h"], ["r"])], [], ["r"]),
                else_branch=ow.graph([ow.node("Slice", ["h", "zero", "one"], ["r"])], [], ["r"])),
    ]  # fmt: skip
    taken = [ow.value("i", [], "int64"), ow.value("on", [], "bool"), ow.value("s", None)]
    body = [
        ow.node("Loop", ["trips", "", "x"], ["y"], "loop", body=ow.graph(step, taken, ["on", "grown"])),
        ow.node("Split", ["y"], ["a", "b"], "cut", axis=1, num_outputs=2),
        ow.node("SequenceConstruct", ["a", "b"], ["both"]),
        ow.node("SequenceAt", ["both", "one"], ["part"]),
        ow.node("Unsqueeze", ["part", "zero"], ["seq"]),
        ow.node("GRU", ["seq", "gw", "gr"], ["all", "last"], "gru", hidden_size=3),
        ow.node("Transpose", ["all"], ["t"], perm=[1, 2, 0, 3]),
        ow.node("Resize", ["t", "", "scales"], ["z"], "size", mode="linear"),
    ]
    stored = [ow.tensor("w", [4, 4]), ow.tensor("row", [1, 4]), ow.tensor("gw", [1, 9, 2]), ow.tensor("gr", [1, 9, 3])]
    stored += [ow.tensor("trips", [], "int64", [3]), ow.tensor("zero", [1], "int64", [0])]
    stored += [ow.tensor("one", [1], "int64", [1]), ow.tensor("scales", [4], "float32", [1, 1, 2, 2.5])]
    return ow.model(body, [ow.value("x", ["n", 4]), ow.value("flag", [], "bool")], ["z"], stored, opset=18)


SAMPLES = {"plain": sample(), "control": control()}


def outcome(data: bytes) -> object:
    """Read and count; the polynomial, or the class of our error."""
    try:
        return str(fc.count(fc.from_onnx(data)).flop("macs"))
    except fc.FlopcoreError as error:
        return type(error)


def mutations(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Without end: bytes replaced, bits flipped, pieces cut, doubled and moved, lengths made absurd."""
    while True:
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(mutated))
            match rng.randrange(6):
                case 0:
                    mutated[at] = rng.randrange(256)
                case 1:
                    mutated[at] ^= 1 << rng.randrange(8)
                case 2:
                    del mutated[at : at + rng.randint(1, 8)]
                case 3:
                    mutated[at:at] = mutated[at : at + rng.randint(1, 40)]
                case 4:
                    mutated[at:at] = rng.randbytes(rng.randint(1, 8))
                case _:
                    mutated[at : at + 1] = ow.varint(rng.choice([2**7, 2**31, 2**32, 2**40, 2**62, 2**63, 2**64 - 1]))
            if not mutated:
                mutated = bytearray(b"\x08")
        yield bytes(mutated)


def test_the_samples_themselves_count() -> None:
    assert "batch" in str(outcome(sample()))
    # Runs 0 to 2 take (n + run) 4 4, then one step of a GRU takes (n + 3) 9 (2 + 3).
    assert str(outcome(control())) == "93*n + 183"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncation_is_a_clear_error(name: str) -> None:
    data = SAMPLES[name]
    whole = outcome(data)
    for length in range(len(data)):
        result = outcome(data[:length])
        # A cut between two fields of the outermost message leaves a model: without its function it is not countable.
        assert isinstance(result, type) or result == whole, length


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("seed", range(4))
def test_mutations_end_in_a_result_or_our_error(seed: int, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deadline = time.monotonic() + 30
    for _, data in zip(range(1500), mutations(SAMPLES[name], random.Random(seed)), strict=False):
        outcome(data)
        assert time.monotonic() < deadline
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024  # KiB


def test_random_bytes_are_refused() -> None:
    rng = random.Random(5)
    for _ in range(500):
        assert isinstance(outcome(rng.randbytes(rng.randint(1, 200))), type)


def hostile() -> Iterator[object]:
    """Small files that ask for much."""
    one = [ow.value("x", [2, 3])]
    scalars = [ow.tensor("zero", [], "int64", [0]), ow.tensor("big", [], "int64", [2**62])]
    low = ow.tensor("low", [], "int64", [-(2**62)])
    unit = ow.tensor("unit", [], "int64", [1])
    body = [ow.node("Range", ["low", "big", "unit"], ["r"]), ow.node("Reshape", ["x", "r"], ["y"])]
    yield pytest.param(ow.model(body, one, ["y"], [*scalars, low, unit]), id="a range of 2**63 numbers")
    body = [ow.node("Mul", [f"a{i}", f"a{i}"], [f"a{i + 1}"]) for i in range(1000)]
    body.append(ow.node("Reshape", ["x", "a1000"], ["y"]))
    yield pytest.param(ow.model(body, one, ["y"], [ow.tensor("a0", [1], "int64", [9])]), id="squares of squares")
    body = [ow.node("Shape", ["x"], ["a0"]), *body]
    symbolic = [ow.value("x", ["a", "b"])]
    yield pytest.param(ow.model(body, symbolic, ["y"]), id="squares of squares of dims")
    body = [ow.node("Unsqueeze", ["zero", "axes"], ["u"]), ow.node("Reshape", ["x", "u"], ["y"])]
    axes = ow.tensor("axes", [2], "int64", [0, 0])
    yield pytest.param(ow.model(body, one, ["y"], [*scalars, axes]), id="an axis twice")
    stored = [ow.tensor("w", [2**62] * 100_000)]
    yield pytest.param(ow.model([ow.node("Size", ["w"], ["y"])], [], ["y"], stored), id="100,000 dims")
    functions = [
        ow.function("own", f"F{i}", ["a"], ["c"], [
            ow.node(f"F{i + 1}", ["a"], ["b"], "", "own"), ow.node(f"F{i + 1}", ["b"], ["c"], "", "own")
        ])
        for i in range(30)
    ]  # fmt: skip
    functions.append(ow.function("own", "F30", ["a"], ["c"], [ow.node("Relu", ["a"], ["c"])]))
    call = [ow.node("F0", ["x"], ["y"], "", "own")]
    model = ow.model(call, one, ["y"], opsets={"own": 1}, functions=functions)
    yield pytest.param(model, id="2**30 calls", marks=pytest.mark.slow)


@pytest.mark.parametrize("data", [*hostile()])
def test_small_files_that_ask_for_much_are_refused(data: bytes) -> None:
    began = time.process_time()
    assert isinstance(outcome(data), type)
    assert time.process_time() - began < 60
