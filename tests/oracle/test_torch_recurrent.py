"""Recurrent layers of PyTorch; FlopCounterMode on meta, where torch writes the steps out, is the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flopcore as fc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
    flop_counter = pytest.importorskip("torch.utils.flop_counter", reason="needs the extra 'oracle'")
nn = torch.nn
zeros = torch.zeros


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


LAYERS: list[tuple[str, Callable[..., Any], tuple[int, ...]]] = [
    ("lstm", lambda **k: nn.LSTM(8, 16, 2, bidirectional=True, dropout=0.5, **k), (5, 3, 8)),
    ("lstm without bias", lambda **k: nn.LSTM(8, 16, bias=False, batch_first=True, **k), (3, 5, 8)),
    ("lstm with projection", lambda **k: nn.LSTM(8, 16, 2, proj_size=4, **k), (5, 3, 8)),
    ("lstm without batch", lambda **k: nn.LSTM(8, 16, **k), (5, 8)),
    ("gru", lambda **k: nn.GRU(8, 16, 2, batch_first=True, **k), (3, 5, 8)),
    ("rnn", lambda **k: nn.RNN(8, 16, nonlinearity="relu", bidirectional=True, **k), (5, 3, 8)),
    ("lstm cell", lambda **k: nn.LSTMCell(8, 16, **k), (3, 8)),
    ("gru cell", lambda **k: nn.GRUCell(8, 16, **k), (3, 8)),
    ("rnn cell", lambda **k: nn.RNNCell(8, 16, **k), (3, 8)),
]


@pytest.mark.parametrize(("make", "shape"), [case[1:] for case in LAYERS], ids=[case[0] for case in LAYERS])
def test_recurrent_layers_equal_flop_counter_mode_on_meta(make: Callable[..., Any], shape: tuple[int, ...]) -> None:
    """On meta torch writes the steps out; on a CPU its kernel hides them and FlopCounterMode gives 0."""
    layer, x = make(device="meta"), zeros(shape, device="meta")
    with flop_counter.FlopCounterMode(display=False) as counter:
        layer(x)
    found = fc.from_torch(layer, (x,))
    assert 2 * fc.count(found).flop("macs") == counter.get_total_flops()
    assert found.parameters == sum(weight.numel() for weight in layer.parameters())


def test_the_lstm_of_the_table_of_peers() -> None:
    """facts/peers.md: FlopCounterMode and fvcore 0, true 163,840 MAC."""
    layer, x = nn.LSTM(32, 32), zeros(10, 2, 32)
    assert fc.count(layer, x).flop("macs") == 163_840
    with fc.record_torch() as recorded, torch.no_grad():
        layer(x)
    assert fc.count(recorded).flop("macs") == 163_840


def test_the_recorded_kernel_goes_backward() -> None:
    def run(device: str) -> None:
        layer = nn.LSTM(8, 16, 2, bidirectional=True, device=device)
        state = tuple(zeros(4, 3, 16, device=device, requires_grad=True) for _ in range(2))
        layer(zeros(5, 3, 8, device=device, requires_grad=True), state)[0].sum().backward()

    with flop_counter.FlopCounterMode(display=False) as counter:
        run("meta")
    with fc.record_torch() as recorded:
        run("cpu")
    assert 2 * fc.count(recorded).flop("macs") == counter.get_total_flops()


def test_a_packed_sequence_costs_the_steps_that_it_has() -> None:
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    lengths = [5, 3, 1]
    for layer in (nn.LSTM(8, 16, batch_first=True), nn.GRU(8, 16, batch_first=True)):
        gates = 4 if isinstance(layer, nn.LSTM) else 3
        with fc.record_torch() as recorded, torch.no_grad():
            packed = pack_padded_sequence(zeros(3, 5, 8), torch.tensor(lengths), batch_first=True)
            pad_packed_sequence(layer(packed)[0], batch_first=True)
        assert fc.count(recorded).flop("macs") == sum(lengths) * gates * 16 * (8 + 16)


def test_packing_cannot_be_exported_and_the_error_says_what_can() -> None:
    from torch.nn.utils.rnn import pack_padded_sequence

    class Packed(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(8, 16)

        def forward(self, x: Any) -> Any:
            return self.layer(pack_padded_sequence(x, [5, 3, 1]))[1][0]

    with pytest.raises(fc.DataError, match=r"torch\.export cannot take it .*; flopcore\.record_torch records"):
        fc.from_torch(Packed(), (zeros(5, 3, 8),))
