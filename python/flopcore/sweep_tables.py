"""Results as other people's tables: xarray, pandas, JSON; and as files of our own."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .sink_results import Axis, Measure
from .thresholds import Threshold

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["read_arrays", "read_result", "to_dataset", "to_frame", "to_json", "write_atomically", "write_result"]

_FORMAT = "flopcore.sweep/1"


def _missing(package: str, extra: str) -> ImportError:
    return ImportError(f"this needs {package}: pip install flopcore[{extra}]")


def to_dataset(
    measures: Mapping[str, Measure], thresholds: Iterable[Threshold], attrs: Mapping[str, object]
) -> xr.Dataset:
    """Return labelled arrays: one variable for each measure, ``_mcse`` beside each estimate, thresholds as coordinates.

    Two measures whose dimensions have one name but other labels keep them apart: the later is called
    ``<measure>_<dimension>``.

    Raises
    ------
    ImportError
        If xarray is not installed.
    """
    try:
        import xarray as xr
    except ImportError:
        raise _missing("xarray", "xarray") from None
    labels: dict[str, tuple[object, ...]] = {}
    variables: dict[str, tuple[list[str], NDArray[Any]]] = {}
    for name, measure in measures.items():
        dims = []
        for axis in measure.axes:
            dim = axis.dim if labels.setdefault(axis.dim, axis.labels) == axis.labels else f"{name}_{axis.dim}"
            labels.setdefault(dim, axis.labels)
            dims.append(dim)
        variables[name] = (dims, measure.values)
        if measure.error is not None:
            variables[f"{name}_mcse"] = (dims, measure.error)
    coords: dict[str, object] = {dim: list(values) for dim, values in labels.items()}
    lines: dict[str, Threshold | None] = {}
    for line in thresholds:  # one name may be another line in each scenario: then no value is its own
        lines[line.name] = line if lines.get(line.name, line) == line else None
    for dim, names in labels.items():
        chosen = [own for name in names if (own := lines.get(str(name))) is not None]
        if dim.endswith("threshold") and len(chosen) == len(names):
            coords[f"{dim}_value"] = (dim, [_float(line.value) for line in chosen], {"units": "FLOP"})
            coords[f"{dim}_comparator"] = (dim, [line.comparator for line in chosen])
    return xr.Dataset(variables, coords=coords, attrs={key: _attribute(value) for key, value in attrs.items()})


def _float(value: int | Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf


def _attribute(value: object) -> object:
    return value if isinstance(value, (str, int, float)) else json.dumps(value)


def to_frame(measures: Mapping[str, Measure]) -> pd.DataFrame:
    """Return one row for each number: what is measured, the labels of its dimensions, value and standard error.

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise _missing("pandas", "xarray") from None
    frames = []
    for name, measure in measures.items():
        axes = measure.axes or (Axis("-", (0,)),)
        index = pd.MultiIndex.from_product([axis.labels for axis in axes], names=[axis.dim for axis in axes])
        columns: dict[str, object] = {"value": measure.values.reshape(-1).astype(np.float64)}
        if measure.error is not None:
            columns["mcse"] = measure.error.reshape(-1)
        frame = pd.DataFrame(columns, index=index).reset_index()
        frame.insert(0, "measure", name)
        frames.append(frame.drop(columns="-", errors="ignore"))
    return pd.concat(frames, ignore_index=True)


def to_json(measures: Mapping[str, Measure]) -> dict[str, object]:
    """Return the measures as JSON types; NaN becomes null."""
    return {
        name: {
            "dims": [axis.dim for axis in measure.axes],
            "labels": {axis.dim: [_label(label) for label in axis.labels] for axis in measure.axes},
            "values": _nested(measure.values),
            **({} if measure.error is None else {"mcse": _nested(measure.error)}),
        }
        for name, measure in measures.items()
    }


def _label(label: object) -> object:
    return label if isinstance(label, (str, int, float, bool)) or label is None else str(label)


def _nested(values: NDArray[Any]) -> object:
    if values.ndim == 0:
        number = values.item()
        return None if number != number else number
    return [_nested(np.asarray(row)) for row in values]


# Files: a .npz with the arrays of integers and one JSON text for all else. Exact numbers are text.


class _Writer:
    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def encode(self, value: object) -> object:
        if value is None or isinstance(value, (bool, str, float)):
            return value
        if isinstance(value, (int, Fraction)):
            return {"exact": str(value)}
        if isinstance(value, dt.date):
            return {"date": value.isoformat()}
        if isinstance(value, (np.integer, np.floating)):
            return self.encode(value.item())
        if isinstance(value, np.ndarray) and value.dtype == object:
            return {"numbers": [str(number) for number in value.flat], "shape": list(value.shape)}
        if isinstance(value, np.ndarray):
            name = f"a{len(self.arrays)}"
            self.arrays[name] = value
            return {"array": name}
        if isinstance(value, tuple):
            return {"tuple": [self.encode(item) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[self.encode(key), self.encode(item)] for key, item in value.items()]}
        record = {field.name: self.encode(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]
        return {"record": type(value).__name__, "fields": record}


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]], classes: Mapping[str, type]) -> Any:
    if not isinstance(value, dict):
        return value
    if "exact" in value:
        number = Fraction(value["exact"])
        return number.numerator if number.denominator == 1 else number
    if "date" in value:
        return dt.date.fromisoformat(value["date"])
    if "array" in value:
        array = arrays[value["array"]]
        array.flags.writeable = False
        return array
    if "numbers" in value:
        numbers = np.empty(len(value["numbers"]), dtype=object)
        numbers[:] = [Fraction(text) for text in value["numbers"]]
        return numbers.reshape(value["shape"])
    if "tuple" in value:
        return tuple(_decode(item, arrays, classes) for item in value["tuple"])
    if "dict" in value:
        return {_decode(key, arrays, classes): _decode(item, arrays, classes) for key, item in value["dict"]}
    record = {name: _decode(item, arrays, classes) for name, item in value["fields"].items()}
    return classes[value["record"]](**record)


def write_atomically(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Replace a .npz file in one step; an OSError leaves the old one as it was."""
    # Not a file of `tempfile`, which none but its owner may read.
    name = path.with_name(f".{path.stem}-{secrets.token_hex(6)}.tmp")
    try:
        with name.open("xb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz file.

    Raises
    ------
    DataError
        If it is none, or damaged.
    """
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"PK":
                raise DataError("not a .npz file")
            file.seek(0)
            with np.load(file, allow_pickle=False) as saved:
                return {name: saved[name] for name in saved.files}
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError, MemoryError) as error:
        raise DataError(str(error)) from None


def write_result(path: str | os.PathLike[str], result: object) -> None:
    """Write a result of a sweep; everything exact stays exact."""
    writer = _Writer()
    text = json.dumps({"format": _FORMAT, "result": writer.encode(result)})
    write_atomically(Path(path), {"header": np.array(text), **writer.arrays})


def read_result(path: str | os.PathLike[str], classes: Iterable[type]) -> Any:
    """Return what `write_result` wrote, made of these classes.

    Raises
    ------
    DataError
        If the file is not one of ours.
    """
    known = {cls.__name__: cls for cls in (*classes, Axis, Threshold)}
    try:
        arrays = read_arrays(path)
        header = json.loads(str(arrays["header"]))
        if header["format"] != _FORMAT:
            raise DataError(f"format {header['format']!r}; this version reads {_FORMAT}")
        if header["result"]["record"] not in known:
            name = header["result"]["record"]
            raise DataError(f"a {name}; read it with {name}.load")
        return _decode(header["result"], arrays, known)
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        raise DataError(f"{path} is not a saved result of this kind ({error})") from None
