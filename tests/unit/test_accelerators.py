from __future__ import annotations

import csv
from pathlib import Path

import pytest

from flopcore.accelerators import DTYPES, accelerator, accelerators, read_accelerators
from flopcore.datafile import read_toml
from flopcore.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "epoch_hardware_2026-07.csv"


def test_names_and_aliases_find_a_chip_whatever_the_case() -> None:
    assert len(accelerators()) >= 12
    assert accelerator("H100") is accelerator("nvidia h100 sxm")
    assert accelerator("h100").rate() == 989_400_000_000_000
    assert accelerator("h100").rate("fp8") == 1_978_900_000_000_000
    assert accelerator("tpuv4").rate() == 275 * 10**12
    assert accelerator("v100").dtype == "fp16"


def test_an_unknown_chip_or_format_offers_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"did you mean .*h100"):
        accelerator("h10O")
    with pytest.raises(ValueError, match=r"did you mean .*a100"):
        accelerator("qqqq")
    with pytest.raises(ValueError, match="has rates for fp64, fp32, fp16"):
        accelerator("v100").rate("bf16")


def test_rates_do_not_use_sparsity() -> None:
    """A narrower format is at most four times a wider one, and bf16 never twice its own dense rate."""
    for chip in accelerators():
        rates = dict(chip.peak)
        assert chip.dtype in rates
        assert set(rates) <= set(DTYPES)
        assert chip.source
        if "bf16" in rates and "fp16" in rates:
            assert rates["bf16"] == rates["fp16"]
        if "bf16" in rates and "fp8" in rates:
            assert rates["fp8"] <= rates["bf16"] * 21 // 10


def test_rates_agree_with_an_independent_table() -> None:
    if not SHARED.exists():
        pytest.skip("this machine has no shared/data beside the checkout")
    names = {
        "NVIDIA Tesla V100 SXM2": "v100",
        "NVIDIA A100": "a100",
        "NVIDIA H100 SXM5 80GB": "h100",
        "NVIDIA H100 PCIe": "h100-pcie",
        "NVIDIA H200 SXM": "h200",
        "NVIDIA HGX H20": "h20",
        "NVIDIA B200": "b200",
        "NVIDIA GB200": "gb200",
        "Google TPU v2": "tpuv2",
        "Google TPU v3": "tpuv3",
        "Google TPU v4": "tpuv4",
        "Google TPU v5e": "tpuv5e",
        "Google TPU v5p": "tpuv5p",
        "Google TPU v6e Trillium": "tpuv6e",
        "Google TPU v7 Ironwood": "tpuv7",
        "AMD Radeon Instinct MI250X": "mi250x",
        "AMD Instinct MI300X": "mi300x",
        "Intel Habana Gaudi2": "gaudi2",
        "Amazon Trainium1": "trainium1",
        "Amazon Trainium2": "trainium2",
    }
    with SHARED.open(encoding="utf-8", newline="") as file:
        table = {row["Hardware name"]: row["Tensor-FP16/BF16 performance (FLOP/s)"] for row in csv.DictReader(file)}
    for theirs, ours in names.items():
        rate = float(table[theirs])
        # Gaudi 2: the white paper prints 432 TFLOP/s, the table 450.
        assert abs(accelerator(ours).rate() / rate - 1) < (0.05 if ours == "gaudi2" else 0.002), theirs


def test_every_error_of_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "chips.toml"
    path.write_text(
        """[[accelerator]]
name = "One"
aliases = ["One"]
vendor = "x"
released = 2020-01-01
dtype = "bf16"
peak = { fp16 = 1e12, fp7 = 1 }
source = "s"
[[accelerator]]
name = "one"
vendor = "x"
released = 2020-01-01
dtype = "fp16"
peak = { fp16 = 10 }
source = "s"
""",
        encoding="utf-8",
    )
    with pytest.raises(DataError) as caught:
        read_accelerators(read_toml(path))
    message = str(caught.value)
    assert "fp7: unknown key" in message
    assert "dtype: no peak rate for 'bf16'" in message
    assert "an alias has capitals" in message
    assert "line 9: accelerator[1].aliases: 'one' already names another accelerator" in message
    assert "fp16: 10 is out of range" in message
