"""FlopCounterMode on meta, with eager attention and batched experts, as oracle of `from_torch` in its defaults."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flopcore as fc

os.environ["HF_HUB_OFFLINE"] = "1"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
    flop_counter = pytest.importorskip("torch.utils.flop_counter", reason="needs the extra 'oracle'")
    T = pytest.importorskip("transformers", reason="needs the extra 'oracle'")
nn = torch.nn


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    T.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Wrapped(nn.Module):  # type: ignore[misc, name-defined]
    """One call of a model with its inputs by name, the first output alone."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: Any) -> Any:
        return self.model(**dict(zip(self.names, inputs, strict=True)), return_dict=False)[0]


TEXT, PIXELS = ("input_ids", "attention_mask"), ("pixel_values",)
SMALL = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "vocab_size": 1000}


def text(batch: int, seq: int) -> tuple[Any, ...]:
    return tuple(torch.ones(batch, seq, dtype=torch.long, device="meta") for _ in range(2))


def image(side: int) -> tuple[Any, ...]:
    return (torch.zeros(1, 3, side, side, device="meta"),)


def ids(*shape: int) -> Any:
    return torch.ones(*shape, dtype=torch.long, device="meta")


# name: class, config, names of the inputs, inputs
MODELS: dict[str, tuple[str, Any, tuple[str, ...], Any]] = {
    "llama small": (
        "LlamaForCausalLM",
        lambda: T.LlamaConfig(num_hidden_layers=4, num_key_value_heads=2, use_cache=False, **SMALL),
        TEXT,
        lambda: text(1, 128),
    ),
    "bert-base": ("BertModel", lambda: T.BertConfig(), TEXT, lambda: text(1, 128)),
    "gpt2": ("GPT2LMHeadModel", lambda: T.GPT2Config(use_cache=False), TEXT, lambda: text(1, 128)),
    "vit-b16": ("ViTForImageClassification", lambda: T.ViTConfig(num_labels=1000), PIXELS, lambda: image(224)),
    "resnet-50": ("ResNetForImageClassification", lambda: T.ResNetConfig(num_labels=1000), PIXELS, lambda: image(224)),
    "mobilenet-v2": (
        "MobileNetV2ForImageClassification",
        lambda: T.MobileNetV2Config(num_labels=1000),
        PIXELS,
        lambda: image(224),
    ),
    "swin-t": ("SwinForImageClassification", lambda: T.SwinConfig(num_labels=1000), PIXELS, lambda: image(224)),
    "convnext-t": (
        "ConvNextForImageClassification",
        lambda: T.ConvNextConfig(num_labels=1000),
        PIXELS,
        lambda: image(224),
    ),
    "t5-small": (
        "T5ForConditionalGeneration",
        lambda: T.T5Config(use_cache=False),
        ("input_ids", "decoder_input_ids"),
        lambda: (ids(1, 128), ids(1, 128)),
    ),
    "whisper": (
        "WhisperForConditionalGeneration",
        lambda: T.WhisperConfig(use_cache=False),
        ("input_features", "decoder_input_ids", "decoder_attention_mask"),
        lambda: (torch.zeros(1, 80, 3000, device="meta"), ids(1, 32), ids(1, 32)),
    ),
    "mixtral small": (
        "MixtralForCausalLM",
        lambda: T.MixtralConfig(
            num_hidden_layers=4,
            num_key_value_heads=2,
            num_local_experts=8,
            use_cache=False,
            dtype=torch.bfloat16,
            **SMALL,
        ),
        TEXT,
        lambda: text(1, 128),
    ),
}


def build(name: str, *, reference: bool) -> tuple[Any, tuple[Any, ...]]:
    """The model on meta with default attention and experts, or with those that FlopCounterMode can count."""
    kind, config, names, inputs = MODELS[name]
    settings = config()
    model_class = getattr(T, kind)
    if reference:
        settings._experts_implementation = "batched_mm"
        if getattr(model_class, "_supports_sdpa", False):
            settings._attn_implementation = "eager"
    with torch.device("meta"):
        model = model_class(settings)
    if getattr(settings, "dtype", None) is torch.bfloat16:
        model = model.to(torch.bfloat16)
    return Wrapped(model, names).eval(), inputs()


def counted_by_torch(module: Any, inputs: tuple[Any, ...]) -> int:
    """MAC of the exported program run on meta: some models ask for values when they are called directly."""
    program = torch.export.export(module, inputs, strict=False)
    with torch.no_grad(), flop_counter.FlopCounterMode(display=False) as counter:
        program.module()(*inputs)
    return int(counter.get_total_flops()) // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_macs_equal_the_reference_in_default_settings(name: str) -> None:
    expected = counted_by_torch(*build(name, reference=True))
    module, inputs = build(name, reference=False)
    graph = fc.from_torch(module, inputs)
    assert fc.count(graph).flop("macs") == expected
    used = {id(weight): weight.numel() for weight in module.parameters()}
    assert graph.parameters == sum(used.values())


def test_symbolic_dims_keep_the_names_they_were_given() -> None:
    module, _ = build("llama small", reference=False)
    batch, seq = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("seq", min=2, max=512)
    graph = fc.from_torch(module, text(2, 64), dynamic=(({0: batch, 1: seq}, {0: batch, 1: seq}),))
    assert graph.dims == {"batch": (1, 64, 1), "seq": (2, 512, 1)}
    macs = fc.count(graph).flop("macs")
    for size in ((1, 128), (3, 77)):
        at = dict(zip(("batch", "seq"), size, strict=True))
        expected = fc.count(fc.from_torch(module, text(*size))).flop("macs") if size[0] > 1 else None
        assert expected in (None, macs.at(at))
        assert macs.at(at) == fc.count(graph, at=at).flop("macs")


def test_config_and_module_of_one_model_agree() -> None:
    module, inputs = build("llama small", reference=False)
    config = MODELS["llama small"][1]().to_dict() | {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    described = fc.from_huggingface(config)
    graph = fc.from_torch(module, inputs)
    assert graph.parameters == described.parameters
    assert fc.count(graph).flop("macs") == fc.count(described, at={"batch": 1, "seq": 128}).flop("macs")


def test_meta_and_real_weights_give_the_same_graph() -> None:
    def graph(device: str) -> fc.Graph:
        layers = nn.Sequential(nn.Conv2d(3, 8, 3, device=device), nn.BatchNorm2d(8, device=device), nn.ReLU())
        return fc.from_torch(layers.eval(), (torch.zeros(2, 3, 16, 16, device=device),))

    assert graph("cpu").to_dict() == graph("meta").to_dict()


def test_a_saved_program_is_the_same_model(tmp_path: Path) -> None:
    module, x = nn.Sequential(nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 4)), (torch.zeros(3, 16),)
    torch.export.save(torch.export.export(module, x), tmp_path / "model.pt2")
    loaded = fc.load_model(tmp_path / "model.pt2")
    assert fc.count(loaded).flop("all-arithmetic") == fc.count(fc.from_torch(module, x)).flop("all-arithmetic")
    assert loaded.parameters == 16 * 8 + 8 + 8 * 4 + 4


def test_a_damaged_program_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(nn.Linear(4, 4), (torch.zeros(1, 4),)), path)
    content = path.read_bytes()
    for cut in (10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:cut])
        with pytest.raises(fc.DataError):
            fc.from_torch(path)


def test_mutated_programs_give_a_result_or_one_of_our_errors(tmp_path: Path) -> None:
    path, rng = tmp_path / "model.pt2", random.Random(20261122)
    torch.export.save(torch.export.export(nn.Linear(4, 4), (torch.zeros(1, 4),)), path)
    content = path.read_bytes()
    errors = 0
    for _ in range(150):
        data = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 8)] = rng.randbytes(rng.randint(0, 8))
        path.write_bytes(bytes(data))
        try:
            fc.load_model(path)
        except fc.FlopcoreError:
            errors += 1
    assert errors > 100


def test_modules_are_scopes_and_classes_are_origins() -> None:
    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.head(x))

    rows = list(fc.count(fc.from_torch(Net(), (torch.zeros(3, 8),))).rows())
    assert ("head", "torch.nn.Linear") in {(row.scope, row.origin) for row in rows if row.op == "linear"}
    assert {row.origin for row in rows if row.op == "relu"} == {"torch:relu"}


def test_a_tied_weight_is_one_parameter() -> None:
    class Tied(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 8)
            self.head = nn.Linear(8, 50, bias=False)
            self.head.weight = self.table.weight

        def forward(self, x: Any) -> Any:
            return self.head(self.table(x))

    assert fc.from_torch(Tied(), (torch.zeros(2, 3, dtype=torch.long),)).parameters == 400


def test_an_operator_without_a_rule_is_listed() -> None:
    class Special(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.special.bessel_j0(x) + torch.special.bessel_j0(x + 1)

    with pytest.raises(fc.UnsupportedNodes, match="special_bessel_j0") as caught:
        fc.from_torch(Special(), (torch.zeros(3),))
    assert sum(caught.value.nodes.values()) == 2


def test_count_takes_a_module() -> None:
    layer = nn.Linear(784, 10, device="meta")
    assert fc.count(layer, torch.empty(32, 784, device="meta")).flop("macs") == 250880


# ------------------------------------------------------------------------------------------------------- recorded
def recorded(run: Any) -> int:
    with fc.record_torch() as graph:
        run()
    macs = fc.count(graph).flop("macs")
    assert isinstance(macs, int)
    return macs


def test_record_counts_forward_and_backward() -> None:
    layers, x = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16)), torch.ones(8, 64)
    forward = 8 * (64 * 32 + 32 * 16)
    assert recorded(lambda: layers(x)) == forward
    # No gradient of the input is asked for.
    assert recorded(lambda: layers(x).sum().backward()) == forward + 8 * 64 * 32 + 2 * 8 * 32 * 16


def test_record_counts_grouped_convolutions_backward_once() -> None:
    """FlopCounterMode gives 66 times the forward pass here (facts/peers.md)."""
    layer, x = nn.Conv2d(64, 64, 3, padding=1, groups=64), torch.ones(1, 64, 8, 8, requires_grad=True)
    forward = recorded(lambda: layer(x))
    assert forward == 64 * 64 * 9
    assert recorded(lambda: layer(x).sum().backward()) == 3 * forward


def test_record_counts_attention_on_cpu() -> None:
    """FlopCounterMode gives 0 (facts/peers.md: true 12,582,912)."""
    q, k, v = (torch.ones(1, 12, 64, 64) for _ in range(3))
    assert 2 * recorded(lambda: nn.functional.scaled_dot_product_attention(q, k, v)) == 12_582_912


def test_record_counts_recomputation_as_it_happens() -> None:
    from torch.utils.checkpoint import checkpoint

    layer, x = nn.Linear(64, 64, bias=False), torch.ones(8, 64, requires_grad=True)
    plain = recorded(lambda: layer(layer(x)).sum().backward())
    with torch.utils.checkpoint.set_checkpoint_early_stop(False):
        again = recorded(lambda: checkpoint(lambda y: layer(layer(y)), x, use_reentrant=False).sum().backward())
    assert again == plain + 2 * 8 * 64 * 64
