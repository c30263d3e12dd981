"""The command line end to end: documents, exit codes, and one clear error for each kind of bad input."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from fractions import Fraction
from importlib import resources
from pathlib import Path

import pytest

import flopcore
import onnx_writer as ow
from command_line import document, fails, run


def test_version() -> None:
    assert run("--version").stdout == f"{flopcore.__version__}\n"


def test_runs_as_a_program_without_colour_in_a_pipe() -> None:
    code = "from flopcore.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "conventions"],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_conventions_lists_all_with_digest() -> None:
    found = document("conventions")
    listed = {one["name"]: one for one in found["conventions"]}
    assert set(listed) == set(flopcore.conventions())
    assert listed["macs"]["digest"] == flopcore.convention("macs").digest
    assert "macs@1" in run("conventions").stdout


def test_conventions_show_accepts_an_alias() -> None:
    assert document("conventions", "show", "torch-2.13")["name"] == "torch-2.13/measured"
    assert "multiply_add" in run("conventions", "show", "torch-2.13").stdout


def test_unknown_convention_is_usage_and_names_close_ones() -> None:
    assert "did you mean 'macs'" in fails(2, "conventions", "show", "mac")


def test_bad_convention_file_is_named(tmp_path: Path) -> None:
    assert "nothing.toml" in fails(2, "conventions", "show", f"{tmp_path}/nothing.toml")


def test_estimate_from_parameters_is_exact() -> None:
    found = document("estimate", "--params", "405e9", "--tokens", "15.6e12")
    assert found["flop"] == 37_908 * 10**21
    verdicts = {line["policy"]: line["verdict"] for line in found["thresholds"]}
    assert verdicts["eu_aia_51_2"] == "over"
    assert verdicts["us_ca_sb53"] == "under"


def test_estimate_from_hardware_has_an_interval() -> None:
    found = document("estimate", "--gpu", "h100", "--hours", "30.8e6", "--utilisation", "0.35..0.45")
    assert found["p05"] < found["flop"] < found["p95"]
    assert "uniform" in run("estimate", "--gpu", "h100", "--hours", "30.8e6", "--utilisation", "0.35..0.45").stdout


@pytest.mark.parametrize(("params", "code"), [("1e9", 0), ("405e9", 1)])
def test_estimate_check_exits_1_over_a_line_in_force(params: str, code: int) -> None:
    arguments = ("estimate", "--params", params, "--tokens", "1e12")
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--check").exit_code == code


def test_estimate_exactly_on_the_line_heeds_the_comparator() -> None:
    found = document("estimate", "--params", "10^13", "--tokens", "10^13", "--epochs", "1/6")
    assert found["flop"] == 10**26
    verdicts = {line["policy"]: line["verdict"] for line in found["thresholds"]}
    assert (verdicts["kr_ai_basic_act"], verdicts["us_ca_sb53"]) == ("over", "under")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --params and --tokens, or"),
        (["--params", "1e9"], "missing --tokens"),
        (["--gpu", "h100", "--hours", "1"], "missing --utilisation"),
        (["--gpu", "h100", "--hours", "1", "--utilisation", "0.4", "--params", "1e9"], "cannot be combined"),
        (["--gpu", "h10", "--hours", "1", "--utilisation", "0.4"], "h100"),
        (["--gpu", "h100", "--hours", "1", "--utilisation", "40"], "at most 1"),
        (["--params", "many", "--tokens", "1e9"], "params='many': not a number"),
        (["--params", "-1", "--tokens", "1e9"], "positive"),
        (["--params", "2e9..1e9", "--tokens", "1e9"], "low..high"),
    ],
)
def test_bad_estimates_are_usage(arguments: list[str], says: str) -> None:
    assert says in fails(2, "estimate", *arguments)


def test_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flopcore.study.estimate.estimate_from_parameters", interrupted)
    result = run("estimate", "--params", "1", "--tokens", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_study_hooker_is_repeatable_and_heeds_its_schema() -> None:
    found = document("study", "hooker", "--draws", "2000", "--seed", "7", "--threads", "1")
    assert found == document("study", "hooker", "--draws", "2000", "--seed", "7", "--threads", "2")
    assert [line["threshold"] for line in found["thresholds"]] == [10**23, 10**24, 10**25, 10**26]
    assert (found["draws"], found["seed"]) == (2000, 7)
    for line in found["thresholds"]:
        assert line["p05"] <= line["p50"] <= line["p95"] <= line["n_models"] == len(found["models"])


def test_study_hooker_without_a_seed_records_one() -> None:
    found = document("study", "hooker", "--draws", "10")
    assert found == document("study", "hooker", "--draws", "10", "--seed", found["seed"])


def test_study_hooker_prints_tables_and_csv() -> None:
    printed = run("study", "hooker", "--draws", "1000", "--seed", "1")
    assert printed.exit_code == 0
    assert printed.stderr == ""
    assert "Models over each line" in printed.stdout
    rows = list(csv.DictReader(run("study", "hooker", "--draws", "1000", "--seed", "1", "--csv").stdout.splitlines()))
    assert len(rows) == len(document("study", "hooker", "--draws", "1000", "--seed", "1")["models"])
    assert {"key", "flop", "P(>1e25)"} <= set(rows[0])


def test_study_hooker_takes_other_lines() -> None:
    found = document("study", "hooker", "--line", "3e25", "--line", "10^24", "--draws", "10", "--seed", "1")
    assert [count["threshold"] for count in found["thresholds"]] == [3 * 10**25, 10**24]
    laws = document("study", "hooker", "--in-force", "2026-11-22", "--draws", "10", "--seed", "1")
    counts = {count["policy"]: count for count in laws["thresholds"]}
    assert counts["kr_ai_basic_act"]["comparator"] == ">="
    assert counts["us_outbound_prohibited_bio"]["domains"] == ["biology"]
    printed = run("study", "hooker", "--in-force", "2026-11-22", "--draws", "10", "--seed", "1")
    assert "us_ca_sb53" in printed.stdout.replace("\n", "")
    for wrong in (
        ["--line", "x"],
        ["--line", "-1"],
        ["--in-force", "soon"],
        ["--line", "1", "--in-force", "2026-01-01"],
    ):
        fails(2, "study", "hooker", *wrong)


def test_study_hooker_takes_other_models(tmp_path: Path) -> None:
    table = tmp_path / "models.csv"
    header = "Model,Publication date,Domain,Training compute (FLOP),Confidence\n"
    table.write_text(header + "A,2024-01-02,Language,5.0000000000001e26,Likely\nB,2024-01-02,Language,,\n")
    found = document("study", "hooker", "--data", table, "--draws", "100", "--seed", "1")
    assert [model["name"] for model in found["models"]] == ["A"]
    assert found["population"]["remarks"] == ["row 1 (line 2): A: training compute 5.0000000000001e26 read as 5e+26"]
    printed = run("study", "hooker", "--data", table, "--draws", "100", "--seed", "1")
    assert "remarks on the data: 1" in printed.stdout
    assert "left out: B" in printed.stdout
    table.write_text(header + "A,2024-01-02,Language,1e300,Likely\n")
    assert "row 1 (line 2), training_flop: 1e300 is absurd" in fails(4, "study", "hooker", "--data", table)
    assert "cannot be read" in fails(4, "study", "hooker", "--data", tmp_path / "absent.toml")
    bundled = resources.files("flopcore").joinpath("data", "population.toml")
    again = document("study", "hooker", "--data", bundled, "--draws", "100", "--seed", "1")
    assert again == document("study", "hooker", "--draws", "100", "--seed", "1")


@pytest.mark.parametrize(
    "options", [["--draws", "0"], ["--seed", "-1"], ["--threads", "0"], ["--csv", "--json"], ["--draws", "many"]]
)
def test_bad_study_options_are_usage(options: list[str]) -> None:
    fails(2, "study", "hooker", *options)


def test_build_info() -> None:
    found = document("build-info")
    assert found["version"] == flopcore.__version__
    assert found["isa"] in found["available_isas"]
    assert "compiler" in run("build-info").stdout


# ------------------------------------------------------------------------------------------------ models


def node(op: str, inputs: list[str], output: str) -> bytes:
    return ow.node(op, inputs, [output], f"{op}_{output}")


def perceptron(*shape: int | str) -> bytes:
    """`y = relu(x @ w)`, x of this shape and w of (last size, 8)."""
    nodes = [node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "y")]
    return ow.model(nodes, [ow.value("x", shape), ow.value("w", (shape[-1], 8))], ["y"])


def square(n: int) -> bytes:
    """One product of two n x n matrices."""
    return ow.model([node("MatMul", ["a", "b"], "y")], [ow.value("a", (n, n)), ow.value("b", (n, n))], ["y"])


LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "vocab_size": 100,
}


def llama_macs(batch: int, seq: int) -> int:
    """Multiply-adds of `LLAMA`, attention nominal: projections, MLP, scores and values, output layer."""
    width, inner, layers, vocabulary, kv = 64, 96, 3, 100, 2 * 16
    projections = 2 * width * width + 2 * width * kv + 3 * width * inner
    return batch * (layers * (seq * projections + 2 * seq * seq * width) + seq * width * vocabulary)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(perceptron(4, 16))
    return path


@pytest.fixture
def symbolic(tmp_path: Path) -> Path:
    path = tmp_path / "symbolic.onnx"
    path.write_bytes(perceptron("unk__12", 16))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    return path


def test_count_of_an_onnx_file(onnx_file: Path) -> None:
    found = document("count", onnx_file)
    macs = flopcore.convention("macs")
    assert found["flop"] == 4 * 16 * 8
    assert (found["unit"], found["expr"], found["by"], found["unsupported"], found["dims"]) == (
        "MAC",
        "512",
        {},
        [],
        {},
    )
    assert found["convention"] == {"name": "macs", "version": macs.version, "digest": macs.digest}
    assert "512 MAC" in run("count", onnx_file).stdout


def test_count_under_another_convention(onnx_file: Path) -> None:
    found = document("count", onnx_file, "--convention", "torch-2.13")
    assert (found["flop"], found["unit"]) == (2 * 4 * 16 * 8, "FLOP")
    assert found["convention"]["name"] == "torch-2.13/measured"


def test_count_by_axes_sums_to_the_total(onnx_file: Path) -> None:
    axes = ("op", "module", "dtype", "phase", "feature")
    options = [text for axis in axes for text in ("--by", axis)]
    found = document("count", onnx_file, "--convention", "all-arithmetic", *options)
    assert tuple(found["by"]) == axes
    assert {sum(parts.values()) for parts in found["by"].values()} == {found["flop"]}
    assert "relu" in run("count", onnx_file, "--convention", "all-arithmetic", "--by", "op").stdout


def test_count_without_dims_is_a_polynomial(symbolic: Path) -> None:
    found = document("count", symbolic, "--by", "op")
    assert (found["flop"], found["expr"], found["dims"]) == (None, "128*unk__12", {"unk__12": None})
    assert found["by"]["op"]["matmul"] == "128*unk__12"
    assert "128*unk__12 MAC" in run("count", symbolic).stdout


def test_count_with_dims_is_a_number_and_keeps_the_polynomial(symbolic: Path) -> None:
    found = document("count", symbolic, "--dim", "unk__12=1000")
    assert (found["flop"], found["expr"], found["dims"]) == (128_000, "128*unk__12", {"unk__12": 1000})


def test_count_of_a_config(config: Path) -> None:
    found = document("count", config, "--dim", "batch=2", "--dim", "seq=128")
    assert found["flop"] == llama_macs(2, 128)
    assert document("count", config)["dims"] == {"batch": None, "seq": None}


@pytest.mark.parametrize("seq", [1, 8192])
def test_count_of_llama_8b_equals_a_closed_form(seq: int) -> None:
    example = Path(__file__).parents[2] / "examples" / "llama-8b.json"
    width, inner, layers, vocabulary, kv = 4096, 14336, 32, 128256, 1024
    weights = 2 * width * width + 2 * width * kv + 3 * width * inner
    found = document("count", example, "--dim", "batch=1", "--dim", f"seq={seq}")
    assert found["parameters"] == 8_030_261_248 == layers * (weights + 2 * width) + 2 * vocabulary * width + width
    assert found["flop"] == seq * (layers * weights + width * vocabulary) + layers * 2 * seq * seq * width


def test_count_is_exact_beyond_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    n = 3_000_001
    path.write_bytes(square(n))
    assert document("count", path)["flop"] == 27_000_027_000_009_000_001


def test_verify_recounts_with_the_reference(onnx_file: Path, config: Path) -> None:
    assert document("count", onnx_file, "--verify")["verified"] == 512
    at = ("--dim", "batch=2", "--dim", "seq=8")
    assert document("count", config, "--verify", *at)["verified"] == llama_macs(2, 8)
    assert "--dim batch=SIZE" in fails(2, "count", config, "--verify")


def test_verify_exits_1_on_a_difference(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flopcore.reference.verification.price", lambda *_: 513)
    assert "513 in the reference, 512 in the core" in fails(1, "count", onnx_file, "--verify")


def test_compare_prices_one_walk(onnx_file: Path) -> None:
    found = document("compare", onnx_file, "--convention", "macs,torch-2.13", "--convention", "all-arithmetic")
    results = {one["convention"]["name"]: one["flop"] for one in found["results"]}
    assert results == {"macs": 512, "torch-2.13/measured": 1024, "all-arithmetic": 2 * 512 - 32 + 32}
    assert next(iter(found["by"])) == "matmul"
    assert found["by"]["relu"] == {"macs": 0, "torch-2.13/measured": 0, "all-arithmetic": 32}
    assert "torch-2.13/measured@1" in run("compare", onnx_file, "--convention", "macs,torch-2.13").stdout


def test_compare_of_polynomials(symbolic: Path) -> None:
    found = document("compare", symbolic, "--convention", "macs,torch-2.13")
    assert [one["expr"] for one in found["results"]] == ["128*unk__12", "256*unk__12"]
    assert "128*unk__12" in run("compare", symbolic, "--convention", "macs,torch-2.13").stdout


def test_estimate_beside_the_exact_walk(config: Path) -> None:
    found = document("estimate", "--config", config, "--tokens", "1e9", "--dim", "seq=128")
    weights = 100 * 64 * 2 + 3 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64) + 64
    assert found["flop"] == 6 * weights * 10**9
    assert found["exact"]["flop"] == 6 * Fraction(llama_macs(1, 128), 128) * 10**9
    assert "exact walk" in run("estimate", "--config", config, "--tokens", "1e9", "--dim", "seq=128").stdout
    named = document("estimate", "--config", config, "--params", "1e6", "--tokens", "1e9", "--dim", "seq=128")
    assert (named["flop"], named["exact"]["flop"]) == (6 * 10**15, found["exact"]["flop"])


def test_estimate_beside_a_walk_needs_its_sequence_length(config: Path, onnx_file: Path) -> None:
    assert "--dim seq=SIZE" in fails(2, "estimate", "--config", config, "--tokens", "1e9")
    assert "missing --tokens" in fails(2, "estimate", "--config", config, "--dim", "seq=8")
    assert "dims batch and seq" in fails(2, "estimate", "--config", onnx_file, "--tokens", "1e9", "--dim", "seq=8")


def test_estimate_of_a_bad_config_exits_4(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama"}')
    assert "hidden_size" in fails(4, "estimate", "--config", path, "--tokens", "1e9", "--dim", "seq=8")


# -------------------------------------------------------------------------------------- bad input to count


def test_unsupported_ops_are_listed_and_exit_3(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    nodes = [node("NoSuchOp", ["x"], "h"), node("NoSuchOp", ["h"], "i"), node("Relu", ["i"], "y")]
    path.write_bytes(ow.model(nodes, [ow.value("x", (4,))], ["y"]))
    assert "NoSuchOp" in fails(3, "count", path)
    found = document("count", path, code=3)
    assert (found["flop"], found["expr"], found["unsupported"]) == (None, None, [{"op": "NoSuchOp", "nodes": 2}])


def test_unsupported_ops_can_be_left_out_and_still_exit_3(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    nodes = [node("Relu", ["x"], "h"), node("NoSuchOp", ["h"], "y")]
    path.write_bytes(ow.model(nodes, [ow.value("x", (4,))], ["y"]))
    found = document("count", path, "--on-unsupported", "list", "--convention", "all-arithmetic", code=3)
    assert (found["flop"], found["unsupported"]) == (4, [{"op": "NoSuchOp", "nodes": 1}])
    shown = run("count", path, "--on-unsupported", "list")
    assert "incomplete: no rule for NoSuchOp x 1" in shown.stdout
    assert "the count is incomplete; without a rule: NoSuchOp x 1" in shown.stderr


@pytest.mark.parametrize("keep", [1, 10, 40, 0.5, -1])
def test_truncated_file_exits_4(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "short.onnx"
    whole = perceptron(4, 16)
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert "short.onnx" in fails(4, "count", path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "bad.onnx"),
        (b"not a model", "bad.onnx"),
        (b'{"model_type": "llama"', "bad.onnx"),
        (b'{"model_type": "llama"}', "hidden_size"),
        (ow.model([node("Add", ["x", "z"], "y"), node("Relu", ["y"], "z")], [ow.value("x", (4,))], ["z"]), "cycle"),
        (ow.model([node("Relu", ["gone"], "y")], [ow.value("x", (4,))], ["y"]), "gone"),
        (perceptron(4, 16).replace(ow.number(1, 16), ow.number(1, 15), 1), "15"),
        (ow.model([node("Relu", ["x"], "y")], [ow.value("x", (-4,))], ["y"]), "-4"),
    ],
    ids=["empty", "text", "bad json", "config without sizes", "cycle", "missing tensor", "shapes", "negative dim"],
)
def test_bad_file_exits_4(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    assert says in fails(4, "count", path)


def test_count_past_127_bits_names_the_op(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    n = 2**45
    path.write_bytes(square(n))
    assert "matmul" in fails(4, "count", path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--dim", "seq=8"], "missing --dim batch=SIZE"),
        (["--dim", "batch=-1", "--dim", "seq=8"], "'batch' is at least 1"),
        (["--dim", "batch=1", "--dim", "sequence=8"], "did you mean 'seq'? its dims: batch, seq"),
        (["--dim", "batch=1", "--dim", f"seq={10**30}"], "'seq' is at least 1, below 2^62"),
        (["--dim", "batch"], "is not NAME=SIZE"),
        (["--dim", "batch=many"], "the size 'many' is not an integer"),
        (["--dim", "batch=1", "--dim", "batch=2", "--dim", "seq=8"], "given twice"),
        (["--convention", "mac"], "did you mean 'macs'"),
        (["--convention", "macs", "--convention", "torch-2.13"], "flopcore compare"),
        (["--by", "layer"], "'op', 'module', 'dtype', 'phase', 'feature'"),
    ],
)
def test_bad_options_are_usage(config: Path, options: list[str], says: str) -> None:
    assert says in fails(2, "count", config, *options)


def test_full_disk_is_no_line_exceeded(config: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    program = [sys.executable, "-c", "from flopcore.cli import main; main()", "count", str(config)]
    with open("/dev/full", "wb") as full:
        found = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert found.returncode == 4
    assert found.stderr == "Error: output: No space left on device\n"


def test_warnings_are_one_line(config: Path) -> None:
    strange = config.with_name("strange.json")
    strange.write_text(json.dumps(json.loads(config.read_text()) | {"flux": 12}))
    program = [sys.executable, "-c", "from flopcore.cli import main; main()", "count", str(strange), "--json"]
    found = subprocess.run(program, capture_output=True, text=True, check=True)
    assert found.stderr == (f"Warning: {strange}: keys that are not understood and could change the count: flux\n")
    assert json.loads(found.stdout)["schema"] == "flopcore.count/1"


def test_missing_file_is_usage(tmp_path: Path) -> None:
    assert "does not exist" in fails(2, "count", tmp_path / "none.onnx")


def test_diff_names_the_rows_that_differ(onnx_file: Path, symbolic: Path) -> None:
    found = document("diff", onnx_file, "macs", "all-arithmetic")
    left, right = (total["total"] for total in found["totals"])
    assert sum(row["difference"] for row in found["rows"]) == right - left
    assert "compared as plain numbers" in run("diff", onnx_file, "macs", "all-arithmetic").stdout
    assert "bind --dim unk__12=SIZE" in fails(2, "diff", symbolic, "macs", "pycls")
    assert document("diff", symbolic, "macs", "torch", "--dim", "unk__12=3")["dims"] == {"unk__12": 3}


def test_count_explains_itself(onnx_file: Path) -> None:
    found = document("count", onnx_file, "--explain")["explanation"]
    assert sum(charge["price"] for charge in found["charges"]) == document("count", onnx_file)["flop"]
    covered = document("count", onnx_file, "--coverage")["explanation"]
    assert set(covered) == {"uncounted", "coverage"}
    assert covered["coverage"] == found["coverage"]
    shown = run("count", onnx_file, "--explain").stdout
    assert "What was counted" in shown
    assert "general weights" in shown
    assert "What was counted" not in run("count", onnx_file, "--coverage").stdout


def test_count_says_what_bytes_move(onnx_file: Path, symbolic: Path) -> None:
    moved = document("count", onnx_file, "--bytes")["bytes"]
    assert all(part["reads"] == part["weights"] + part["activations"] for part in moved.values())
    assert "Bytes" in run("count", onnx_file, "--bytes").stdout
    assert document("count", onnx_file)["bytes"] is None
    assert any("unk__12" in str(part["reads"]) for part in document("count", symbolic, "--bytes")["bytes"].values())


def test_compare_needs_two_conventions(onnx_file: Path) -> None:
    assert "at least two" in fails(2, "compare", onnx_file, "--convention", "macs,macs")


def test_show_prints_the_module_tree(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    found = document("show", path, "--dim", "batch=1", "--dim", "seq=8", "--depth", 3)
    counted = document("count", path, "--dim", "batch=1", "--dim", "seq=8")
    assert (found["flop"], found["parameters"]) == (counted["flop"], counted["parameters"])
    assert [(each["level"], each["path"]) for each in found["modules"]] == [
        (0, ""),
        (1, "model"),
        (2, "model.embed_tokens"),
        (2, "model.layers"),
        (3, "model.layers.[0..2]"),
        (2, "model.norm"),
        (1, "lm_head"),
    ]
    shown = run("show", path, "--dim", "batch=1", "--dim", "seq=8").stdout
    assert "input_layernorm" in shown
    assert "100.0 %" in shown
    assert document("show", path)["flop"] is None
