"""Which operator of PyTorch is which op here: one handler per operator, by its name without overload."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .torch_call import Handler
from .torch_contractions import CONTRACTIONS
from .torch_elementwise import ELEMENTWISE
from .torch_layout import LAYOUT
from .torch_matrices import MATRICES
from .torch_quantised import QUANTISED
from .torch_recurrent import RECURRENT
from .torch_reductions import REDUCTIONS

__all__: list[str] = []

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {**ELEMENTWISE, **CONTRACTIONS, **REDUCTIONS, **LAYOUT, **RECURRENT, **QUANTISED, **MATRICES}
)
