"""Check the machine code of the kernels: no weak symbol, and every hot function on the widest registers of its ISA.

The linker keeps one copy of a weak symbol, perhaps the one compiled for a newer CPU than the machine has; a kernel that
lost its vector code is 20-50 times slower and passes every other test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REGISTER = {"v3": "ymm", "v4": "zmm"}
# Elementwise functions outside the hot loops, and searches in a table of rows.
COLD = {
    *("norm_ppf_array", "norm_cdf_array", "exp_array", "log_array"),
    *("quantiles_f32", "quantiles_f64", "look_up<float>"),
}


def run(*command: str) -> str:
    """Output of a binutils command."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def weak_symbols(objects: list[Path]) -> list[str]:
    """Names of weak or unique symbols defined in these object files."""
    table = run("nm", "--defined-only", "--demangle", *map(str, objects))
    return sorted({line.split(maxsplit=2)[2] for line in table.splitlines() if re.match(r"[0-9a-f]* [VvWwu] ", line)})


def vector_instructions(objects: list[Path], register: str) -> dict[str, int]:
    """How many instructions of each function touch a register of this width."""
    code = run("objdump", "--disassemble", "--demangle", "--no-show-raw-insn", *map(str, objects))
    counts: dict[str, int] = {}
    name = ""
    for line in code.splitlines():
        if start := re.fullmatch(r"[0-9a-f]+ <(.*)>:", line):
            name = start[1].replace("(anonymous namespace)::", "").partition("(")[0].rpartition("::")[2]
            counts.setdefault(name, 0)
        elif f"%{register}" in line:
            counts[name] += 1
    return counts


def main(build: str) -> int:
    """Print what was found for each ISA; 1 if a gate is broken."""
    broken = False
    for isa in ("base", "v3", "v4"):
        objects = sorted(Path(build).glob(f"CMakeFiles/kern_{isa}.dir/**/*.o"))
        if not objects:
            print(f"kern_{isa}: not built")
            broken |= isa == "base"
            continue
        wrong = [f"weak symbol: {name}" for name in weak_symbols(objects)]
        line = f"kern_{isa}: {len(objects)} object files"
        if isa in REGISTER:
            counts = vector_instructions(objects, REGISTER[isa])
            hot = {name: count for name, count in counts.items() if name not in COLD}
            wrong += [f"not vectorised: {name}" for name, count in hot.items() if count == 0]
            wrong += [] if hot else ["no function found"]
            line += f", {len(hot)} hot functions, {sum(hot.values())} instructions on {REGISTER[isa]}"
        print(line, *wrong, sep="\n  ")
        broken |= bool(wrong)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
