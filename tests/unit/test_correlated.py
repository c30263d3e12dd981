"""Correlated inputs inside sweeps: ranks as asked, marginals as they are, streams as everywhere."""

import math

import numpy as np
import pytest

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import Discrete, Fixed, Gamma, GaussianCopula, LogNormal, LogUniform, Triangular, Uniform
from flopcore.program_bounds import bounds_of

NAMES = ["N", "D", "U", "S"]
SPEARMAN = np.array([[1, 0.7, -0.3, 0.2], [0.7, 1, 0.1, 0], [-0.3, 0.1, 1, 0.4], [0.2, 0, 0.4, 1]])
COPULA = GaussianCopula(NAMES, SPEARMAN)
MARGINALS = {
    "N": LogNormal(7e10, 0.4),
    "D": Triangular(1e12, 15e12, 20e12),
    "U": LogUniform(1, 40),
    "S": Uniform(-1, 1),
}
KEYS = ("a", "b", "c")


def draws(nodes, n=1000, entities=(), precision="double", begin=0, rng=3):
    return fc.draw_values(nodes, draws=n, begin=begin, entities=entities, rng=rng, precision=precision)


def ranks(x):
    return np.argsort(np.argsort(x)).astype(float)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_ranks_correlate_as_asked_and_marginals_stay(precision):
    n = 200_000
    v = draws(fc.correlated(COPULA, MARGINALS), n, precision=precision)
    found = np.corrcoef([ranks(v[name]) for name in NAMES])
    # A rank correlation of n draws is known to about 1 / sqrt(n); six of them.
    assert np.all(abs(found - SPEARMAN) <= 6 / math.sqrt(n))
    for name, distribution in MARGINALS.items():
        u = np.sort(distribution.cdf(v[name]))
        distance = np.max(np.abs(u - (np.arange(n) + 0.5) / n))
        assert distance < 2.7 / math.sqrt(n), name  # Kolmogorov: false alarm 9e-7


def test_a_product_of_correlated_lognormals_has_its_closed_form():
    rows, sigma, tau = 1_000_000, 0.5, 0.8
    copula = GaussianCopula(["N", "D"], [[1, 0.6], [0.6, 1]])
    inputs = fc.correlated(copula, {"N": LogNormal(1e11, sigma), "D": LogNormal(1e13, tau)})
    sd = math.sqrt(sigma**2 + tau**2 + 2 * float(copula.pearson[0, 1]) * sigma * tau)
    lines = [fc.Threshold(str(k), k * 10**24) for k in (2, 6, 30)]
    result = fc.sweep(fc.Program({"p": fc.Exceed(6 * inputs["N"] * inputs["D"], lines)}), draws=rows, rng=1)
    for line, share in zip(lines, result["p"].probability(), strict=True):
        exact = 0.5 * math.erfc(math.log(line.value / 6e24) / sd / math.sqrt(2))
        assert abs(share - exact) <= 5 * math.sqrt(exact * (1 - exact) / rows)


def test_uncorrelated_inputs_are_the_draws_they_would_be_alone():
    identity = fc.correlated(GaussianCopula(["N", "D"], np.eye(2)), {"N": LogNormal(1, 2), "D": Triangular(1, 2, 4)})
    alone = {"N": fc.variable("N", LogNormal(1, 2)), "D": fc.variable("D", Triangular(1, 2, 4))}
    coupled, own = draws(identity), draws(alone)
    assert np.array_equal(coupled["N"], own["N"])
    # By way of the score and back: within the error of the normal quantile.
    assert np.allclose(coupled["D"], own["D"], rtol=0, atol=1e-8)


def test_each_entity_and_each_group_has_its_own_correlated_draws():
    for per, distinct in (("entity", 3), (["x", "y", "x"], 2)):
        v = draws(fc.correlated(COPULA, MARGINALS, per=per), 20_000, entities=KEYS)
        assert len({row.tobytes() for row in v["D"]}) == distinct
        within = np.corrcoef(ranks(v["N"][0]), ranks(v["D"][0]))[0, 1]
        across = np.corrcoef(ranks(v["N"][0]), ranks(v["D"][1]))[0, 1]
        assert abs(within - 0.7) < 6 / math.sqrt(20_000)
        assert abs(across) < 6 / math.sqrt(20_000)
    one = fc.correlated(COPULA, MARGINALS, per="entity")
    assert np.array_equal(draws(one, entities=("b",))["D"][0], draws(one, entities=KEYS)["D"][1])


def test_what_else_a_program_holds_moves_no_draw():
    inputs = fc.correlated(COPULA, MARGINALS)
    alone = draws({"D": inputs["D"]})["D"]
    other = fc.variable("other", LogNormal(1, 1))
    among = draws({"x": other, "S": inputs["S"], "y": other * inputs["D"], "D": inputs["D"], "N": inputs["N"]})
    assert np.array_equal(among["D"], alone)
    assert np.array_equal(draws({"D": inputs["D"]}, 300, begin=700)["D"], alone[700:])


def test_point_masses_keep_their_shares_and_meet_a_threshold_exactly():
    copula = GaussianCopula(["C", "R"], [[1, 0.9], [0.9, 1]])
    inputs = fc.correlated(copula, {"C": Discrete([10**25, 10**26], ["1/4", "3/4"]), "R": Gamma(2)})
    lines = [fc.Threshold("at", 10**26, ">="), fc.Threshold("over", 10**26, ">")]
    n = 100_000
    result = fc.sweep(fc.Program({"p": fc.Exceed(inputs["C"], lines)}), draws=n, rng=0)
    at, over = result["p"].exceed_counts[0]
    assert over == 0
    assert abs(at / n - 0.75) < 6 * math.sqrt(0.75 * 0.25 / n)


def test_bounds_hold_every_draw():
    # Scores of a strong correlation reach further than any word of the normal quantile.
    copula = GaussianCopula(list("abc"), [[1, 0.9, 0.9], [0.9, 1, 0.9], [0.9, 0.9, 1]])
    inputs = fc.correlated(copula, {"a": LogNormal(1, 1), "b": Triangular(0, 1, 2), "c": LogNormal(1, 3)})
    nodes = [p.log10(inputs["c"]), inputs["b"]]
    values = draws({"c": nodes[0], "b": nodes[1]}, 20_000)
    for (low, high), name in zip(bounds_of(nodes, 0), "cb", strict=True):
        assert math.isfinite(low)
        assert low <= values[name].min()
        assert values[name].max() <= high
    reach = 3 / math.log(10) * 8.2 * float(np.abs(copula.factor[2]).sum())
    assert bounds_of(nodes, 0)[0][1] == pytest.approx(reach, rel=0.02)


def test_a_known_input_among_them_is_its_value():
    copula = GaussianCopula(["x", "y"], [[1, 0.5], [0.5, 1]])
    v = draws(fc.correlated(copula, {"x": Fixed(5), "y": Uniform(0, 1)}))
    assert v["x"] == pytest.approx(5)
    assert v["y"].std() > 0.25


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fc.correlated(COPULA, {"N": LogNormal(1, 1)}), ValueError, r"\['D', 'S', 'U'\] are not in both"),
        (lambda: fc.correlated(COPULA, {**MARGINALS, "X": Uniform(0, 1)}), ValueError, r"\['X'\] are not in both"),
        (lambda: fc.correlated(COPULA, {**MARGINALS, "N": 3}), TypeError, "not iterable|not a Distribution"),
        (lambda: fc.correlated(COPULA, MARGINALS, per="lab"), ValueError, "'study', 'entity' or"),
        (
            lambda: GaussianCopula(list("abc"), [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]),
            ValueError,
            "not positive definite .least eigenvalue",
        ),
        (lambda: GaussianCopula(["a", "b"], [[1, 1], [1, 1]]), ValueError, "not positive definite"),
        (lambda: GaussianCopula(["a", "b"], [[1, math.nan], [math.nan, 1]]), ValueError, "between -1 and 1"),
        (lambda: GaussianCopula(["a", "b"], [[1, 1.2], [1.2, 1]]), ValueError, "between -1 and 1"),
        (lambda: GaussianCopula(["a", "b"], [[1, 0.2], [0.3, 1]]), ValueError, "symmetric"),
        (lambda: GaussianCopula(["a", "b"], [[2, 0.2], [0.2, 1]]), ValueError, "between -1 and 1"),
        (lambda: GaussianCopula(["a", "a"], [[1, 0.2], [0.2, 1]]), ValueError, "distinct names"),
        (lambda: GaussianCopula(["a"], [[1, 0.2], [0.2, 1]]), ValueError, "expected 1 x 1"),
        (
            lambda: draws({"both": fc.correlated(COPULA, MARGINALS)["S"] + fc.variable("S", Uniform(-1, 1))}),
            ValueError,
            "two meanings",
        ),
    ],
)
def test_bad_input_is_one_clear_error(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_shares_of_variance_refuse_correlated_inputs():
    inputs = fc.correlated(COPULA, MARGINALS)
    with pytest.raises(ValueError, match="correlated; shares of variance need independent inputs"):
        fc.sobol_indices(inputs["N"] * inputs["D"], n=128, rng=0)
