"""Fit the polynomials of the kernels with mpmath and write them in both forms that the project reads.

Writes ``coefficients.inl`` beside this file (read by kernels.cpp) and ``python/flopcore/data/polynomials.json`` (read
by the reference implementation). Each polynomial is a Chebyshev interpolant (within a small factor of minimax) turned
into powers of (x - centre), highest power first, or into the form of Knuth and Eve; its coefficients are rounded to the
precision they are used in.

The inverse normal CDF is z = x g(w), x = 1 - o, w = -log(o (2 - o)), where o is twice the tail probability; that
variable is Giles', "Approximating the erfinv function" (GPU Computing Gems, 2011). erfc uses the variable of Shepherd
and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x" (Math. Comp. 36, 1981). All coefficients are
our own.

Run: python cpp/src/simd/fit_coefficients.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 60
HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "python" / "flopcore" / "data" / "polynomials.json"
ROOT_HALF = mp.sqrt(mp.mpf(1) / 2)
# The central polynomial of the sweep serves o >= 1.5 * 2^-11, that is log2(o (2 - o)) >= -9.42; both overlap.
CENTRE_RANGE, TAIL_START = mp.mpf("9.44"), mp.mpf("9.40")


def icdf_ratio(w: mp.mpf) -> mp.mpf:
    """Give z / x where x = sqrt(1 - exp(-w)) and z is the normal quantile of (1 + x) / 2."""
    if w < mp.mpf(10) ** -25:
        return mp.sqrt(mp.pi / 2)
    x = mp.sqrt(-mp.expm1(-w))
    tail = mp.exp(-w) / (1 + x) / 2
    if x < mp.mpf("0.9"):
        return mp.sqrt(2) * mp.erfinv(x) / x
    z = mp.findroot(lambda v: mp.log(mp.erfc(v / mp.sqrt(2)) / 2) - mp.log(tail), mp.sqrt(2 * w) - 1)
    return z / x


def icdf_far(root: mp.mpf) -> mp.mpf:
    """Give icdf_ratio at root**2: below probabilities of 2^-54 the square root is the smoother variable."""
    return icdf_ratio(root * root)


def icdf_of_log2(level: mp.mpf) -> mp.mpf:
    """Give icdf_ratio at w = -level ln 2, where level is log2 of o (2 - o)."""
    return icdf_ratio(-level * mp.log(2))


def log2_ratio(f: mp.mpf) -> mp.mpf:
    """Give log2(1 + f) / f."""
    return log_ratio(f) / mp.log(2)


def log_ratio(f: mp.mpf) -> mp.mpf:
    """Give log(1 + f) / f."""
    return mp.mpf(1) if f == 0 else mp.log1p(f) / f


def exp_plain(r: mp.mpf) -> mp.mpf:
    """Give exp(r)."""
    return mp.exp(r)


def erfc_scaled(t: mp.mpf) -> mp.mpf:
    """Give (1 + 2x) exp(x^2) erfc(x) at t = (x - 3.75) / (x + 3.75)."""
    if t >= 1:
        return 2 / mp.sqrt(mp.pi)
    x = mp.mpf("3.75") * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def fit(function: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, degree: int) -> tuple[mp.mpf, list[mp.mpf]]:
    """Interpolate at the Chebyshev nodes; give an integer centre and the powers of (x - centre), highest first."""
    n = degree + 1
    middle, half = (low + high) / 2, (high - low) / 2
    angles = [mp.pi * (2 * i + 1) / (2 * n) for i in range(n)]
    values = [function(middle + half * mp.cos(a)) for a in angles]
    chebyshev = [mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) * 2 / n for j in range(n)]
    chebyshev[0] /= 2
    # Powers of the scaled variable from the recurrence T_{j+1} = 2 x T_j - T_{j-1}.
    previous, current = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    powers = [mp.mpf(0)] * n
    for j in range(n):
        for i, c in enumerate(previous):
            powers[i] += chebyshev[j] * c
        following = [mp.mpf(0), *(2 * c for c in current)]
        for i, c in enumerate(previous):
            following[i] -= c
        previous, current = current, following
    powers = [c / half**i for i, c in enumerate(powers)]
    # Move the origin from the middle to the integer nearest it (for small ranges: to zero).
    centre = mp.nint(middle)
    moved = [
        mp.fsum(powers[i] * mp.binomial(i, j) * (centre - middle) ** (i - j) for i in range(j, n)) for j in range(n)
    ]
    return centre, list(reversed(moved))


def preconditioned(coefficients: list[mp.mpf], move: int) -> list[mp.mpf]:
    """Return the form of Knuth and Eve of a polynomial of odd degree, given in powers of v, highest first.

    In x = v - move it is (... ((p x + q) (x^2 - a_m) + b_m) ...) (x^2 - a_1) + b_1, half the multiplications of Horner.
    The a are the roots of its odd part, which are real once all roots of the polynomial lie on one side (Eve, "The
    evaluation of polynomials", Numer. Math. 6, 1964). Gives p, q, a_m, b_m, ... a_1, b_1 with ascending a.
    """
    n = len(coefficients)
    ascending = coefficients[::-1]
    rest = [mp.fsum(ascending[i] * mp.binomial(i, j) * mp.mpf(move) ** (i - j) for i in range(j, n)) for j in range(n)]
    roots = mp.polyroots(rest[1::2][::-1], maxsteps=500, extraprec=400)
    assert all(abs(mp.im(root)) < mp.mpf(10) ** -30 for root in roots), "move further"
    pairs: list[mp.mpf] = []
    for a in sorted((mp.re(root) for root in roots), reverse=True):
        quotient = [mp.mpf(0)] * (len(rest) - 2)
        for i in range(len(rest) - 1, 1, -1):
            quotient[i - 2] = rest[i]
            rest[i - 2] += a * rest[i]
        pairs = [a, rest[0], *pairs]
        rest = quotient
    return [rest[1], rest[0], *pairs]


# name: function, low, high, degree, precision in bits
SHAPES = {
    "icdf_centre_f32": (icdf_of_log2, -CENTRE_RANGE, mp.mpf(0), 9, 32),
    "icdf_tail_f32": (icdf_of_log2, mp.mpf("-31.01"), -TAIL_START, 8, 32),
    "log2_f32": (log2_ratio, ROOT_HALF - 1, 2 * ROOT_HALF - 1, 5, 32),
    "log_f32": (log_ratio, ROOT_HALF - 1, 2 * ROOT_HALF - 1, 7, 32),
    "icdf_centre_f64": (icdf_of_log2, -CENTRE_RANGE, mp.mpf(0), 17, 64),
    "icdf_tail_f64": (icdf_of_log2, mp.mpf("-52.01"), -TAIL_START, 29, 64),
    "log2_f64": (log2_ratio, ROOT_HALF - 1, 2 * ROOT_HALF - 1, 11, 64),
    "ppf_centre_f64": (icdf_ratio, mp.mpf(0), mp.mpf("6.54"), 23, 64),
    "ppf_tail_f64": (icdf_ratio, mp.mpf("6.5"), mp.mpf("36.2"), 30, 64),
    "ppf_far_f64": (icdf_far, mp.mpf(6), mp.mpf("27.5"), 29, 64),
    "log_f64": (log_ratio, ROOT_HALF - 1, 2 * ROOT_HALF - 1, 21, 64),
    "exp_f64": (exp_plain, -mp.log(2) / 2, mp.log(2) / 2, 12, 64),
    "erfc_f64": (erfc_scaled, mp.mpf(-1), mp.mpf(1), 30, 64),
}


# Polynomials in the form of Knuth and Eve, and how far their variable moves.
MOVES = {"icdf_centre_f64": 11, "log2_f64": -1}


def main() -> None:
    """Fit all shapes and write both files."""
    table: dict[str, dict[str, object]] = {}
    lines = [
        "// Written by fit_coefficients.py; do not edit. Highest power of (x - centre) first; see there.",
        "// clang-format off",
        "",
    ]
    for name, (function, low, high, degree, bits) in SHAPES.items():
        centre, powers = fit(function, low, high, degree)
        move = MOVES.get(name, 0)
        if name in MOVES:
            powers = preconditioned(powers, move)
            centre += move
        if bits == 32:
            values = [float(np.float32(mp.nstr(c, 30))) for c in powers]
            texts = [v.hex() + "f" for v in values]
        else:
            values = [float(mp.mpf(c)) for c in powers]
            texts = [v.hex() for v in values]
        kind = "float" if bits == 32 else "double"
        lines.append(f"constexpr {'int32_t' if bits == 32 else 'double'} k_{name}_centre = {int(centre)};")
        lines.append(f"constexpr {kind} k_{name}[{degree + 1}] = {{")
        lines += [f"    {text}," for text in texts]
        lines += ["};", ""]
        grid = [low + (high - low) * i / 997 for i in range(998)]
        worst = mp.mpf(0)
        for g in grid:
            exact = function(g)
            total = mp.mpf(0)
            x = g - centre
            if name in MOVES:
                total = mp.mpf(values[0]) * x + mp.mpf(values[1])
                for a, b in zip(values[2::2], values[3::2], strict=True):
                    total = total * (x * x - mp.mpf(a)) + mp.mpf(b)
            else:
                for v in values:
                    total = total * x + mp.mpf(v)
            worst = max(worst, abs(total / exact - 1))
        print(f"{name}: degree {degree}, largest relative error {mp.nstr(worst, 3)}")
        table[name] = {
            "bits": bits,
            "centre": int(centre),
            "coefficients": [v.hex() for v in values],
            "form": "preconditioned" if name in MOVES else "powers",
            "low": float(low),
            "high": float(high),
        }
    (HERE / "coefficients.inl").write_text("\n".join(lines), encoding="utf-8")
    DATA.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
