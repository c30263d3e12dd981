"""Options of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

from flopcore import _core

# A test may skip where the machine, not the installation, lacks what it needs; its reason then starts like this.
MACHINE = "this machine"

# CI repeats the same examples, so that a failure there is the fault of the change; elsewhere Hypothesis explores.
hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="fail if a test skips for any reason but the machine")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--forbid-skips"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    for report in reporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(MACHINE):
            reporter.write_line(f"skipped, which --forbid-skips forbids: {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(params=["base", "v3", "v4"])
def every_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once under each instruction set."""
    name: str = request.param
    if name not in _core.available_isas():
        pytest.skip(f"{MACHINE} lacks the instructions of {name}")
    before = _core.isa()
    _core.select_isa(name)
    yield name
    _core.select_isa(before)
