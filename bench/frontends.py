"""The front-ends' own cost: the export that a translation stands on."""

from __future__ import annotations

from collections.abc import Callable
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
