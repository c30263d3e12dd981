"""Options of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

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
    parser.addoption("--passed", metavar="FILE", help="leave out the tests that FILE names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an earlier run passed (FLOPCORE_PASSED named its list), so that CI runs each test once."""
    listed = config.getoption("--passed")
    if listed is None:
        return
    passed = set(Path(listed).read_text(encoding="utf-8").splitlines())
    done = [item for item in items if item.nodeid in passed]
    config.hook.pytest_deselected(items=done)
    items[:] = [item for item in items if item.nodeid not in passed]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker of pytest-xdist, which reports to the process that has one
        return
    if to := os.environ.get("FLOPCORE_PASSED"):
        names = sorted({report.nodeid for report in reporter.stats.get("passed", [])})
        Path(to).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    if not session.config.getoption("--forbid-skips"):
        return
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
