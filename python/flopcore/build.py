"""How this build of the core was made and what it uses on this machine."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass

import numpy as np

from . import _core

__all__ = ["BuildInfo", "build_info"]


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """Facts for bug reports; none of them changes a result."""

    version: str
    isa: str
    available_isas: tuple[str, ...]
    compiler: str
    build_type: str
    openmp: bool
    threads: int
    stream_version: int
    python: str
    numpy: str

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON types."""
        return {**asdict(self), "available_isas": list(self.available_isas)}


def build_info() -> BuildInfo:
    """Return version, instruction sets, compiler, threads and stream version of the core in use."""
    return BuildInfo(
        version=_core.version,
        isa=_core.isa(),
        available_isas=tuple(_core.available_isas()),
        compiler=_core.compiler,
        build_type=_core.build_type,
        openmp=_core.thread_backend == "openmp",
        threads=_core.n_workers(1 << 32, 0),
        stream_version=_core.stream_version,
        python=platform.python_version(),
        numpy=np.__version__,
    )


if hasattr(os, "register_at_fork"):
    # A forked child must not enter the parent's thread runtime again: libgomp hangs there.
    os.register_at_fork(after_in_child=_core.limit_to_one_thread)
