"""Check the machine code of the kernels: no weak symbol, and wide vectors where the ISA has them.

The linker keeps one copy of a weak symbol, perhaps the one compiled for a newer CPU than the machine has; a kernel that
lost its vector code is 20-50 times slower and passes every other test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REGISTER = {"v3": "ymm", "v4": "zmm"}


def run(*command: str) -> str:
    """Output of a binutils command."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def weak_symbols(objects: list[Path]) -> list[str]:
    """Names of weak or unique symbols defined in these object files."""
    table = run("nm", "--defined-only", "--demangle", *map(str, objects))
    return sorted({line.split(maxsplit=2)[2] for line in table.splitlines() if re.match(r"[0-9a-f]* [VvWwu] ", line)})


def vector_instructions(objects: list[Path], register: str) -> int:
    """How many instructions touch a register of this width."""
    code = run("objdump", "--disassemble", "--no-show-raw-insn", *map(str, objects))
    return sum(f"%{register}" in line for line in code.splitlines())


def main(build: str) -> int:
    """Print one line an ISA; 1 if a gate is broken."""
    status = 0
    for isa in ("base", "v3", "v4"):
        objects = sorted(Path(build).glob(f"CMakeFiles/kern_{isa}.dir/**/*.o"))
        if not objects:
            if isa == "base":
                print(f"kern_{isa}: no object files under {build}")
                status = 1
            continue
        weak = weak_symbols(objects)
        line = f"kern_{isa}: {len(objects)} objects, {len(weak)} weak symbols"
        if isa in REGISTER:
            wide = vector_instructions(objects, REGISTER[isa])
            line += f", {wide} instructions on {REGISTER[isa]}"
            status |= wide < 100
        status |= bool(weak)
        print(line, *weak, sep="\n  ")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
