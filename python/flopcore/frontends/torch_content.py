"""What stands in tensors of a program that depend on constants and sizes alone, such as the blocks of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram
    from torch.fx import Node

__all__: list[str] = []

_MOST = 2**24  # elements of a tensor that is worked out


class _NotKnown(Exception):
    """A value depends on inputs or weights, or is large."""


class Contents:
    """Works out tensors of one program on the processor, from its constants; nothing else is looked at."""

    def __init__(self, torch: Any, program: ExportedProgram) -> None:
        self._torch = torch
        self._found: dict[str, Any] = {}
        self._constants = {
            spec.arg.name: program.constants.get(spec.target)
            for spec in program.graph_signature.input_specs
            if spec.kind.name in ("BUFFER", "CONSTANT_TENSOR") and isinstance(spec.target, str)
        }
        for spec in program.graph_signature.input_specs:
            if spec.kind.name == "BUFFER" and spec.target in program.state_dict:
                self._constants[spec.arg.name] = program.state_dict[spec.target]

    def of(self, node: Node) -> Any:
        """Return the elements of what a node gives as lists of numbers, None if they are not known."""
        try:
            with self._torch.no_grad():
                return self._of(node).tolist()
        except _NotKnown:
            return None

    def _of(self, node: Node) -> Any:
        if node.name not in self._found:
            self._found[node.name] = self._made(node)
        return self._found[node.name]

    def _made(self, node: Node) -> Any:
        torch = self._torch
        target: Any = node.target
        if node.op == "placeholder":
            return self._real(self._constants.get(node.name))
        if getattr(target, "__name__", "") == "getitem":
            return self._of(node.args[0])[node.args[1]]
        seeded = torch.Tag.nondeterministic_seeded
        if getattr(target, "namespace", "") != "aten" or seeded in target.tags or self._is_large(node):
            raise _NotKnown
        given = {name: self._read(each) for name, each in node.kwargs.items()}
        if "device" in given:
            given["device"] = torch.device("cpu")
        return target(*(self._read(each) for each in node.args), **given)

    def _read(self, argument: Any) -> Any:
        if isinstance(argument, self._torch.fx.Node):
            return self._of(argument)
        if isinstance(argument, tuple | list):
            return [self._read(each) for each in argument]
        return argument

    def _real(self, tensor: torch.Tensor | None) -> Any:
        is_fake = isinstance(tensor, self._torch._subclasses.FakeTensor)
        if tensor is None or is_fake or tensor.device.type == "meta" or tensor.numel() > _MOST:
            raise _NotKnown
        return tensor

    def _is_large(self, node: Node) -> bool:
        made = node.meta.get("val")
        tensors = made if isinstance(made, tuple | list) else [made]
        return not all(
            isinstance(each, self._torch.Tensor)
            and all(isinstance(size, int) for size in each.shape)
            and each.numel() <= _MOST
            for each in tensors
        )
