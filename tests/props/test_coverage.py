"""20,000 random graphs: core and reference agree, and every op and every choice of its attributes is shown."""

from __future__ import annotations

from collections import Counter

import pytest

from agreement import LEAST, gaps, seen_in, seen_in_parallel, table, wanted
from flopcore.specification import specification
from random_graphs import OPS


def test_every_op_has_a_recipe() -> None:
    assert set(OPS) == {name for name, op in specification().ops.items() if not op.leaf}


def test_a_gap_is_found() -> None:
    names = wanted(LEAST)
    full = Counter(dict.fromkeys(names, LEAST))
    assert gaps(full, LEAST) == []
    assert gaps(full - Counter({"conv": 1}), LEAST) == ["conv: 49 of 50"]
    assert names["max_pool ceil_mode=False"] == names["linear bias?=absent"] == names["clamp bounds=low"] == LEAST // 5


def test_some_graphs_agree() -> None:
    assert sum(seen_in(range(300)).values()) > 3000


@pytest.mark.slow
def test_twenty_thousand_graphs_agree_and_show_every_op_and_choice() -> None:
    seen = seen_in_parallel(20_000)
    assert gaps(seen, LEAST) == [], table(seen)
