"""Runs the command line inside the test process and holds its documents against their published schemas."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
from click.testing import CliRunner, Result

from flopcore.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def document(*arguments: object, code: int = 0) -> dict[str, object]:
    """What a command prints with --json, held against its published schema."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    name = str(found["schema"]).removeprefix("flopcore.").partition("/")[0]
    schema = json.loads(resources.files("flopcore").joinpath("data", "schemas", f"{name}.schema.json").read_text())
    assert schema["$id"] == found["schema"]
    jsonschema.validate(found, schema)
    return found


def fails(code: int, *arguments: object) -> str:
    """The one message of a command that must fail with this exit code and print no data."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error:") == 1
    return result.stderr
