"""ResNet and its kind from our own builders: exact totals, parts, names; test_published.py has the printed figures."""

from __future__ import annotations

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
