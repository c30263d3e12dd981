"""Conventions say what they price, are frozen by digest, and refuse files that do not."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

import flopcore as fc
from flopcore.conventions import Convention, convention, conventions, parse
from flopcore.errors import ConventionError
from flopcore.reference import verify
from flopcore.specification import specification

FEATURES = specification().features
GOLDEN = Path(__file__).parents[1] / "golden" / "conventions.json"
SLICE = ("macs", "torch-2.13", "pycls", "fvcore-0.1.5", "thop-0.1.1", "torchprofile-0.1.0", "deepspeed-0.19")
MACS = files("flopcore").joinpath("data/conventions/macs.toml").read_text(encoding="utf-8")


def charged(rule: Convention, op: str, *variant: str, origin: str = "builder") -> dict[str, int | Fraction]:
    weights = rule.weights_of(op, variant=variant, origin=origin)
    return {feature: weight for feature, weight in zip(FEATURES, weights, strict=True) if weight}


@pytest.mark.parametrize("name", [*SLICE, "all-arithmetic"])
def test_the_names_of_the_slice_resolve(name: str) -> None:
    found = convention(name)
    assert found.name in conventions()
    assert name in (found.name, *found.aliases)


@pytest.mark.parametrize("name", conventions())
def test_each_says_where_it_comes_from_and_answers_every_question(name: str) -> None:
    found = convention(name)
    assert found.source
    assert found.summary.endswith(".")
    assert all(found.switches.values())
    assert set(found.extents.values()) <= {"nominal", "used"}
    assert len(found.weights) == len(FEATURES)
    assert convention(f"{name}@{found.version}") == found


def test_digests_are_frozen() -> None:
    """A change of meaning needs a new version, and with it a new line in the golden file."""
    digests = {f"{name}@{convention(name).version}": convention(name).digest for name in conventions()}
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == digests


def test_a_peer_that_measures_is_named_with_its_version() -> None:
    for name in conventions():
        peer, _, kind = name.partition("/")
        assert kind in ("", "measured", "intended")
        if kind == "measured":
            assert any(part[0].isdigit() for part in peer.split("-"))


def test_macs_prices_multiply_adds_only() -> None:
    assert charged(convention("macs"), "conv", "bias") == {"mac": 1}
    assert convention("macs").unit == "MAC"


def test_all_arithmetic_prices_a_dot_product_as_k_products_and_k_minus_one_sums() -> None:
    rule = convention("all-arithmetic")
    weights = charged(rule, "matmul")
    assert (weights["mac"], weights["outputs"]) == (2, -1)
    assert not set(weights) & {"select", "rng", "gather", "move", "assign", "out_elems", "bytes_read"}
    assert rule.extents["causal"] == "used"


@pytest.mark.parametrize(
    ("name", "op", "variant", "weights"),
    [
        ("pycls", "linear", ("bias",), {"mac": 1, "add": 1}),
        ("pycls", "batch_norm", ("affine",), {"mac": 1}),
        ("torch-2.13", "conv", ("bias",), {"mac": 2}),
        ("torch-2.13-cpu", "attention", (), {}),
        ("torch", "attention", (), {"mac": 2}),
        ("fvcore-0.1.5", "batch_norm", ("affine",), {"out_elems": 2}),
        ("fvcore-0.1.5", "batch_norm", (), {"out_elems": 1}),
        ("fvcore-0.1.5", "batch_norm", ("affine", "train"), {"out_elems": 5}),
        ("fvcore-0.1.5", "batch_norm", ("train",), {"out_elems": 4}),
        ("fvcore-0.1.5", "layer_norm", ("affine",), {"out_elems": 5}),
        ("fvcore-0.1.5", "layer_norm", (), {"out_elems": 4}),
        ("fvcore-0.1.5", "adaptive_average_pool", ("global",), {"in_elems": 1}),
        ("fvcore-0.1.5", "attention", (), {}),
        ("fvcore", "attention", (), {"mac": 1}),
        ("thop-0.1.1", "batch_norm", ("affine",), {"out_elems": 4}),
        ("thop-0.1.1", "layer_norm", (), {"out_elems": 2}),
        ("thop-0.1.1", "softmax", (), {"out_elems": 3, "rows": -1}),
        ("thop-0.1.1", "matmul", (), {}),
        ("torchprofile-0.1.0", "layer_norm", ("affine",), {"out_elems": 1}),
        ("torchprofile-0.1.0", "layer_norm", (), {"mac": 1}),
        ("torchprofile-0.1.0", "reduce_mean", (), {"out_elems": 1}),
        ("deepspeed-0.19", "conv", ("bias",), {"mac": 2, "add": 1}),
        ("deepspeed-0.19", "linear", ("bias",), {"mac": 2}),
        ("deepspeed-0.19", "max_pool", (), {"in_elems": 1}),
        ("deepspeed-0.19", "layer_norm", ("affine",), {"in_elems": 5}),
        ("deepspeed-0.19", "add", (), {"mac": 2}),
        ("deepspeed", "add", (), {"out_elems": 1}),
        ("thop-0.0.31", "conv", ("bias",), {"mac": 1, "add": 1}),
        ("thop", "layer_norm", ("affine",), {"out_elems": 2}),
        ("ptflops-module-0.7.5", "relu", (), {"in_elems": 2}),
        ("ptflops-module", "relu", (), {"in_elems": 1}),
        ("ptflops-aten", "attention", (), {"mac": 1}),
        ("onnx-tool-1.0.1", "layer_norm", ("affine",), {"out_elems": 7, "rows": 29}),
    ],
)
def test_peers_price_an_op_as_their_source_does(
    name: str, op: str, variant: tuple[str, ...], weights: dict[str, int]
) -> None:
    assert charged(convention(name), op, *variant) == weights


def test_an_override_may_ask_for_an_origin_and_for_the_absence_of_a_flag() -> None:
    assert charged(convention("deepspeed-0.19"), "add", origin="torch.add") == {"out_elems": 1}
    text = MACS + '[[override]]\nmatch = { op = ["conv"], variant = ["!grouped"], origin = ["onnx:*"] }\n'
    rule = parse(text + 'weights = { mac = "1/2" }\nreason = "test"\n', source="mine.toml")
    assert charged(rule, "conv", origin="onnx:Conv") == {"mac": Fraction(1, 2)}
    assert charged(rule, "conv", "grouped", origin="onnx:Conv") == {"mac": 1}
    assert charged(rule, "conv", origin="onnxruntime") == {"mac": 1}


def test_integers_count_or_do_not_as_the_name_says() -> None:
    for dtype in ("int8", "uint4", "bool"):
        assert not any(convention("fp-only").weights_of("matmul", dtype=dtype))
        assert convention("int-or-fp").weights_of("matmul", dtype=dtype) == convention("int-or-fp").weights
    assert any(convention("fp-only").weights_of("matmul", dtype="float8_e4m3"))


def test_model_and_hardware_differ_in_recomputation_and_padding() -> None:
    model, hardware = convention("model"), convention("hardware")
    assert set(hardware.phases) - set(model.phases) == {"recompute", "optimizer"}
    assert {kind for kind in model.extents if model.extents[kind] != hardware.extents[kind]} == {
        "window", "padding_taps", "capacity",
    }  # fmt: skip


def test_an_operation_may_be_worth_more_in_one_dtype_than_in_another() -> None:
    text = MACS.replace('precision = "every dtype alike"', 'precision = "by dtype"')
    text += '[precision]\nfloat64 = 2\nint8 = "1/4"\n'
    text += '[[override]]\nmatch = { op = ["conv"], dtype = ["float64"] }\nweights = { mac = 5 }\nreason = "test"\n'
    rule = parse(text, source="mine.toml")
    assert rule.to_dict()["precision"] == {"float64": 2, "int8": "1/4"}
    assert rule.digest != convention("macs").digest
    prices = {"float32": 60, "float64": 120, "int8": 15}
    for dtype, price in prices.items():
        graph = fc.Graph()
        graph.matmul(graph.input("a", (3, 4), dtype), graph.input("b", (4, 5), dtype))
        assert fc.count(graph).flop(rule) == price
        assert verify(graph, fc.count(graph), rule) == price
    graph = fc.Graph()
    graph.conv(graph.input("x", (1, 1, 3), "float64"), graph.parameter("w", (1, 1, 3), "float64"))
    assert fc.count(graph).flop(rule) == 3 * 5 * 2
    assert verify(graph, fc.count(graph), rule) == 30


def test_a_backward_factor_excludes_gradient_phases() -> None:
    text = MACS.replace("branches = ", 'backward = "5/2"\nbranches = ')
    stated = text.replace('backward = "by rule"', 'backward = "5/2 x forward"')
    with pytest.raises(ConventionError, match="is a factor, but the phases have gradients of their own"):
        parse(stated, source="mine.toml")
    phases = next(line for line in MACS.splitlines() if line.startswith("phases"))
    alone = stated.replace(phases, 'phases = ["forward"]')
    alone = alone.replace('recompute = "counted"', 'recompute = "not counted"')
    alone = alone.replace('optimizer = "counted"', 'optimizer = "not counted"')
    assert parse(alone, source="mine.toml").switches["backward"] == "5/2 x forward"


def test_a_loop_may_be_priced_as_if_it_ran_once() -> None:
    """XLA counts one iteration of a while loop: scanned layers count as one, layers that are written out do not."""
    graph = fc.Graph()
    inner = graph.subgraph("inner")
    x = inner.input("x", (4, 4))
    inner.output(inner.matmul(x, x))
    body = graph.subgraph("body")
    y = body.input("y", (4, 4))
    called = body.call(inner, [y], times=5)
    assert isinstance(called, fc.Tensor)
    body.output(called)
    graph.loop(body, [graph.input("x", (4, 4))], times=7)
    tally = fc.count(graph)
    assert tally.flop("macs") == 7 * 5 * 64
    assert tally.flop("xla-0.10.2") == 2 * 5 * 64
    assert tally.flop("xla") == 2 * 7 * 5 * 64
    for name in ("macs", "xla-0.10.2", "xla"):
        assert verify(graph, tally, convention(name)) == tally.flop(name)


def test_a_loop_that_runs_once_has_its_first_index() -> None:
    graph = fc.Graph()
    step = fc.dim("step", min=0)
    body = graph.subgraph("body")
    rows = body.input("rows", (2 + step, 4))
    body.relu(rows)
    body.output(body.concat([rows, body.constant((1, 4))], axis=0))
    graph.loop(body, [graph.input("rows", (2, 4))], times=3, index=step)
    once = replace(convention("all-arithmetic"), loops="once")
    assert fc.count(graph).flop("all-arithmetic") == 8 + 12 + 16
    assert fc.count(graph).flop(once) == 8
    assert verify(graph, fc.count(graph), once) == 8


def test_only_flop_may_meet_a_threshold() -> None:
    assert convention("onnx-tool").unit == "instruction"
    assert {convention(name).unit for name in ("model", "hardware", "fp-only", "int-or-fp", "epoch")} == {"FLOP"}


def test_a_phase_that_is_not_priced_is_worth_nothing() -> None:
    assert not any(convention("fvcore").weights_of("matmul", phase="grad_input"))
    assert any(convention("macs").weights_of("matmul", phase="grad_input"))


def test_unknown_names_are_answered_with_close_and_known_ones() -> None:
    with pytest.raises(
        ConventionError, match=r"no convention 'torch-2.12'; did you mean .*'torch-2.13'.*known: .*macs"
    ):
        convention("torch-2.12")


def test_a_convention_of_ones_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MACS.replace('name = "macs"', 'name = "mine"'), encoding="utf-8")
    mine = convention(path)
    assert mine.name == "mine"
    assert convention(str(path)) == mine
    assert mine.digest != convention("macs").digest
    with pytest.raises(ConventionError, match="cannot read"):
        convention(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("multiply_add = 1", "multiply_add = 2", r"line \d+: switches.multiply_add: says '2', but the weights say '1'"),
        ('bias = "not counted"', 'bias = "counted"', "switches.bias: says 'counted'"),
        ('unit = "MAC"', 'unit = "GMAC"', "'GMAC' is not allowed here"),
        ('causal = "nominal"\n', "", "extents.causal: is missing"),
        ("mac = 1\n", "mac = 1\nmacc = 1\n", "weights.macc: unknown key .did you mean 'mac'"),
        ("mac = 1\n", "mac = 1.0\n", "not exact"),
        (
            "[weights]",
            '[[override]]\nmatch = { op = ["conv"], variant = ["affine"] }\nweights = {}\nreason = "x"\n[weights]',
            "'affine' is no flag of these ops .their flags: bias, grouped",
        ),
        (
            "[weights]",
            '[[override]]\nmatch = { op = ["convolve"] }\nweights = {}\nreason = "x"\n[weights]',
            "did you mean 'conv'",
        ),
        (
            "[weights]",
            '[[override]]\nmatch = {}\nweights = { mac = "1/3" }\nprinted = { digits = 18, times = 2 }\n'
            'reason = "x"\n[weights]',
            r"printed.digits: 18 is too large .it must be at most 17",
        ),
        (
            "[weights]",
            '[[override]]\nmatch = {}\nweights = { mac = "1/3" }\nprinted = { digits = 4, times = 2 }\n'
            'reason = "x"\n[weights]',
            r"override\[0\].printed.times: makes no whole number of 1/3 mac",
        ),
    ],
)
def test_a_wrong_file_is_explained(old: str, new: str, message: str) -> None:
    assert old in MACS
    with pytest.raises(ConventionError, match=message):
        parse(MACS.replace(old, new, 1), source="macs.toml")


def test_a_convention_prints_as_plain_data() -> None:
    data = convention("fvcore-0.1.5").to_dict()
    assert json.loads(json.dumps(data))["weights"] == {"mac": 1}
    assert data["digest"] == convention("fvcore-0.1.5").digest
    assert hash(convention("macs")) == hash(convention("macs@1"))


def test_repr_is_short() -> None:
    macs = convention("macs")
    assert repr(macs) == f"Convention(macs@1, MAC, digest {macs.digest[:8]})"


def file_schema() -> dict[str, object]:
    path = files("flopcore").joinpath("data/schemas/convention-file.schema.json")
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(schema, dict)
    return schema


def test_every_file_is_of_the_published_schema() -> None:
    schema = file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for item in files("flopcore").joinpath("data/conventions").iterdir():
        jsonschema.validate(tomllib.loads(item.read_text(encoding="utf-8")), schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('unit = "MAC"', 'unit = "GMAC"'),
        ("version = 1", "version = 0"),
        ('causal = "nominal"\n', ""),
        ("mac = 1\n", "macc = 1\n"),
        ("mac = 1\n", "mac = 1.5\n"),
        ("[weights]", '[[override]]\nmatch = { op = ["convolve"] }\nweights = {}\nreason = "x"\n[weights]'),
    ],
)
def test_the_published_schema_refuses_what_the_checker_refuses(old: str, new: str) -> None:
    assert old in MACS
    with pytest.raises(ConventionError):
        parse(MACS.replace(old, new, 1), source="macs.toml")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(MACS.replace(old, new, 1)), file_schema())


@pytest.mark.parametrize("size", [1, 7, 9_995, 12_345, 12_355, 99_995, 123_456_789, 2**60 + 1])
def test_a_price_may_be_what_a_peer_reads_in_a_text(size: int) -> None:
    """Of an outer product, which NumPy prints as one FLOP an element; of a matrix product it prints two."""
    graph = fc.Graph()
    wide, narrow = graph.input("wide", (size,)), graph.input("narrow", (1,))
    graph.op("einsum", [wide, narrow], {"equation": "i,j->ij"})
    graph.op("einsum", [wide, wide], {"equation": "i,i->"})
    read = [int(float(f"{flop:.3e}")) // 2 for flop in (size, 2 * size)]
    assert verify(graph, fc.count(graph), convention("fvcore-0.1.5")) == sum(read)
    assert sum(fc.count(graph).flop("fvcore-0.1.5", by="feature").values()) == sum(read)


def test_a_printed_price_needs_numbers_and_has_no_basis() -> None:
    graph = fc.Graph()
    n = fc.dim("n")
    graph.op(
        "einsum", [graph.input("a", (n, 301, 41)), graph.input("b", (n, 41, 7))], {"equation": "abc,acd->abd"}, name="p"
    )
    with pytest.raises(
        ConventionError, match=r"einsum node 'p' .*: fvcore-0.1.5/measured rounds this price to 4 digits"
    ):
        fc.count(graph).flop("fvcore-0.1.5")
    assert fc.count(graph, at={"n": 3}).flop("macs") == 259_161
    assert fc.count(graph, at={"n": 3}).flop("fvcore-0.1.5") == 259_150
    with pytest.raises(ConventionError, match="rounds what einsum costs, which no sum of columns gives"):
        fc.count(graph, at={"n": 3}).basis(["macs", "fvcore-0.1.5"])


def test_a_printed_price_is_that_of_the_whole_row() -> None:
    """Of many alike nodes the core keeps a row as a sum of shared parts: here elements of one input and the other."""
    rule = '[[override]]\nmatch = { op = ["add"] }\nweights = { in_elems = 1 }\nprinted = { digits = 2, times = 1 }\n'
    text = MACS.replace("[weights]", rule + 'reason = "x"\n[weights]', 1)
    text = text.replace('elementwise = "not counted"', 'elementwise = "in part"', 1)
    graph = fc.Graph()
    sizes = [(37 + 3 * i, 11 + 7 * i) for i in range(600)]
    for rows, columns in sizes:
        graph.add(graph.input("a", (rows, 1)), graph.input("b", (1, columns)))
    expected = sum(int(float(f"{rows + columns:.1e}")) for rows, columns in sizes)
    assert fc.count(graph).flop(parse(text, source="mine.toml")) == expected
    assert expected != sum(map(sum, sizes))
