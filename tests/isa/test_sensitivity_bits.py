"""Indices of nodes: the same bits for every instruction set and number of threads."""

import pytest

import flopcore as fc
from flopcore import _core, program
from flopcore.distributions import LogNormal, LogUniform, Normal, Pert


def indices(threads=1):
    flop = fc.variable("C", LogNormal(1e24, 0.8)) * fc.variable("bias", LogUniform(0.5, 2))
    slope = fc.variable("slope", Normal(0.1, 0.4)) * fc.variable("share", Pert(0.2, 0.4, 0.6))
    of_study = program.exp(slope) * program.sqrt(flop / fc.constant("1e24"))
    each = program.count(flop * fc.variable("e", LogNormal(1, 0.3), per="entity") > fc.constant("1e24"))
    return (
        fc.sobol_indices(of_study, n=64 * 16, rng=1, sampler="sobol", threads=threads),
        fc.sobol_indices(each + slope, entities=["a", "b", "c"], n=64 * 11, rng=1, threads=threads),
        fc.shapley_effects(of_study, n=64 * 4, rng=1, threads=threads),
        fc.tornado(of_study),
    )


@pytest.fixture(scope="module")
def expected():
    before = _core.isa()
    _core.select_isa("base")
    try:
        return indices()
    finally:
        _core.select_isa(before)


def test_indices_do_not_depend_on_isa_or_threads(every_isa, expected):
    for threads in (1, 2, 3):
        assert indices(threads) == expected
