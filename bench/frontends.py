"""The front-ends' own cost: the export that a translation stands on, and the memory of a config."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any


@cache
def llama_7b() -> tuple[Callable[[], Any], Any] | None:
    """Return how to export Llama-7B on meta, and the exported program; None without torch and transformers."""
    try:
        import torch
        import transformers
    except ImportError:
        return None
    transformers.logging.set_verbosity_error()
    config = transformers.LlamaConfig(use_cache=False)
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    ids = torch.ones(1, 2048, dtype=torch.long, device="meta")
    module, inputs = model.eval(), {"input_ids": ids, "attention_mask": ids.clone(), "return_dict": False}

    def export() -> Any:
        return torch.export.export(module, (), inputs, strict=False)

    return export, export()


class PeakMemory:
    """Megabytes that processes of their own needed at most, added up: a clock that memory drives."""

    def __init__(self) -> None:
        self.megabytes = 0.0

    def __call__(self) -> float:
        return self.megabytes

    def import_config(self, config: Mapping[str, object], parameters: int) -> int:
        """Import a config in a process of its own; its answer is checked there."""
        code = (
            "import json, sys; import flopcore as fc; "
            "assert fc.from_huggingface(json.loads(sys.argv[1])).parameters == int(sys.argv[2]); "
            "print(open('/proc/self/status').read())"
        )
        command = [sys.executable, "-c", code, json.dumps(config), str(parameters)]
        status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        self.megabytes += int(peak.split()[1]) / 1024
        return 1

    def budget(self) -> int:
        """The 60 MB that a config import may take."""
        self.megabytes += 60
        return 1
