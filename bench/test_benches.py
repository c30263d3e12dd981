"""Timings of whole user actions, each with its answer asserted. `pytest bench`; speed against peers is in ratios.py."""

from __future__ import annotations

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

import flopcore as fc
from flopcore.architectures import cnn

LLAMA = Path(__file__).parents[1] / "examples" / "llama-8b.json"


def test_count_llama_from_its_config(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["models"] = 1

    def count() -> object:
        return fc.count(fc.from_huggingface(LLAMA)).flop("macs", at={"batch": 1, "seq": 8192})

    assert benchmark(count) == 79_070_347_919_360


def test_build_and_walk_resnet50(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["models"] = 1
    assert benchmark(lambda: fc.count(cnn.resnet(50))).flop("macs") == 4_089_184_256


def test_price_one_walk_under_every_convention(benchmark: BenchmarkFixture) -> None:
    tally = fc.count(cnn.resnet(50))
    conventions = [fc.convention(name) for name in fc.conventions()]
    benchmark.extra_info["conventions"] = len(conventions)
    counts = benchmark(lambda: [tally.flop(convention) for convention in conventions])
    assert 4_089_184_256 in counts


def test_sweep_of_the_bundled_population(benchmark: BenchmarkFixture) -> None:
    draws = 100_000
    result = benchmark(lambda: fc.run_hooker(draws=draws, rng=0, threads=1))
    benchmark.extra_info["draws"] = draws * len(result.models)
    assert result.to_dict() == fc.run_hooker(draws=draws, rng=0, threads=2).to_dict()


def test_evaluate_a_polynomial(benchmark: BenchmarkFixture) -> None:
    cost = fc.count(fc.from_huggingface(LLAMA)).flop("macs")
    assert isinstance(cost, fc.Expr)
    benchmark.extra_info["points"] = 1
    assert benchmark(lambda: cost.at({"batch": 1, "seq": 8192})) == 79_070_347_919_360
