"""What every test run has in common."""

from __future__ import annotations

import os

import pytest
from _pytest.reports import TestReport
from _pytest.terminal import TerminalReporter
from hypothesis import settings

# How long an example takes is the machine's matter. What is tried is new in every run of a developer's, and the same in
# CI: what is refused there shall be the change, not the dice.
settings.register_profile("haproxy_voip", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("haproxy_voip")

# The one reason to skip a test that is no mistake: many containers may not call bpf(2), and nothing there can help it.
REFUSED = "this kernel refuses bpf(2)"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test is skipped: CI has all that tests need")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if count := skipped(config):
        terminalreporter.write_line(f"FAILED: {count} skipped, and none may be (--no-skips)", red=True)


def skipped(config: pytest.Config) -> int:
    """How many tests were skipped that should not have been."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not config.getoption("--no-skips"):  # a worker of xdist has no reporter
        return 0
    return sum(not refused(report) for report in reporter.stats.get("skipped", []))


def refused(report: TestReport) -> bool:
    """Whether a test was skipped for that reason."""
    return isinstance(report.longrepr, tuple) and REFUSED in report.longrepr[2]
