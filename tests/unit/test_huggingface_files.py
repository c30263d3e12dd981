"""The config files that publishers ship: their parameters, total and active, are the published ones."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import flopcore as fc
from flopcore import cli

CONFIGS = Path(__file__).parents[2].parent / "shared" / "data" / "hf_configs"
needs_configs = pytest.mark.skipif(not CONFIGS.is_dir(), reason="this machine has no ../shared/data/hf_configs")

# Exact counts as published: model cards of Llama 3.1 and Mixtral, the gpt-oss card (20.91B), DeepSeek-V3 (arXiv
# 2412.19437: 671B, 37B active), the Qwen3 cards (30.5B with 3.3B active; 8.2B), BERT and T5 (110M, 60M), MiniLM
# (22.7M).
PUBLISHED: dict[str, tuple[int, int]] = {
    "Qwen--Qwen3-30B-A3B": (30_532_122_624, 3_353_032_704),
    "Qwen--Qwen3-8B": (8_190_735_360, 8_190_735_360),
    "deepseek-ai--DeepSeek-V3": (671_026_404_352, 37_552_282_624),
    "google-bert--bert-base-uncased": (109_483_778, 109_483_778),
    "google-t5--t5-small": (60_506_624, 60_506_624),
    "meta-llama--Meta-Llama-3.1-8B": (8_030_261_248, 8_030_261_248),
    "mistralai--Mixtral-8x7B-v0.1": (46_702_792_704, 12_879_925_248),
    "openai--gpt-oss-20b": (20_914_757_184, 4_187_440_704),
    "sentence-transformers--all-MiniLM-L6-v2": (22_713_216, 22_713_216),
}


@needs_configs
def test_every_config_file_has_its_published_parameters() -> None:
    paths = sorted(CONFIGS.glob("*.json"))
    assert {path.stem for path in paths} == PUBLISHED.keys()
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            graph = fc.load_model(path)
        assert (graph.parameters, graph.active_parameters) == PUBLISHED[path.stem], path.stem


@needs_configs
def test_the_command_line_tells_active_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(CONFIGS / "mistralai--Mixtral-8x7B-v0.1.json")
    cli.main(["count", path, "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert (document["parameters"], document["active_parameters"]) == PUBLISHED["mistralai--Mixtral-8x7B-v0.1"]
    cli.main(["count", path, "--dim", "batch=1", "--dim", "seq=512"], standalone_mode=False)
    assert "parameters: 46,702,792,704, active 12,879,925,248" in capsys.readouterr().out
    cli.main(["show", path, "--depth", "2", "--dim", "batch=1", "--dim", "seq=512"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.split()[:1] == ["mixtral"]).split()[-1] == "12,879,925,248"
    assert all("[0..31]" not in line for line in lines)


@needs_configs
def test_layers_that_predict_further_tokens_join_deepseek_on_demand() -> None:
    path = CONFIGS / "deepseek-ai--DeepSeek-V3.json"
    hidden, vocab = 7168, 129280
    main, whole = fc.from_huggingface(path), fc.from_huggingface(path, task="multi-token-prediction")
    at = {"batch": 1, "seq": 32}
    tree = {module.path: module for _, module in fc.module_tree(whole, at=at).walk()}
    layer = tree["model.layers.[3..60]"]
    # A layer as the others, a projection of two normed inputs to one, three norms; table and output layer are shared.
    assert whole.parameters - main.parameters == layer.parameters // 58 + 2 * hidden**2 + 3 * hidden  # type: ignore[operator]
    extra = fc.count(whole, at=at).flop("macs") - fc.count(main, at=at).flop("macs")
    assert extra == layer.cost // 58 + 32 * (2 * hidden**2 + vocab * hidden)  # type: ignore[operator]
    with pytest.raises(fc.UnsupportedOp, match="mixtral with layers that predict further tokens is not built"):
        fc.from_huggingface(CONFIGS / "mistralai--Mixtral-8x7B-v0.1.json", task="multi-token-prediction")
