"""What a user would write with numba: the forecast from yearly budgets, every model of every year drawn, one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SIMULATIONS = 2_000
WIDTHS = np.array([0.5, 1.0, 1.5])
LINES = 10.0 ** np.arange(25.0, 30.0)


def numba_forecast(history: Sequence[float]) -> Callable[[int, int], np.ndarray] | None:
    """Return a function (simulations, seed) -> mean count per year over 1e25, or None where numba is not installed.

    `history` is the training FLOP of 2017 to 2023. As published: growth, the largest share, the size ratio and the
    gradient are drawn until every bin can hold its own models; models are drawn until the budget of a bin is spent,
    with a date each; the frontier is counted by quarters.
    """
    try:
        import numba
    except ImportError:
        return None

    past = np.array(history)
    training_share = np.array([0.4, 0.4, 0.4, 0.3, 0.3])
    middle, sd = np.log(0.05 * 0.5) / 2, np.log(10.0) / 4

    @numba.njit
    def run(simulations, seed):  # type: ignore[no-untyped-def]
        np.random.seed(seed)
        over = np.zeros((simulations, 5, 5), np.int32)
        near = np.zeros((simulations, 5, 3), np.int32)
        size = np.empty(20_000)
        day = np.empty(20_000, np.int32)
        ends = np.empty(4, np.int32)
        for s in range(simulations):
            growth = 0.25 * 6.3 + 0.75 * 2.25 * 1.4 + np.random.normal(0.0, 0.5)
            record = 0.0
            for y in range(12):
                forecast = y >= 7
                budget = past[6] * 2.5 * growth ** (y - 6) * training_share[y - 7] if forecast else past[y]
                while True:
                    if y == 7:
                        share = 3.8e25 / budget
                    elif forecast:
                        share = np.random.lognormal(middle, sd)
                        while share < 0.05 or share > 0.5:
                            share = np.random.lognormal(middle, sd)
                    else:
                        share = np.random.uniform(0.05, 0.5)
                    ratio = np.random.uniform(-8.0, -6.0)
                    k = np.random.uniform(0.9, 1.1)
                    step, top = -ratio / 19, share * budget
                    fits = 10**ratio * top < 10 ** (k * ratio) * budget
                    for i in range(19):
                        if not fits:
                            break
                        lower, upper = 10 ** (ratio + step * i), 10 ** (ratio + step * (i + 1))
                        fits = upper * top < (upper**k - lower**k) * budget
                    if fits:
                        break
                days = 366 if (2017 + y) % 4 == 0 else 365
                n = 0
                for i in range(19):
                    lower, upper = 10 ** (ratio + step * i), 10 ** (ratio + step * (i + 1))
                    money = (upper**k - lower**k) * budget
                    low, high, spent = lower * top / money, upper * top / money, 0.0
                    while spent < 1.0:
                        part = np.random.uniform(low, high)
                        if spent + part > 1.0:
                            part = 1.0 - spent
                            spent = 1.0
                        else:
                            spent += part
                        size[n] = part * money
                        day[n] = int(np.random.random() * days)
                        n += 1
                if forecast:
                    for j in range(n):
                        for t in range(5):
                            if size[j] >= LINES[t]:
                                over[s, y - 7, t] += 1
                ends[:] = (89, 180, 272, 364)
                ends += days - 365
                before = -1
                for end in ends:
                    largest = record
                    for j in range(n):
                        if day[j] < end and size[j] > largest:
                            largest = size[j]
                    if forecast:
                        for j in range(n):
                            if before < day[j] <= end:
                                orders = np.log10(largest) - np.log10(size[j])
                                for w in range(3):
                                    if 0 < orders <= WIDTHS[w] or size[j] > largest:
                                        near[s, y - 7, w] += 1
                    before = end
                for j in range(n):
                    record = max(record, size[j])
        return over, near

    def means(simulations: int, seed: int) -> np.ndarray:
        over, _ = run(simulations, seed)
        return np.asarray(over[:, :, 0].mean(axis=0))

    means(2, 0)
    return means
