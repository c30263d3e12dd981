"""ResNet-50 under every convention that is measured on it, to the digit: the table at the end of the peers' facts.

Elements of this network (v1.5, 1 x 3 x 224 x 224): 11,113,984 outputs of batch norms, 9,608,704 of ReLUs, 5,519,360 of
residual sums; the max pool reads 802,816, the average pool 100,352 = 2048 x 49.
"""

from __future__ import annotations

import pytest

import flopcore as fc
from flopcore.architectures import cnn
from flopcore.conventions import convention
from flopcore.reference import verify

MAC, BN, RELU, ADD, MAXPOOL_IN, GAP_IN, CLASSES = 4089184256, 11113984, 9608704, 5519360, 802816, 100352, 1000
# Products with padding: of the 7 x 7 stem, and of the 3 x 3 convolutions by (how many, channels, output size, taps
# inside the input along one dim: 3 n - 2 with stride 1, 3 n - 1 with stride 2).
PADDED = 64 * 3 * (784**2 - 778**2) + sum(
    n * channels**2 * (9 * size**2 - inside**2)
    for n, channels, size, inside in (
        (3, 64, 56, 166), (1, 128, 28, 83), (3, 128, 28, 82), (1, 256, 14, 41), (5, 256, 14, 40), (1, 512, 7, 20),
        (2, 512, 7, 19),
    )
)  # fmt: skip
TABLE = {
    "macs": (4089184256, MAC),
    "torch-2.13": (8178368512, 2 * MAC),
    "torch-2.13-cpu": (8178368512, 2 * MAC),
    "pycls": (4089185256, MAC + CLASSES),
    "fvcore-0.1.5": (4111512576, MAC + 2 * BN + GAP_IN),
    "torchprofile-0.1.0": (4100300288, MAC + BN + 2048),
    "thop-0.1.1": (4133742592, MAC + 4 * BN + 50 * 2048),
    "thop-0.0.31": (4111514624, MAC + 2 * BN + 50 * 2048),
    "ptflops-aten-0.7.5": (4089185256, MAC + CLASSES),
    "ptflops-module-0.7.5": (4132436968, MAC + 2 * BN + 2 * (RELU + MAXPOOL_IN + GAP_IN) + CLASSES),
    "ptflops-module": (4121925096, MAC + 2 * BN + RELU + MAXPOOL_IN + GAP_IN + CLASSES),
    "torchvision-0.28": (4089184256, MAC),
    "model": (7896503808, 2 * (MAC - PADDED)),
    "hardware": (8178368512, 2 * MAC),
    "epoch": (8178368512, 2 * MAC),
    "deepspeed-0.19": (8211108352, 2 * MAC + 2 * BN + RELU + MAXPOOL_IN + GAP_IN),
}


@pytest.fixture(scope="module")
def tally() -> fc.Tally:
    return fc.count(cnn.resnet(50))


@pytest.mark.parametrize("name", TABLE)
def test_a_peer_is_reproduced_to_the_digit(tally: fc.Tally, name: str) -> None:
    printed, decomposed = TABLE[name]
    assert tally.flop(name) == printed == decomposed


def test_all_arithmetic_is_the_sum_of_its_parts(tally: fc.Tally) -> None:
    outputs = 11113984 + CLASSES  # every convolution is followed by a batch norm of its size
    channels = 26560
    contractions = 2 * (MAC - PADDED) - outputs + CLASSES  # and the bias of the last layer
    norms = 4 * BN + 2 * channels  # centre, scale, times gamma, plus beta; epsilon and rsqrt per channel
    max_pool = 200704 * 8
    mean = 2048 * 48 + 2048
    assert tally.flop("all-arithmetic") == contractions + norms + RELU + ADD + max_pool + mean


def test_onnx_tool_reads_an_average_pool_and_a_softmax() -> None:
    """Its total is of light_resnet50.onnx, which pools by a 7 x 7 window and ends in a softmax of 36 per class."""
    graph = cnn.resnet(50, pool="average")
    expected = MAC + 31 * BN + RELU + ADD + 9 * 200704 + GAP_IN + 37 * CLASSES
    assert expected == 4450789512
    assert fc.count(graph).flop("onnx-tool-1.0.1") == expected - 36 * CLASSES


def test_executed_operations_are_two_per_multiply_add(tally: fc.Tally) -> None:
    outputs = 11113984 + CLASSES
    assert tally.flop("int-or-fp") == tally.flop("fp-only") == tally.flop("all-arithmetic") + outputs + 2 * PADDED


def test_the_reference_recounts_it(tally: fc.Tally) -> None:
    graph = cnn.resnet(50)
    assert verify(graph, fc.count(graph), convention("pycls")) == 4089185256


def test_the_network_of_the_paper_is_another_graph() -> None:
    graph = cnn.resnet(50, stride_in="1x1")
    assert fc.count(graph).flop("macs") == 3857973248
