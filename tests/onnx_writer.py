"""ONNX models as bytes, for tests that must run without the onnx package: the protobuf wire format by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

DTYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, payload: bytes | str) -> bytes:
    data = payload.encode() if isinstance(payload, str) else payload
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, dims: Sequence[int], dtype: str = "float32", values: Sequence[float] | None = None) -> bytes:
    """A TensorProto; values only of int64, bool and float32 (raw_data)."""
    body = b"".join(number(1, size) for size in dims) + number(2, DTYPES[dtype]) + message(8, name)
    if values is not None:
        kind = {"int64": "q", "bool": "?", "float32": "f"}[dtype]
        body += message(9, struct.pack(f"<{len(values)}{kind}", *values))
    return body


class Body(bytes):
    """A GraphProto that is an attribute."""


def graph(nodes: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[str]) -> Body:
    body = b"".join(message(1, item) for item in nodes) + message(2, "body")
    body += b"".join(message(11, item) for item in inputs)
    return Body(body + b"".join(message(12, value(key, None)) for key in outputs))


def value(name: str, shape: Sequence[int | str | None] | None, dtype: str = "float32") -> bytes:
    """A ValueInfoProto of a tensor."""
    kind = number(1, DTYPES[dtype])
    if shape is not None:
        sizes = (b"" if s is None else message(2, s) if isinstance(s, str) else number(1, s) for s in shape)
        kind += message(2, b"".join(message(1, size) for size in sizes))
    return message(1, name) + message(2, message(1, kind))


class Reference(str):
    """The value of an attribute in a function body: the name of the call's attribute."""


def attribute(name: str, item: object) -> bytes:
    """An AttributeProto of the type that the Python value tells; bytes are a TensorProto, or a Body."""
    head = message(1, name)
    if isinstance(item, Reference):
        return head + message(21, item) + number(20, 2)
    if isinstance(item, Body):
        return head + message(6, item) + number(20, 5)
    if isinstance(item, bytes):
        return head + message(5, item) + number(20, 4)
    if isinstance(item, str):
        return head + message(4, item) + number(20, 3)
    if isinstance(item, int):
        return head + number(3, item) + number(20, 2)
    if isinstance(item, float):
        return head + varint(2 << 3 | 5) + struct.pack("<f", item) + number(20, 1)
    assert isinstance(item, Sequence)
    if item and isinstance(item[0], str):
        return head + b"".join(message(9, each) for each in item) + number(20, 8)
    if item and isinstance(item[0], float):
        return head + b"".join(varint(7 << 3 | 5) + struct.pack("<f", i) for i in item) + number(20, 6)
    return head + b"".join(number(8, i) for i in item) + number(20, 7)


def node(
    op: str, inputs: Iterable[str], outputs: Iterable[str], name: str = "", domain: str = "", **attributes: object
) -> bytes:
    body = b"".join(message(1, key) for key in inputs) + b"".join(message(2, key) for key in outputs)
    body += message(3, name) + message(4, op)
    body += b"".join(message(5, attribute(key, item)) for key, item in attributes.items())
    return body + message(7, domain)


def function(
    domain: str, name: str, inputs: Iterable[str], outputs: Iterable[str], nodes: Iterable[bytes], *names: str
) -> bytes:
    body = message(1, name) + b"".join(message(4, key) for key in inputs) + b"".join(message(5, key) for key in outputs)
    body += b"".join(message(6, key) for key in names) + b"".join(message(7, item) for item in nodes)
    return body + message(9, number(2, 17)) + message(10, domain)


def model(
    nodes: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[str],
    initializers: Iterable[bytes] = (),
    *,
    opset: int = 17,
    opsets: Mapping[str, int] | None = None,
    functions: Iterable[bytes] = (),
    values: Iterable[bytes] = (),
) -> bytes:
    """A ModelProto; `values` is its value_info."""
    main = b"".join(message(1, item) for item in nodes) + message(2, "g")
    main += b"".join(message(5, item) for item in initializers) + b"".join(message(11, item) for item in inputs)
    main += b"".join(message(12, value(key, None)) for key in outputs)
    main += b"".join(message(13, item) for item in values)
    imports = {"": opset} | dict(opsets or {})
    return (
        number(1, 8)
        + b"".join(message(8, message(1, domain) + number(2, version)) for domain, version in imports.items())
        + message(7, main)
        + b"".join(message(25, item) for item in functions)
    )
