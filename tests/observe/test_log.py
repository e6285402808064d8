from __future__ import annotations

import io
import json
import re
import threading
import typing
from dataclasses import dataclass, fields

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.edge.facts import EdgeFact
from haproxy_voip.observe import log as log_module
from haproxy_voip.observe import repeats
from haproxy_voip.observe.log import LEVELS, Log
from haproxy_voip.proxy.facts import AdminChanged, AuthenticationFailed, CallEnded, MessageRefused, NodeFact

FLOW = Flow(Transport.UDP, Address("127.0.0.1", 5060), Address("192.0.2.1", 40000))
SWITCHED = AdminChanged("alpha", "drain")


def written(*facts: object, **settings: typing.Any) -> str:
    stream = io.StringIO()
    log = Log(stream, **settings)
    for fact in facts:
        log(fact)
    log.close()
    return stream.getvalue()


def test_a_fact_is_one_line_with_the_time():
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info: alpha is now drain by command\n", written(SWITCHED)
    )


def test_levels_leave_out_what_is_less_important():
    ended, wrong = CallEnded("1", "BYE", 2.0), AuthenticationFailed("eve", FLOW, "wrong response")
    assert "call 1" not in written(ended) and "call 1" in written(ended, level="debug")
    assert "eve" in written(wrong, level="warning")
    assert "eve" not in written(wrong, level="error")


def test_the_level_can_be_changed_while_it_is_written():
    stream = io.StringIO()
    log = Log(stream)
    ended = [CallEnded(token, "BYE", 2.0) for token in ("1", "2")]
    log(ended[0])
    log.write_from("debug")
    log(ended[1])
    log.close()
    assert "call 1" not in stream.getvalue() and "call 2" in stream.getvalue()


def test_no_peer_can_forge_a_line_or_move_the_cursor():
    forged = MessageRefused(FLOW, 400, "bad\n2030-01-01 00:00:00.000 info: all is well\r\x1b[2J\x85")
    lines = written(forged, level="debug").splitlines()
    assert len([line for line in lines if not line.startswith("    ")]) == 1
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J" in written(forged, level="debug")


def test_a_fact_of_many_lines_is_kept_readable_below_its_line():
    @dataclass
    class Failed:
        def __str__(self) -> str:
            return "internal error\nTraceback:\n  File y\nValueError: z"

    text = written(Failed(), level="error", levels={Failed: "error"})
    assert "error: internal error\n    Traceback:\n      File y\n    ValueError: z\n" in text


def test_as_json_a_fact_keeps_its_fields():
    [line] = written(AuthenticationFailed("eve", FLOW, "wrong"), form="json").splitlines()
    said = json.loads(line)
    assert said["fact"] == "AuthenticationFailed" and said["level"] == "warning" and said["user"] == "eve"
    assert said["text"].startswith("wrong credentials") and said["at"] > 1e9


@pytest.mark.parametrize("kind", typing.get_args(NodeFact | EdgeFact))
def test_no_fact_has_a_field_that_the_line_itself_has(kind):
    """It would come after it, and be taken for it."""
    assert not {field.name for field in fields(kind)} & {"at", "level", "fact", "text"}


def test_whoever_reads_too_slowly_loses_lines_and_is_told_so(monkeypatch):
    monkeypatch.setattr(log_module, "MAX_WAITING", 3)
    go_on = threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            go_on.wait(5)
            return super().write(text)

    for form in ("text", "json"):
        stream = Slow()
        go_on.clear()
        log = Log(stream, form=form)
        for _ in range(20):
            log(SWITCHED)
        assert log.dropped >= 16
        go_on.set()
        log.close()
        assert stream.getvalue().count("alpha is now") == 20 - log.dropped
        assert f"{log.dropped} lines were dropped" in stream.getvalue()
        if form == "json":
            assert all(json.loads(line) for line in stream.getvalue().splitlines())


def test_what_repeats_is_told_once_and_then_counted():
    wrong = [AuthenticationFailed(f"user {number}", FLOW, "wrong response") for number in range(513)]
    first, rest = written(*wrong).splitlines()
    assert "warning: wrong credentials for 'user 0'" in first
    assert "warning: ... and 512 more like this in the last 10 s, the last one: wrong" in rest and "user 512" in rest
    assert json.loads(written(*wrong, form="json").splitlines()[1])["count"] == 512


def test_repeats_are_told_of_though_nothing_else_happens(monkeypatch):
    monkeypatch.setattr(log_module, "LOOK_AGAIN", 0.005)
    monkeypatch.setattr(repeats, "WINDOW", 0.01)
    told = threading.Event()

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            if "1 more like this" in text:
                told.set()
            return super().write(text)

    log = Log(Watched())
    for user in ("eve", "mallory"):
        log(AuthenticationFailed(user, FLOW, "wrong response"))
    assert told.wait(5)
    log.close()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed")])
def test_a_reader_that_is_gone_stops_nobody(error):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    log = Log(Gone())
    log(SWITCHED)
    log(SWITCHED)
    log.close()


def test_levels_name_facts_that_exist():
    assert set(LEVELS) <= set(typing.get_args(NodeFact))
