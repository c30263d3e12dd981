"""What every command shares: a JSON document or a table, errors of usage, a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["json_option", "print_document", "progress_bar", "usage"]

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON document (docs/CLI.md names the fields)."
)


@contextmanager
def usage() -> Iterator[None]:
    """Report a wrong value of an option as a usage error; an error of ours keeps its own exit code."""
    from .errors import FlopcoreError

    try:
        yield
    except FlopcoreError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def print_document(document: Mapping[str, object], as_json: bool, table: Callable[[Mapping[str, Any]], None]) -> None:
    """Print a document as JSON, or as the table made of it."""
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        table(document)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a progress callback that draws a bar on stderr, if somebody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("draws")
        yield lambda done, total: bar.update(task, completed=done, total=total)
