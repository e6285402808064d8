"""What every test run has in common."""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter


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
    return len(reporter.stats.get("skipped", []))
