"""Fit the polynomials of the kernels with mpmath and write them in both forms that the project reads.

Writes ``coefficients.inl`` beside this file (read by kernels.cpp) and ``python/flopcore/data/polynomials.json`` (read
by the reference implementation). Each polynomial is a Chebyshev interpolant (within a small factor of minimax) turned
into powers of (x - centre), highest power first, or into the form of Knuth and Eve; its coefficients are rounded to the
precision they are used in.

The inverse normal CDF is z = x g, x = 1 - o, where o is twice the tail probability. Its tails take g as a polynomial in
w = -log(y), y = o (2 - o), the variable of Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011). Its
centre, in the sweep, is a ratio of polynomials in y itself, which needs no logarithm: best in the sense of Chebyshev,
by the exchange algorithm of Remez (Pachon and Trefethen, BIT 49, 2009, section 4, give the eigenvalue form). erfc uses
the variable of Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x" (Math. Comp. 36, 1981).
All coefficients are our own.

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


def icdf_of_y(y: mp.mpf) -> mp.mpf:
    """Give icdf_ratio at w = -log y."""
    return icdf_ratio(-mp.log(y)) if y < 1 else icdf_ratio(mp.mpf(0))


def icdf_tolerance(y: mp.mpf) -> mp.mpf:
    """Give the error of icdf_of_y that moves z by 1 + z, bounded near z = 0."""
    x = mp.sqrt(1 - y)
    return (1 + x * icdf_of_y(y)) / max(x, mp.mpf("0.05"))


def value_at(ascending: list[mp.mpf], x: mp.mpf) -> mp.mpf:
    """Give a polynomial of ascending powers at x."""
    return mp.polyval(ascending[::-1], x)


def levelled_ratio(
    points: list[mp.mpf], values: list[mp.mpf], scales: list[mp.mpf], degrees: tuple[int, int]
) -> tuple[list[mp.mpf], list[mp.mpf], mp.mpf]:
    """Give P, Q > 0 and E with P / Q - value = +E scale, -E scale, ... at the points, of which there are m + n + 2.

    Eliminating P leaves an eigenvalue problem for Q and E; one eigenvector at most has no sign change.
    """
    m, n = degrees
    count = m + n + 2
    top = mp.matrix(count, m + 1)
    plain, signed = mp.matrix(count, n + 1), mp.matrix(count, n + 1)
    for i, (x, value, scale) in enumerate(zip(points, values, scales, strict=True)):
        for j in range(m + 1):
            top[i, j] = x**j
        for j in range(n + 1):
            plain[i, j], signed[i, j] = value * x**j, (-1) ** i * scale * x**j
    orthogonal, _ = mp.qr(top)
    rest = orthogonal[:, m + 1 : count].T
    eigenvalues, vectors = mp.eig(mp.inverse(rest * signed) * (rest * plain))
    for k in range(n + 1):
        raw = [vectors[j, k] for j in range(n + 1)]
        lead = max(raw, key=abs)
        bottom = [mp.re(c / lead) for c in raw]
        sizes = [value_at(bottom, x) for x in points]
        if abs(mp.im(eigenvalues[k])) < mp.mpf(10) ** -25 and (min(sizes) > 0 or max(sizes) < 0):
            level = -mp.re(eigenvalues[k])
            right = mp.matrix(
                [(values[i] + (-1) ** i * scales[i] * level) * sizes[i] for i in range(m + 1)],
            )
            found = mp.lu_solve(top[: m + 1, :], right)
            return [c / bottom[-1] for c in found], [c / bottom[-1] for c in bottom], abs(level)
    raise ValueError("no ratio without poles; choose other degrees")


def fit_ratio(
    function: Callable[[mp.mpf], mp.mpf], tolerance: Callable[[mp.mpf], mp.mpf], low: mp.mpf, degrees: tuple[int, int]
) -> tuple[list[mp.mpf], list[mp.mpf]]:
    """Give P and Q, Q monic, ascending powers: the ratio on [low, 1] whose largest error / tolerance is the least."""
    count = sum(degrees) + 2
    grid = sorted(
        {low ** (1 - mp.mpf(i) / 700) for i in range(701)} | {mp.mpf(i) / 400 for i in range(1, 401) if i > 400 * low}
    )
    values, scales = [function(x) for x in grid], [tolerance(x) for x in grid]
    # Zolotarev's points for [low, 1] are near enough to start from.
    quarter = mp.ellipk(1 - low**2)
    chosen: list[int] = []
    for i in range(count):
        point = low / mp.ellipfun("dn", quarter * i / (count - 1), m=1 - low**2)
        nearest = min(range(len(grid)), key=lambda k, point=point: abs(grid[k] - point) / point)
        chosen.append(max(nearest, chosen[-1] + 1) if chosen else nearest)
    chosen = [min(k, len(grid) - count + i) for i, k in enumerate(chosen)]
    while True:
        top, bottom, level = levelled_ratio(
            [grid[k] for k in chosen], [values[k] for k in chosen], [scales[k] for k in chosen], degrees
        )
        errors = [
            (value_at(top, x) / value_at(bottom, x) - value) / scale
            for x, value, scale in zip(grid, values, scales, strict=True)
        ]
        if max(abs(e) for e in errors) < level * mp.mpf("1.02"):
            return top, bottom
        # The largest error of each run of one sign.
        chosen, start = [], 0
        for k in range(1, len(errors) + 1):
            if k == len(errors) or (errors[k] > 0) != (errors[start] > 0):
                chosen.append(max(range(start, k), key=lambda j: abs(errors[j])))
                start = k
        while len(chosen) > count:
            chosen.pop(0 if abs(errors[chosen[0]]) < abs(errors[chosen[-1]]) else -1)
        assert len(chosen) == count, "the exchange lost an extremum"


# name: function, low, high, degree, precision in bits
SHAPES = {
    "icdf_tail_f32": (icdf_of_log2, mp.mpf("-31.01"), -TAIL_START, 8, 32),
    "log2_f32": (log2_ratio, ROOT_HALF - 1, 2 * ROOT_HALF - 1, 5, 32),
    "log_f32": (log_ratio, ROOT_HALF - 1, 2 * ROOT_HALF - 1, 7, 32),
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
MOVES = {"log2_f64": -1}

# Ratios for [2^-CENTRE_RANGE, 1], names of top and bottom: function, tolerance, degrees, precision in bits. All their
# roots are negative, so the form of Knuth and Eve needs no move (double precision); single precision takes Horner's.
RATIOS = {
    ("icdf_top_f32", "icdf_bottom_f32"): (icdf_of_y, icdf_tolerance, (7, 6), 32),
    ("icdf_top_f64", "icdf_bottom_f64"): (icdf_of_y, icdf_tolerance, (11, 11), 64),
}


Row = dict[str, object]


def row_of(name: str, centre: mp.mpf, powers: list[mp.mpf], bits: int, form: str) -> tuple[Row, list[str]]:
    """Give a polynomial's row of the table and its lines of C++."""
    if bits == 32:
        values = [float(np.float32(mp.nstr(c, 30))) for c in powers]
        texts = [v.hex() + "f" for v in values]
    else:
        values = [float(mp.mpf(c)) for c in powers]
        texts = [v.hex() for v in values]
    lines = [f"constexpr {'float' if bits == 32 else 'double'} k_{name}[{len(values)}] = {{"]
    lines += [f"    {text}," for text in texts] + ["};", ""]
    return {"bits": bits, "centre": int(centre), "coefficients": [v.hex() for v in values], "form": form}, lines


def evaluated(row: Row, x: mp.mpf) -> mp.mpf:
    """Give a row's polynomial at centre + x, without rounding."""
    values = [mp.mpf(float.fromhex(text)) for text in row["coefficients"]]  # type: ignore[attr-defined]
    if row["form"] != "preconditioned":
        return mp.polyval(values, x)
    total = values[0] * x + values[1]
    for a, b in zip(values[2::2], values[3::2], strict=True):
        total = total * (x * x - a) + b
    return total


def main() -> None:
    """Fit all shapes and write both files."""
    table: dict[str, Row] = {}
    lines = [
        "// Written by fit_coefficients.py; do not edit. Highest power of (x - centre) first; see there.",
        "// clang-format off",
        "",
    ]
    for (top_name, bottom_name), (function, tolerance, degrees, bits) in RATIOS.items():
        low = mp.mpf(2) ** -CENTRE_RANGE
        pair = []
        for name, ascending in zip((top_name, bottom_name), fit_ratio(function, tolerance, low, degrees), strict=True):
            powers = preconditioned(ascending[::-1], 0) if bits == 64 else ascending[::-1]
            form = "preconditioned" if bits == 64 else "horner"
            table[name], written = row_of(name, mp.mpf(0), powers, bits, form)
            lines += written
            pair.append(table[name])
        worst = max(
            abs(evaluated(pair[0], x) / evaluated(pair[1], x) - function(x)) / tolerance(x)
            for x in (low ** (mp.mpf(i) / 997) for i in range(998))
        )
        print(f"{top_name} / {bottom_name}: degrees {degrees}, largest error / (1 + z) {mp.nstr(worst, 3)}")
    for name, (function, low, high, degree, bits) in SHAPES.items():
        centre, powers = fit(function, low, high, degree)
        move = MOVES.get(name, 0)
        if name in MOVES:
            powers = preconditioned(powers, move)
            centre += move
        lines.append(f"constexpr {'int32_t' if bits == 32 else 'double'} k_{name}_centre = {int(centre)};")
        table[name], written = row_of(name, centre, powers, bits, "preconditioned" if name in MOVES else "powers")
        lines += written
        grid = [low + (high - low) * i / 997 for i in range(998)]
        worst = max(abs(evaluated(table[name], x - centre) / function(x) - 1) for x in grid)
        print(f"{name}: degree {degree}, largest relative error {mp.nstr(worst, 3)}")
    (HERE / "coefficients.inl").write_text("\n".join(lines), encoding="utf-8")
    DATA.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
