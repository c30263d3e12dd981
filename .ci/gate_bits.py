"""Print a digest of what some sweeps count: builds of different compilers and options must print the same.

The sweeps are those of tests/isa: every operation, distribution family, sampler and sink, both precisions, and all
instruction sets.
"""

from __future__ import annotations

import hashlib
import json
import runpy
import sys
from pathlib import Path

import flopcore as fc
from flopcore import _core

TESTS = Path(__file__).resolve().parent.parent / "tests" / "isa"


def main() -> int:
    """One line for each instruction set and precision; what it runs on goes to stderr."""
    print(fc.build_info(), file=sys.stderr)
    programs = runpy.run_path(str(TESTS / "test_program_bits.py"))
    population = runpy.run_path(str(TESTS / "test_sweep_bits.py"))
    for isa in _core.available_isas():
        _core.select_isa(isa)
        for precision in ("double", "single"):
            swept = fc.sweep(population["study"](), population["LINES"], draws=5001, rng=9, precision=precision)
            whole = [
                programs["state"](precision=precision),
                programs["state"](precision=precision, sampler="sobol"),
                swept.exceed_counts.tolist(),
                swept.count_histogram.tolist(),
            ]
            text = json.dumps(whole, default=str)
            print(isa, precision, hashlib.sha256(text.encode()).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
