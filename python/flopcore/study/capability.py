"""Capability scores from another table, joined to a population by the models' names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flopcore.errors import DataError
from flopcore.quantity import Number, parse_quantity

from .population import Capability, Model, Population
from .tabular import Frame, read_table

__all__ = ["read_capability", "with_capability"]


def read_capability(
    path: str | Path | Frame, *, name: str = "Model name", score: str = "ECI Score"
) -> dict[str, Number]:
    """Return the highest score of each model (by its name, white space folded) in a table of scores.

    Parameters
    ----------
    path : str, Path or data frame
        CSV, Parquet or frame; Epoch AI's capability index has a row per version of a model.
    name, score : str
        Columns.

    Raises
    ------
    DataError
        A column is missing, or a score is not a number; rows are named.
    """
    table = read_table(path)
    missing = [column for column in (name, score) if column not in table.columns]
    if missing:
        raise DataError(f"{table.source}: no column {' and no column '.join(map(repr, missing))}")
    best: dict[str, Number] = {}
    problems = list(table.problems)
    for place, row in table.rows:
        model, text = " ".join(row[name].split()), row[score].strip()
        if not model or not text:
            continue
        try:
            value = parse_quantity(text)
        except ValueError as error:
            problems.append(f"{place}: {error}")
            continue
        best[model] = max(value, best.get(model, value))
    if problems:
        raise DataError("\n  ".join([f"{table.source}: {len(problems)} problem(s)", *problems]))
    return best


def with_capability(population: Population, scores: dict[str, Number], *, metric: str = "ECI") -> Population:
    """Return the population with the scores of the models that have one, and a remark on how many were found."""
    known = {_folded(name): value for name, value in scores.items()}
    found = 0

    def scored(model: Model) -> Model:
        nonlocal found
        value = known.get(_folded(model.name))
        if value is None:
            return model
        found += 1
        return replace(model, capability=Capability(metric, value))

    models = tuple(scored(model) for model in population)
    remark = f"{metric}: {found} of {len(models)} models have a score, of {len(known)} models in the table of scores"
    return replace(population, models=models, remarks=(*population.remarks, remark))


def _folded(name: str) -> str:
    return "".join(name.lower().split())
