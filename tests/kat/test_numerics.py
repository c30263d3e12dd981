"""Error bounds of docs/NUMERICS.md against mpmath, tails and end words included."""

import json
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from flopcore import _core

mp.mp.dps = 40
WIDTH = {"single": 32, "double": 53}
NORMAL, UNIFORM, LOG_LINEAR = range(3)


def values_of_words(kind, words, precision, half=0.0):
    return _core.term_values(kind, 1.0, half, precision == "single", np.array(words, dtype=np.uint64))


def hard_words(width):
    """Ends, middle, powers of two from both ends, the border of the tail polynomial, and random words."""
    top = 2**width
    words = {0, 1, top - 1, top - 2, top // 2 - 1, top // 2, top // 2 + 1}
    for bit in range(width - 1):
        words |= {2**bit, 2**bit + 1, top - 1 - 2**bit}
    border = int(float.fromhex("0x1.8p-11") * top / 2)
    words |= {border - 1, border, border + 1}
    random = np.random.default_rng(1)
    words |= {int(w) for w in random.integers(0, top, 200, dtype=np.uint64)}
    words |= {int(2.0 ** random.uniform(0, width - 1)) for _ in range(200)}
    return sorted(words)


def normal_quantile(width, word):
    tail = min(word, 2**width - 1 - word)
    p = (mp.mpf(tail) + mp.mpf(1) / 2) / mp.mpf(2) ** width
    z = -mp.sqrt(2) * mp.erfinv(1 - 2 * p)
    return z if word == tail else -z


@pytest.mark.parametrize(("precision", "absolute"), [("single", 1e-6), ("double", 1e-10)])
def test_normal_variates(every_isa, precision, absolute):
    width = WIDTH[precision]
    words = hard_words(width)
    z = values_of_words(NORMAL, words, precision)
    assert np.all(np.isfinite(z))
    errors = [abs(mp.mpf(float(v)) - normal_quantile(width, w)) / (1 + abs(v)) for w, v in zip(words, z, strict=True)]
    assert max(errors) < absolute


@pytest.mark.parametrize(("precision", "absolute"), [("single", 2e-7), ("double", 2.3e-16)])
def test_uniform_variates(every_isa, precision, absolute):
    width = WIDTH[precision]
    words = hard_words(width)
    u = values_of_words(UNIFORM, words, precision)
    exact = [(2 * mp.mpf(w) + 1) / mp.mpf(2) ** width - 1 for w in words]
    assert max(abs(mp.mpf(float(v)) - e) for v, e in zip(u, exact, strict=True)) < absolute
    assert np.all(np.abs(u) <= 1)
    assert np.all(np.diff(u) >= 0)


@pytest.mark.parametrize(("precision", "absolute"), [("single", 6e-7), ("double", 1e-15)])
@pytest.mark.parametrize("half", [0.001, 0.5, 0.99])
def test_log_linear_variates(every_isa, precision, absolute, half):
    width = WIDTH[precision]
    words = hard_words(width)
    x = values_of_words(LOG_LINEAR, words, precision, half=half)
    half = mp.mpf(float(np.float32(half)) if precision == "single" else half)
    errors = []
    for w, v in zip(words, x, strict=True):
        argument = 1 + half * ((2 * mp.mpf(w) + 1) / mp.mpf(2) ** width - 1)
        # An argument near zero is itself rounded: its relative error is that of one rounding over the argument.
        errors.append(abs(mp.mpf(float(v)) - mp.log(argument)) * argument)
    assert max(errors) < absolute


def test_normal_ppf_and_cdf(every_isa):
    q = np.array([1e-300, 1e-100, 1e-20, 2.0**-54, 1e-5, 8.3e-5, 8.5e-5, 0.02, 0.3, 0.5, 0.7, 0.999, 1 - 2.0**-53])
    z = _core.norm_ppf(q)
    for p, v in zip(q, z, strict=True):
        exact = mp.findroot(lambda x, p=p: mp.log(mp.erfc(-x / mp.sqrt(2)) / 2) - mp.log(mp.mpf(p)), v - 1e-9)
        assert abs(mp.mpf(float(v)) - exact) <= 1e-14 * (1 + abs(exact))
    assert _core.norm_ppf(np.array([0.0, 1.0, 0.5])).tolist() == [-np.inf, np.inf, 0.0]
    assert np.isnan(_core.norm_ppf(np.array([-0.1, 1.1, np.nan]))).all()
    x = np.array([-37.5, -20.0, -5.0, -1.0, -1e-9, 0.0, 1e-3, 0.7, 2.0, 5.0, 9.0, 50.0])
    for a, p in zip(x, _core.norm_cdf(x), strict=True):
        exact = mp.erfc(-mp.mpf(a) / mp.sqrt(2)) / 2
        assert abs(mp.mpf(float(p)) - exact) <= 1e-15 * exact * (1 + a * a)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_words_of_scores(every_isa, precision):
    """What correlated inputs are drawn by: the probability of a score, in steps of a word from the nearer end."""
    width = WIDTH[precision]
    far = [0.0, -0.0, 1e-300, -1e-300, 5.0, 7.9, 8.2, 8.3, 12.0, 38.6, 45.0, 1e9]
    scores = np.array([*far, *(-s for s in far), *np.random.default_rng(2).uniform(-9, 9, 400)])
    scores = np.float32(scores).astype(float) if precision == "single" else scores
    words = _core.words_of_scores(scores, precision == "single")
    for z, word in zip(scores, words.tolist(), strict=True):
        assert 0 <= word < 2**width
        tail = word if z < 0 else 2**width - 1 - word
        exact = mp.erfc(abs(mp.mpf(float(z))) / mp.sqrt(2)) / 2 * 2**width
        # Rounded down to whole steps, of which the last is the middle's.
        assert -2e-15 * exact * (1 + z * z) <= exact - tail <= 1 + 2e-15 * exact * (1 + z * z)
    ordered = _core.words_of_scores(np.sort(scores), precision == "single")
    assert np.all(np.diff(ordered.astype(np.int64)) >= 0)


def test_exp_and_log(every_isa):
    x = np.concatenate([np.linspace(-700, 700, 401), [-744.0, -1e-20, 0.0, 1e-20, 709.7]])
    for a, y in zip(x, _core.exp(x), strict=True):
        exact = mp.exp(mp.mpf(float(a)))
        assert abs(mp.mpf(float(y)) - exact) <= max(4.5e-16 * exact, mp.mpf(2) ** -1074)
    assert _core.exp(np.array([-np.inf, np.inf, 1000.0])).tolist() == [0.0, np.inf, np.inf]
    x = np.concatenate([2.0 ** np.linspace(-1070, 1023, 301), 1 + np.linspace(-0.4, 0.5, 101)])
    for a, y in zip(x, _core.log(x), strict=True):
        exact = mp.log(mp.mpf(float(a)))
        assert abs(mp.mpf(float(y)) - exact) <= 4.5e-16 * abs(exact)
    assert _core.log(np.array([0.0, np.inf, 1.0])).tolist() == [-np.inf, np.inf, 0.0]
    assert np.isnan(_core.log(np.array([-1.0, np.nan]))).all()


def test_the_core_and_the_reference_read_the_same_coefficients():
    root = Path(__file__).resolve().parents[2]
    text = (root / "cpp/src/simd/coefficients.inl").read_text(encoding="utf-8")
    compiled = {
        name: [float.fromhex(c) for c in re.findall(r"-?0x[0-9a-f.]+p[+-]\d+", body)]
        for name, body in re.findall(r"k_(\w+)\[\d+\] = \{(.*?)\};", text, re.DOTALL)
    }
    table = json.loads((root / "python/flopcore/data/polynomials.json").read_text(encoding="utf-8"))
    assert compiled == {name: [float.fromhex(c) for c in row["coefficients"]] for name, row in table.items()}
