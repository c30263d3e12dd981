"""Published figures from our own builders, to the printed digit; every row of the shared facts is accounted for."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from math import prod
from pathlib import Path

import pytest

import flopcore as fc
from flopcore.architectures import cnn
from flopcore.architectures.densenet import densenet
from flopcore.architectures.encoder import BertEncoder, VisionEncoder, bert, vit
from flopcore.architectures.experts import Experts
from flopcore.architectures.fasternet import fasternet
from flopcore.architectures.gpt2 import GPT2, gpt2
from flopcore.architectures.mobilenet import mobilenet_v2
from flopcore.architectures.t5 import T5, t5
from flopcore.architectures.transformer import Decoder, decoder
from flopcore.training import flop_from_parameters

HERE = Path(__file__).parent
FACTS = HERE.parents[2] / "shared" / "facts"
TABLE = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))

Number = int | Fraction


def whole(value: object) -> Number:
    assert isinstance(value, int | Fraction)
    return value


def macs(graph: fc.Graph) -> Number:
    return whole(fc.count(graph).flop("macs"))


def llama(layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocab: int, seq: int = 1) -> fc.Graph:
    """The family as its config.json files have it (arXiv 2307.09288, 2407.21783)."""
    spec = Decoder(
        layers=layers, hidden=hidden, intermediate=intermediate, vocab=vocab, heads=heads, kv_heads=kv_heads,
        head_dim=hidden // heads,
    )  # fmt: skip
    return decoder(spec, batch=1, seq=seq)


def vision(layers: int, hidden: int, heads: int, patch: int, image: int = 224) -> fc.Graph:
    return vit(
        VisionEncoder(layers=layers, hidden=hidden, intermediate=4 * hidden, heads=heads, patch=patch, image=image),
        batch=1,
    )


def encoder(layers: int, hidden: int, heads: int, seq: int = 128) -> fc.Graph:
    spec = BertEncoder(
        layers=layers, hidden=hidden, intermediate=4 * hidden, heads=heads, vocab=30522, positions=512, token_types=2
    )
    return bert(spec, batch=1, seq=seq)


LLAMA_3_8B = (32, 4096, 14336, 32, 8, 128256)
VITS: Mapping[str, tuple[int, ...]] = {
    "vit_b_16": (12, 768, 12, 16),
    "vit_b_32": (12, 768, 12, 32),
    "vit_l_16": (24, 1024, 16, 16),
    "vit_l_32": (24, 1024, 16, 32),
    "vit_h_14": (32, 1280, 16, 14, 518),
}
BERTS = {"base": (12, 768, 12), "large": (24, 1024, 16)}
LLAMAS: Mapping[str, tuple[int, int, int, int, int, int]] = {
    "Llama-2-7B": (32, 4096, 11008, 32, 32, 32000),
    "Llama-2-13B": (40, 5120, 13824, 40, 40, 32000),
    "Llama-2-70B": (80, 8192, 28672, 64, 8, 32000),
    "Llama-3-8B": LLAMA_3_8B,
    "Llama-3-70B": (80, 8192, 28672, 64, 8, 128256),
    "Llama-3.1-405B": (126, 16384, 53248, 128, 8, 128256),
}
# Layers, hidden, width of an expert, heads, vocabulary.
MIXTRALS = {"8x7B": (32, 4096, 14336, 32, 32000), "8x22B": (56, 6144, 16384, 48, 32768)}
# Table D.1: parameters in millions and tokens in billions, as printed.
GPT3_TABLE = {
    "T5-Small": ("60", 1000), "T5-Base": ("220", 1000), "T5-Large": ("770", 1000), "T5-3B": ("3000", 1000),
    "T5-11B": ("11000", 1000), "BERT-Base": ("109", 250), "BERT-Large": ("355", 250), "RoBERTa-Base": ("125", 2000),
    "RoBERTa-Large": ("355", 2000), "GPT-3 Small": ("125", 300), "GPT-3 Medium": ("356", 300),
    "GPT-3 Large": ("760", 300), "GPT-3 XL": ("1320", 300), "GPT-3 2.7B": ("2650", 300), "GPT-3 6.7B": ("6660", 300),
    "GPT-3 13B": ("12850", 300), "GPT-3 175B": ("174600", 300),
}  # fmt: skip


# Layers, width, heads: Brown et al. 2020, table 2.1; Rae et al. 2021, table 1.
GPTS = {
    "Small": (12, 768, 12), "Medium": (24, 1024, 16), "Large": (24, 1536, 16), "XL": (24, 2048, 16),
    "2.7B": (32, 2560, 32), "6.7B": (32, 4096, 32), "13B": (40, 5120, 40), "175B": (96, 12288, 96),
}  # fmt: skip
# Layers of each side, width, feed-forward, heads, width of a head: Raffel et al. 2019, table 14.
T5S = {
    "Small": (6, 512, 2048, 8, 64), "Base": (12, 768, 3072, 12, 64), "3B": (24, 1024, 16384, 32, 128),
    "11B": (24, 1024, 65536, 128, 128),
}  # fmt: skip
# Layers, width, heads (of 256), tokens in billions: Chowdhery et al. 2022, table 1.
PALMS = {"8B": (32, 4096, 16, 780), "62B": (64, 8192, 32, 795), "540B": (118, 18432, 48, 780)}


def gpt(layers: int, hidden: int, heads: int, vocab: int = 50257, seq: int = 1) -> fc.Graph:
    spec = GPT2(layers=layers, hidden=hidden, intermediate=4 * hidden, heads=heads, vocab=vocab, positions=2048)
    return gpt2(spec, batch=1, seq=seq)


def table_d1(variant: str) -> fc.Graph:
    family, size = re.findall(r"(T5|BERT|RoBERTa|GPT-3)[- ](.*)", variant)[0]
    if family == "T5":
        layers, hidden, intermediate, heads, head_dim = T5S[size]
        spec = T5(
            encoder_layers=layers, decoder_layers=layers, hidden=hidden, intermediate=intermediate, heads=heads,
            head_dim=head_dim, vocab=32128,
        )  # fmt: skip
        return t5(spec, batch=1, seq=1, decoder_seq=1)
    if family == "RoBERTa":
        layers, hidden, heads = BERTS[size.lower()]
        roberta = BertEncoder(
            layers=layers, hidden=hidden, intermediate=4 * hidden, heads=heads, vocab=50265, positions=514,
            token_types=1, family="roberta",
        )  # fmt: skip
        return bert(roberta, batch=1, seq=1)
    return encoder(*BERTS[size.lower()], seq=1) if family == "BERT" else gpt(*GPTS[size])


def palm(layers: int, hidden: int, heads: int) -> fc.Graph:
    spec = Decoder(
        layers=layers, hidden=hidden, intermediate=4 * hidden, vocab=256_000, heads=heads, kv_heads=1, head_dim=256,
        residual="parallel", norm="layer_scale", embeddings="tied",
    )  # fmt: skip
    return decoder(spec, batch=1, seq=2048)


def passes(graph: fc.Graph, number: int, tokens: int) -> Number:
    """FLOP of as many forward passes over tokens, in sequences of 2048."""
    return Fraction(number * tokens, 2048) * whole(fc.count(graph).flop("torch"))


def torchvision(name: str) -> fc.Graph:
    if name.startswith("resnet"):
        return cnn.resnet(int(name.removeprefix("resnet")))
    if name.startswith("vgg"):
        depth, _, norm = name.removeprefix("vgg").partition("_")
        return cnn.vgg(int(depth), batch_norm="eval" if norm else "none")
    if name.startswith("densenet"):
        return densenet(int(name.removeprefix("densenet")))
    if name.startswith("vit"):
        return vision(*VITS[name])
    others: dict[str, Callable[[], fc.Graph]] = {
        "alexnet": cnn.alexnet,
        "squeezenet1_0": lambda: cnn.squeezenet("1.0"),
        "squeezenet1_1": lambda: cnn.squeezenet("1.1"),
        "mobilenet_v2": mobilenet_v2,
    }
    return others[name]()


def mixtral_parameters(size: str, which: str) -> Number:
    """All parameters, or those that a token meets: two of eight experts."""
    layers, hidden, width, heads, vocab = MIXTRALS[size]
    experts = Experts(number=8, per_token=2, intermediate=width)
    spec = Decoder(
        layers=layers, hidden=hidden, intermediate=width, vocab=vocab, heads=heads, kv_heads=8, head_dim=128,
        experts=experts,
    )  # fmt: skip
    idle = layers * (experts.number - experts.per_token) * 3 * hidden * width
    return whole(decoder(spec, batch=1, seq=1).parameters) - (idle if which == "active" else 0)


def partial_convolution() -> Number:
    """A convolution of a quarter of the channels relative to one of all (arXiv 2303.03667, equation 2)."""

    def cost(channels: int) -> Number:
        graph = fc.Graph()
        x = graph.input("x", (1, channels, 14, 14))
        graph.conv(x, graph.parameter("w", (channels, channels, 3, 3)), padding=1)
        return macs(graph)

    return Fraction(cost(10), cost(40))


@cache
def first_token_flop(seq: int) -> Number:
    """FLOP of the linear layers of Llama 3 8B over a prompt."""
    by_op = fc.count(llama(*LLAMA_3_8B, seq=seq)).flop("torch", by="op")
    return whole(by_op["linear"])


def attention_macs(heads: int, kv_heads: int) -> Number:
    spec = Decoder(layers=8, hidden=256, intermediate=1024, vocab=100, heads=heads, kv_heads=kv_heads, head_dim=16)
    return whole(fc.count(decoder(spec, batch=1, seq=64)).flop("macs", by="op")["attention"])


def counted(system: str, variant: str, metric: str) -> Number:
    """Count one figure."""
    match system, metric:
        case "torchvision", "macs":
            return macs(torchvision(variant))
        case "torchvision", "params":
            return whole(torchvision(variant).parameters)
        case "FasterNet", "macs":
            return macs(fasternet(variant))  # type: ignore[arg-type]
        case "FasterNet", "params":
            return whole(fasternet(variant).parameters)  # type: ignore[arg-type]
        case "FasterNet", "ratio":
            return partial_convolution()
        case "Block-Attention", "flops":
            prompt, *query = map(int, re.findall(r"(\d+)[- ]token", variant))
            return first_token_flop(min([prompt, *query]))
        case "Block-Attention", "ratio":
            return 1 - Fraction(first_token_flop(50), first_token_flop(32768))
        case "BERT", "flops":
            size, seq = variant.partition(" ")[0], int(variant.rpartition(" ")[2])
            return whole(fc.count(encoder(*BERTS[size], seq=seq)).flop("torch"))
        case "BERT", "params":
            return whole(encoder(*BERTS[variant]).parameters)
        case "SQA", "ratio":
            heads, kv_heads = (int(re.findall(rf"{part}=(\d+)", variant)[0]) for part in ("Hq", "Hkv"))
            return Fraction(attention_macs(heads, kv_heads), attention_macs(16, 16))
        case "Llama", "params":
            return whole(llama(*LLAMAS[variant]).parameters)
        case "Mixtral", "params":
            size, _, which = variant.partition(" ")
            return mixtral_parameters(size, which)
        case "Llama-3.1", "training_flop":
            return flop_from_parameters(llama(*LLAMAS["Llama-3.1-405B"]).parameters, 15_600 * 10**9)
        case "GPT-3 App. D", "training_flop":
            millions, billions = GPT3_TABLE[variant]
            factor = 3 if variant.startswith("T5") else 6
            return flop_from_parameters(int(millions) * 10**6, billions * 10**9, factor=factor)
        case "GPT-3 App. D", "params":
            return whole(table_d1(variant).parameters)
        case "GPT-3", "flops":
            return whole(fc.count(gpt(*GPTS[variant])).flop("torch"))
        case "Gopher", "training_flop":
            return passes(gpt(80, 16384, 128, vocab=32_000, seq=2048), 4, 300 * 10**9)
        case "PaLM", "training_flop" if variant in PALMS:
            *sizes, billions = PALMS[variant]
            return passes(palm(*sizes), 3, billions * 10**9)
        case "PaLM", "training_flop":
            return flop_from_parameters(540 * 10**9, 780 * 10**9)
    raise AssertionError(f"no way to count {system} {variant} {metric}")


def figures() -> Iterator[tuple[str, str, str, str, str]]:
    """System, variant, metric, figure as printed, and how its last digit was made."""
    for group in TABLE["group"]:
        for variant, metric, printed, *rounding in group["figure"]:
            yield group["system"], variant, metric, printed, (rounding or [group["rounding"]])[0]


def as_printed(value: Number, printed: str, rounding: str) -> Decimal:
    """Return a value with as many digits as a printed figure."""
    last = Decimal(1).scaleb(int(Decimal(printed).as_tuple().exponent))
    steps = Decimal(Fraction(value).numerator) / Decimal(Fraction(value).denominator) / last
    return steps.to_integral_value(ROUND_DOWN if rounding == "cut" else ROUND_HALF_UP) * last


@pytest.mark.parametrize(
    ("system", "variant", "metric", "printed", "rounding"),
    [pytest.param(*row, id=" ".join(row[:3])) for row in figures()],
)
def test_a_published_figure_is_counted_to_its_last_digit(
    system: str, variant: str, metric: str, printed: str, rounding: str
) -> None:
    assert as_printed(counted(system, variant, metric), printed, rounding) == Decimal(printed)


def test_every_figure_of_the_shared_facts_is_accounted_for() -> None:
    """Each row is reproduced above under the same figure, or stands in `elsewhere` with the reason why not."""
    path = FACTS / "published_flops.csv"
    if not path.exists():
        pytest.skip("this machine has no ../shared")
    known = {(system, variant, metric): printed for system, variant, metric, printed, _ in figures()}
    reasons = {(row["system"], row["metric"]): row["why"] for row in TABLE["elsewhere"]}
    used = set()
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            variant = (
                f"{row['variant']}, {row['input']}" if row["system"] == "BERT" and row["input"] else row["variant"]
            )
            key = (row["system"], variant, row["metric"])
            if key in known:
                assert Decimal(known.pop(key)) == Decimal(row["value"]), key
            else:
                assert reasons.get((row["system"], row["metric"])), f"{key} is neither counted nor explained"
                assert row["verified"] != "reproduced" or row["metric"] == "training_flop", key
                used.add((row["system"], row["metric"]))
    assert not known, "our table has figures that the facts do not have"
    assert used == set(reasons)


LAYERS: Mapping[str, Callable[[], fc.Graph]] = {
    "resnet50": cnn.resnet,
    "vgg19": lambda: cnn.vgg(19),
    "mobilenet_v2": mobilenet_v2,
    "fasternet_t0": lambda: fasternet("T0"),
}


@pytest.mark.parametrize("model", LAYERS)
def test_layers_are_those_of_the_facts_row_by_row(model: str) -> None:
    """Every convolution and linear layer: its place, shapes, groups, bias, multiply-adds, in order."""
    path = FACTS / "layers" / f"{model}.csv"
    if not path.exists():
        pytest.skip("this machine has no ../shared")
    graph = LAYERS[model]()
    with path.open(newline="", encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    found = [row for row in fc.count(graph).rows() if row.feature == "mac"]
    assert [row.name for row in found] == [row["layer"] for row in expected]
    layers = layer_facts(graph)
    for row, fact in zip(found, expected, strict=True):
        macs = prod(extent.nominal for extent in row.extents) * row.base
        assert {**layers[row.name], "layer": row.name, "macs": str(macs)} == fact


def layer_facts(graph: fc.Graph) -> dict[str, dict[str, str]]:
    """What the graph says of each convolution and linear layer, in the words of the facts (sizes without the batch)."""
    layers = {}
    for node in graph.nodes():
        if node["op"] in ("conv", "linear"):
            x, weight, y = (graph.core.shape(i) for i in (*node["inputs"][:2], node["outputs"][0]))
            attrs = node["attrs"]
            groups = attrs.get("groups", 1)
            layers[node["name"]] = {
                "op": "conv2d" if node["op"] == "conv" else "linear",
                "c_in": str(weight[1] * groups),
                "c_out": str(weight[0]),
                "kernel": shape(weight[2:]),
                "stride": str(attrs["stride"][0]) if "stride" in attrs else "",
                "pad": str(attrs["padding"][0]) if "padding" in attrs else "",
                "groups": str(groups),
                "bias": str(int(len(node["inputs"]) > 2 and node["inputs"][2] is not None)),
                "in_shape": shape(x[1:]),
                "out_shape": shape(y[1:]),
            }
    return layers


def shape(sizes: Sequence[object]) -> str:
    return "x".join(map(str, sizes))
