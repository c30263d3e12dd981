"""Results in xarray and pandas."""

import numpy as np
import pytest

import flopcore as fc
from flopcore.distributions import LogNormal

xr = pytest.importorskip("xarray")
pd = pytest.importorskip("pandas")

LINES = [fc.Threshold("EU", 10**25, ">"), fc.Threshold("KR", 10**26, ">=")]
OTHER = [fc.Threshold("low", 10**24, ">")]


def program_result():
    x = fc.variable("C", [LogNormal(1e25, 1.0), LogNormal(1e26, 0.5)])
    sinks = {
        "counts": fc.CountAbove(x, LINES, groups={"year": [2024, 2025]}),
        "scenario": fc.Along("convention", {k: fc.Exceed(x * k, OTHER) for k in (1, 2)}),
        "size": fc.Quantiles(x),
    }
    return fc.sweep(fc.Program(sinks, ("a", "b")), draws=5000, rng=0)


def test_xarray_dimensions_coordinates_and_attributes(tmp_path):
    result = program_result()
    data = result.to_xarray()
    assert data["counts_expected"].dims == ("year", "threshold")
    assert data["counts_count"].sel(year=2025, threshold="KR", quantile=0.5).item() in (0, 1)
    assert data["counts_expected"].sel(threshold="EU").shape == (2,)
    assert np.array_equal(data["counts_expected_mcse"], result["counts"].mc_error())
    # Other labels of one dimension stand apart.
    assert data["scenario_probability"].dims == ("convention", "entity", "scenario_probability_threshold")
    assert data["threshold_value"].values.tolist() == [1e25, 1e26]
    assert data["threshold_comparator"].values.tolist() == [">", ">="]
    assert data["size_quantile"].sel(entity="b", quantile=0.5).item() == pytest.approx(1e26, rel=0.05)
    assert data.attrs["draws"] == 5000
    assert data.attrs["plan_digest"] == result.plan_digest
    data.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as again:
        assert again.identical(data) or again.equals(data)


def test_pandas_has_one_row_for_each_number():
    frame = program_result().to_pandas()
    chosen = frame[(frame.measure == "counts_expected") & (frame.year == 2025) & (frame.threshold == "KR")]
    assert len(chosen) == 1
    assert 0.45 < chosen.value.item() < 0.55
    assert chosen.mcse.item() == pytest.approx((0.25 / 5000) ** 0.5, rel=0.05)


def test_a_population_sweep_has_them_too():
    result = fc.sweep([fc.Entity("m", (fc.Factor("C", LogNormal(1e25, 1)),))], LINES, draws=1000, rng=0)
    data = result.to_xarray()
    assert data["probability"].dims == ("entity", "threshold")
    assert data["probability"].sel(entity="m", threshold="EU").item() == result.probability()[0, 0]
    assert set(result.to_pandas().measure) == {"probability", "expected", "sd", "count"}
