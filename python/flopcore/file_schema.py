"""JSON Schema of what a TOML file of ours may hold, for editors and other programs; the checker itself decides."""

from __future__ import annotations

from typing import TypeAlias

from .checker import Array, Flag, Integer, Kind, Map, Rational, Table, Text

__all__ = ["Schema", "file_schema"]

Schema: TypeAlias = dict[str, object]

_RATIONAL = {"description": "exact: an integer, or text such as 1/2 or 0.25", "type": ["integer", "string"]}


def file_schema(kind: Kind, *, name: str, title: str) -> Schema:
    """Return the JSON Schema of a kind of document.

    Parameters
    ----------
    kind
        What the checker holds the document to.
    name, title
        Its ``$id`` and its title.

    Examples
    --------
    >>> from flopcore.checker import Integer, Table
    >>> file_schema(Table(required={"size": Integer(minimum=1)}), name="box/1", title="A box")["required"]
    ['size']
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": name,
        "title": title,
        **_schema(kind),
    }


def _schema(kind: Kind) -> Schema:
    match kind:
        case Text(choices=choices) if choices:
            return {"enum": list(choices)}
        case Text(pattern=pattern) if pattern:
            return {"type": "string", "pattern": f"^({pattern})$"}
        case Text():
            return {"type": "string", "minLength": 1}
        case Integer(minimum=minimum, maximum=int(maximum)):
            return {**_schema(Integer(minimum=minimum)), "maximum": maximum}
        case Integer(minimum=None):
            return {"type": "integer"}
        case Integer(minimum=minimum):
            return {"type": "integer", "minimum": minimum}
        case Rational():
            return dict(_RATIONAL)
        case Flag():
            return {"type": "boolean"}
        case Array(item=item, minimum_length=length):
            return {"type": "array", "items": _schema(item), **({"minItems": length} if length else {})}
        case Map(value=value, keys=keys) if keys:
            return {"type": "object", "propertyNames": {"enum": list(keys)}, "additionalProperties": _schema(value)}
        case Map(value=value):
            return {"type": "object", "additionalProperties": _schema(value)}
        case Table(required=required, optional=optional):
            return {
                "type": "object",
                "required": list(required),
                "properties": {key: _schema(field) for key, field in {**required, **optional}.items()},
                "additionalProperties": False,
            }
    raise TypeError(f"no JSON Schema for {type(kind).__name__}")
