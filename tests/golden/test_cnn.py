"""ResNet and VGG of our own builders: published multiply-adds, parameters, and the peers' measured totals."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

import flopcore as fc
from flopcore.architectures import cnn
from flopcore.architectures.densenet import densenet
from flopcore.architectures.fasternet import Variant, fasternet

# The peers' totals are ours as measured (see the summary of each convention); each is a sum of these.
MAC = 4_089_184_256
BATCH_NORM, RELU, ADD, MAXPOOL_IN, GAP_IN = 11_113_984, 9_608_704, 5_519_360, 802_816, 100_352


def elements(tally: fc.Tally, op: str, feature: str) -> object:
    """Sum of a size feature over all rows of an op, dims bound."""
    total = 0
    for row in tally.rows():
        if row.op == op and row.feature == feature:
            assert isinstance(row.base, int)
            total += row.base
    return total


def test_resnet50_decomposes_as_published() -> None:
    tally = fc.count(cnn.resnet(50))
    assert elements(tally, "batch_norm", "out_elems") == BATCH_NORM
    assert elements(tally, "relu", "out_elems") == RELU
    assert elements(tally, "add", "out_elems") == ADD
    assert elements(tally, "max_pool", "in_elems") == MAXPOOL_IN
    assert elements(tally, "adaptive_average_pool", "in_elems") == GAP_IN


@pytest.mark.parametrize(
    ("convention", "total"),
    [
        ("macs", MAC),
        ("torch-2.13", 2 * MAC),
        ("pycls", MAC + 1000),
        ("fvcore-0.1.5", MAC + 2 * BATCH_NORM + GAP_IN),
        ("torchprofile-0.1.0", MAC + BATCH_NORM + 2048),
        ("thop-0.1.1", MAC + 4 * BATCH_NORM + 50 * 2048),
        ("deepspeed-0.19", 2 * MAC + 2 * BATCH_NORM + RELU + MAXPOOL_IN + GAP_IN),
    ],
)
def test_resnet50_under_each_peer(convention: str, total: int) -> None:
    assert fc.count(cnn.resnet(50)).flop(convention) == total


# torchvision 0.28, the `_ops` and `num_params` of each weights entry (GMAC as printed).
@pytest.mark.parametrize(
    ("depth", "gmac", "parameters"),
    [
        (18, "1.814", 11_689_512),
        (34, "3.664", 21_797_672),
        (50, "4.089", 25_557_032),
        (101, "7.801", 44_549_160),
        (152, "11.514", 60_192_808),
    ],
)
def test_resnets_match_torchvision(depth: int, gmac: str, parameters: int) -> None:
    graph = cnn.resnet(depth)
    macs = fc.count(graph).flop("macs")
    assert isinstance(macs, int)
    assert f"{macs / 1e9:.3f}" == gmac
    assert graph.parameters == parameters


@pytest.mark.parametrize(
    ("depth", "gmac", "parameters", "with_norm"),
    [
        (11, "7.609", 132_863_336, 132_868_840),
        (13, "11.308", 133_047_848, 133_053_736),
        (16, "15.470", 138_357_544, 138_365_992),
        (19, "19.632", 143_667_240, 143_678_248),
    ],
)
def test_vggs_match_torchvision(depth: int, gmac: str, parameters: int, with_norm: int) -> None:
    graph = cnn.vgg(depth)
    macs = fc.count(graph).flop("macs")
    assert isinstance(macs, int)
    assert f"{macs / 1e9:.3f}" == gmac
    assert graph.parameters == parameters
    normed = cnn.vgg(depth, batch_norm="eval")
    assert normed.parameters == with_norm
    assert fc.count(normed).flop("macs") == macs


def test_vgg19_is_exact() -> None:
    assert fc.count(cnn.vgg(19)).flop("macs") == 19_632_062_464
    assert fc.count(cnn.vgg(19, pool="none")).flop("macs") == 19_632_062_464


def test_the_paper_strides_in_the_first_convolution() -> None:
    # Another graph, not another convention.
    assert fc.count(cnn.resnet(50, stride_in="1x1")).flop("macs") == 3_857_973_248
    assert cnn.resnet(50, stride_in="1x1").parameters == 25_557_032


def test_the_last_pooling_may_be_a_window() -> None:
    tally = fc.count(cnn.resnet(50, pool="average"))
    assert tally.flop("macs") == MAC
    assert tally.flop("fvcore-0.1.5") == MAC + 2 * BATCH_NORM


def test_batch_may_be_a_dim() -> None:
    cost = fc.count(cnn.resnet(50, batch=fc.dim("batch"))).flop("macs")
    assert cost == MAC * fc.dim("batch")
    assert not isinstance(cost, Fraction)


def test_modules_are_those_of_torchvision() -> None:
    by_module = fc.count(cnn.resnet(50)).flop("macs", by="module")
    assert isinstance(by_module, dict)
    # facts of the layers: kernel^2 * in * out * height * width
    assert by_module["conv1"] == 49 * 3 * 64 * 112 * 112
    assert by_module["layer2.0.downsample.0"] == 256 * 512 * 28 * 28
    assert by_module["fc"] == 2048 * 1000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cnn.resnet(49), "depth must be one of 18, 34, 50, 101, 152"),
        (lambda: cnn.resnet(50, stride_in="2x2"), "stride_in"),
        (lambda: cnn.resnet(50, pool="max"), "pool"),
        (lambda: cnn.vgg(17), "depth must be one of 11, 13, 16, 19"),
        (lambda: cnn.vgg(16, batch_norm="yes"), "batch_norm"),
        (lambda: cnn.vgg(16, pool="max"), "pool"),
        (lambda: cnn.squeezenet("2"), "version must be one of 1.0, 1.1"),
        (lambda: densenet(100), "depth must be one of 121, 161, 169, 201"),
        (lambda: fasternet("XL"), "variant must be one of T0, T1, T2, S, M, L"),
    ],
)
def test_wrong_arguments_are_named(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("graph", "gmac", "parameters"),
    [
        (cnn.alexnet, "0.714", 61_100_840),
        (lambda: cnn.squeezenet("1.0"), "0.819", 1_248_424),
        (lambda: cnn.squeezenet("1.1"), "0.349", 1_235_496),
        (lambda: densenet(121), "2.834", 7_978_856),
        (lambda: densenet(161), "7.728", 28_681_000),
        (lambda: densenet(169), "3.360", 14_149_480),
        (lambda: densenet(201), "4.291", 20_013_928),
    ],
    ids=["alexnet", "squeezenet1_0", "squeezenet1_1", *(f"densenet{depth}" for depth in (121, 161, 169, 201))],
)
def test_other_networks_match_torchvision(graph: Callable[[], fc.Graph], gmac: str, parameters: int) -> None:
    built = graph()
    macs = fc.count(built).flop("macs")
    assert isinstance(macs, int)
    assert f"{macs / 1e9:.3f}" == gmac
    assert built.parameters == parameters


# Table of the FasterNet repository (GMAC and millions of parameters as printed), with the exact numbers behind it.
@pytest.mark.parametrize(
    ("variant", "macs", "parameters"),
    [
        ("T0", 335_422_720, 3_905_500),
        ("T1", 850_511_872, 7_595_368),
        ("T2", 1_904_334_848, 14_982_888),
        ("S", 4_549_740_544, 31_181_032),
        ("M", 8_721_938_432, 53_521_464),
        ("L", 15_494_383_616, 93_465_192),
    ],
)
def test_fasternets_are_exact(variant: Variant, macs: int, parameters: int) -> None:
    graph = fasternet(variant)
    assert fc.count(graph).flop("macs") == macs
    assert graph.parameters == parameters
