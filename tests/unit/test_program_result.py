"""Results as tables and files."""

import json

import numpy as np
import pytest

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import Fixed, LogNormal, Normal

KEYS = ("a", "b", "c")
LINES = [fc.Threshold("EU", 10**25, ">"), fc.Threshold("KR", 10**26, ">=")]


def result(draws=2000, **options):
    x = fc.variable("C", [LogNormal(1e25, 1.0), LogNormal(1e26, 0.5), Fixed(10**26)])
    which = fc.switch("which", ["1/2", "1/2"])
    sinks = {
        "counts": fc.CountAbove(x, LINES, groups={"year": [2024, 2025, 2025]}, joint=True),
        "by reading": fc.Along("reading", {r: fc.Exceed(x * k, LINES) for r, k in (("own", 1), ("with base", 2))}),
        "size": fc.Quantiles(x, ("0.05", "1/2", "0.95")),
        "moments": fc.Moments({"log": p.log10(x), "z": fc.variable("z", Normal(0, 1))}),
        "by": fc.Moments({"z": fc.variable("z", Normal(0, 1))}, by=fc.Category("which", which, ("x", "y"))),
        "joint": fc.Table([fc.Category("n", p.count(x > 10**25), range(4)), fc.Category("which", which, ("x", "y"))]),
        "confusion": fc.Confusion(x > 10**25, x >= p.largest(x)),
    }
    return fc.sweep(fc.Program(sinks, KEYS), draws=draws, rng=[1, 2], **options)


def test_measures_are_labelled():
    measures = result().measures()
    assert {name: tuple(axis.dim for axis in m.axes) for name, m in measures.items()} == {
        "counts_probability": ("entity", "threshold"),
        "counts_expected": ("year", "threshold"),
        "counts_sd": ("year", "threshold"),
        "counts_count": ("year", "threshold", "quantile"),
        "by reading_probability": ("reading", "entity", "threshold"),
        "size_quantile": ("entity", "quantile"),
        "moments_mean": ("entity", "value"),
        "moments_sd": ("entity", "value"),
        "moments_covariance": ("entity", "value", "other_value"),
        "by_mean": ("which", "value"),
        "by_sd": ("which", "value"),
        "by_covariance": ("which", "value", "other_value"),
        "joint_rows": ("n", "which"),
        "joint_share": ("n", "which"),
        "confusion_rows": ("truth", "label"),
        "confusion_share": ("truth", "label"),
        "confusion_rate": ("rate",),
    }
    for measure in measures.values():
        assert measure.values.shape == tuple(len(axis.labels) for axis in measure.axes)
        assert measure.error is None or measure.error.shape == measure.values.shape


def test_a_result_is_json_and_carries_its_evidence():
    document = json.loads(json.dumps(result().to_dict(), allow_nan=False))
    assert document["seed"] == [1, 2]
    assert document["draws"] == 2000
    assert document["stream_version"] == fc._core.stream_version
    assert len(document["plan_digest"]) == 64
    assert document["versions"]["flopcore"] == fc.__version__
    assert document["measures"]["counts_expected"]["labels"]["threshold"] == ["EU", "KR"]
    one = json.loads(json.dumps(result(draws=1).to_dict(), allow_nan=False))
    assert one["measures"]["counts_sd"]["values"] == [[None, None], [None, None]]


def test_a_saved_result_is_the_same(tmp_path):
    saved = result()
    saved.save(tmp_path / "run.npz")
    loaded = fc.ProgramResult.load(tmp_path / "run.npz")
    assert loaded.state() == saved.state()
    assert loaded.to_dict() == saved.to_dict()
    assert loaded["by reading"]["own"].exceed_counts.tolist() == saved["by reading"]["own"].exceed_counts.tolist()
    assert not loaded["counts"].histograms[0].flags.writeable
    population = fc.sweep([fc.Entity("m", (fc.Factor("C", LogNormal(1e25, 1)),))], LINES, draws=100, rng=0)
    population.save(tmp_path / "population.npz")
    again = fc.SweepResult.load(tmp_path / "population.npz")
    assert again.to_dict() == population.to_dict()
    assert again.exceed_counts.tobytes() == population.exceed_counts.tobytes()


def test_a_file_that_is_no_result_is_named(tmp_path):
    path = tmp_path / "x.npz"
    for content in (b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(fc.DataError, match="is not a saved result"):
            fc.ProgramResult.load(path)
    np.savez(path, header=np.array(json.dumps({"format": "other/1", "result": None})))
    with pytest.raises(fc.DataError, match="this version reads flopcore"):
        fc.ProgramResult.load(path)
    header = {"format": "flopcore.sweep/1", "result": {"record": "os", "fields": {}}}
    np.savez(path, header=np.array(json.dumps(header)))
    with pytest.raises(fc.DataError, match="is not a saved result"):
        fc.ProgramResult.load(path)
    result().save(path)
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode  # not for its owner alone
    with pytest.raises(fc.DataError, match=r"a ProgramResult; read it with ProgramResult\.load"):
        fc.SweepResult.load(path)
    with pytest.raises(FileNotFoundError):
        fc.ProgramResult.load(tmp_path / "missing.npz")


def test_lines_of_one_name_that_differ_have_no_value_of_their_own():
    pytest.importorskip("xarray")
    x = fc.variable("x", Normal(0, 1))
    lines = {year: [fc.Threshold("floor", year), fc.Threshold("fixed", 10**3000)] for year in (1, 2)}
    sinks = {"moving": fc.Along("year", {year: fc.Exceed(p.exp10(x), line) for year, line in lines.items()})}
    assert "threshold_value" not in fc.sweep(fc.Program(sinks), draws=10, rng=0).to_xarray().coords
    sinks = {"first": fc.Exceed(p.exp10(x), lines[1])}
    assert fc.sweep(fc.Program(sinks), draws=10, rng=0).to_xarray()["threshold_value"].values.tolist() == [1, np.inf]


def test_the_same_seed_and_draws_are_the_same_result():
    first = result()
    assert first.state() == result(threads=1, progress=lambda done, total: None).state()
    assert first.state() != result(draws=1999).state()
    assert repr(first).startswith("ProgramResult(counts, by reading, size, ")
