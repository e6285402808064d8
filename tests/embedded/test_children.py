"""Processes that never outlive us."""

from __future__ import annotations

import os
import sys
import time

import pytest

from haproxy_voip.embedded.children import Child

SLEEP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]


def waited_for(child: Child) -> None:
    until = time.monotonic() + 10
    while not child.lines and time.monotonic() < until:
        time.sleep(0.005)
    assert child.lines == ["up"]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_is_ended_in_order_and_leaves_no_zombie() -> None:
    heard: list[str] = []
    child = Child("sleeper", SLEEP, heard.append)
    waited_for(child)
    pid = child.pid
    child.end()
    assert not child.alive and gone(pid) and heard == ["up"]


def test_killing_tells_when() -> None:
    child = Child("sleeper", SLEEP)
    waited_for(child)
    before = time.monotonic()
    assert before <= child.kill() <= time.monotonic()
    child.end()
    assert gone(child.pid)


def test_one_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haproxy_voip.embedded.children.PATIENCE", 0.05)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    child = Child("stubborn", [sys.executable, "-c", stubborn])
    waited_for(child)
    child.end()
    assert gone(child.pid)


def test_children_die_with_their_parent() -> None:
    script = (
        "import sys, os\nfrom haproxy_voip.embedded.children import Child\n"
        "child = Child('c', [sys.executable, '-c', \"print('up', flush=True); import time; time.sleep(60)\"])\n"
        "while not child.lines: pass\n"
        "print(child.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    parent = Child("parent", [sys.executable, "-c", script])
    until = time.monotonic() + 10
    while parent.alive and time.monotonic() < until:
        time.sleep(0.005)
    parent.end()
    pid = int(parent.lines[-1])
    while not gone(pid) and time.monotonic() < until:
        time.sleep(0.005)
    assert gone(pid)
