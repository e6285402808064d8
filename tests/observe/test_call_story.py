"""One part of a call's record: what is told of it, and how much at most."""

from __future__ import annotations

import json

import pytest

from haproxy_voip.cluster.detector import BackendDown
from haproxy_voip.observe import call_story
from haproxy_voip.observe.call_story import Down, Part
from haproxy_voip.proxy.call_facts import CallDialog
from haproxy_voip.proxy.facts import CallCarried, CallEnded, CallJoined, CallMoved, CallStarted, MediaCarried

NOON = 1_900_000_000.25


def part() -> Part:
    return Part(NOON, CallStarted("t1", "1001", "1002", "alpha"), "alpha")


def down(at: float = NOON + 5, backend: str = "alpha") -> Down:
    return Down(at, BackendDown(backend, "canary closed", 0.0042, 0.09))


def test_a_part_is_told_in_seconds_from_its_invite() -> None:
    told = part()
    told.rang = {"after": 0.5, "status": 180}
    told.answered_after = 1.25
    told.happened(NOON + 3.0004, "held", by="caller")
    told.dialog(CallDialog("t1", "caller", None, "abc@1", "udp:192.0.2.1:5060"))
    told.ended(CallEnded("t1", "the caller hung up", 8.75, "caller"), NOON + 10)
    record = told.told()
    assert record["began"] == "2030-03-17T17:46:40.250Z"
    assert (record["caller"], record["callee"], record["call"]) == ("1001", "1002", "t1")
    assert (record["answered_after"], record["ended_after"], record["talked"]) == (1.25, 10.0, 8.75)
    assert record["events"] == [{"after": 3.0, "what": "held", "by": "caller"}]
    assert record["ended"] == {"by": "caller", "status": None, "reason": "the caller hung up"}
    assert record["dialogs"][0]["call_id"] == "abc@1"
    assert "untold" not in record
    assert json.loads(json.dumps(record)) == record


def test_a_failover_is_one_change_from_the_joining_to_the_next_backend() -> None:
    told = part()
    told.joined(CallJoined("t1", "t2", "alpha", 1.0), NOON + 5.0006, down())
    told.moved(CallMoved("t1", "alpha", "beta", "it goes on"), NOON + 5.002, down())
    told.carried(CallCarried("t1", "beta", 0.0173, 2.0))
    [change] = told.told()["failovers"]
    assert change == {
        "after": 5.001, "from": "alpha", "to": "beta", "signal": "canary closed", "detected_ms": 4.2, "joined_ms": 0.6,
        "carried_ms": 17.3, "stays_joined": None, "reason": "it goes on",
    }  # fmt: skip
    assert told.backend == "beta"


def test_the_end_of_the_next_backend_is_a_change_of_its_own() -> None:
    told = part()
    for old, new, at in (("alpha", "beta", 5.0), ("beta", "charlie", 9.0)):
        told.moved(CallMoved("t1", old, new, ""), NOON + at, down(NOON + at, old))
        told.carried(CallCarried("t1", new, 0.02, at))
    assert [(one.former, one.successor) for one in told.failovers] == [("alpha", "beta"), ("beta", "charlie")]


def test_a_call_moved_by_an_operator_has_no_signal() -> None:
    told = part()
    told.moved(CallMoved("t1", "alpha", "beta", "alpha is in maintenance"), NOON + 5, None)
    [change] = told.told()["failovers"]
    assert (change["signal"], change["detected_ms"], change["reason"]) == (None, None, "alpha is in maintenance")


def test_a_call_that_nobody_takes_says_why() -> None:
    told = part()
    told.moved(CallMoved("t1", "alpha", "beta", ""), NOON + 5, down())
    told.stays_joined("beta", "beta answered 404", NOON + 6, None)
    [change] = told.told()["failovers"]
    assert (change["to"], change["carried_ms"], change["stays_joined"]) == ("beta", None, "beta answered 404")
    lonely = part()
    lonely.stays_joined("alpha", "no other backend", NOON + 6, down())
    [change] = lonely.told()["failovers"]
    assert (change["from"], change["to"], change["stays_joined"]) == ("alpha", None, "no other backend")


@pytest.mark.parametrize(("codec", "known"), [("pcmu/8000", True), ("g729/8000", True), ("opus/48000/2", False)])
def test_media_have_an_opinion_where_the_codec_is_known(codec: str, known: bool) -> None:
    told = part()
    told.media(MediaCarried(3, 500, 0, 0.002, 480, 20, 0.004, "t1", codec))
    [stream] = told.told()["media"]
    assert stream["from_phone"]["packets"] == 500 and stream["from_backend"]["lost"] == 20
    assert stream["from_backend"]["jitter_ms"] == 4.0
    if known:
        assert 1.0 < stream["from_backend"]["mos"] < stream["from_phone"]["mos"] <= 4.5
    else:
        assert stream["from_phone"]["mos"] is None


def test_a_stream_that_carried_nothing_is_not_judged() -> None:
    told = part()
    told.media(MediaCarried(3, 0, 0, 0.0, 0, 0, 0.0, "t1", "pcmu/8000"))
    assert told.told()["media"][0]["from_phone"]["mos"] is None


def test_what_happens_too_often_is_counted_and_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_EVENTS", "MAX_DIALOGS", "MAX_FAILOVERS", "MAX_STREAMS"):
        monkeypatch.setattr(call_story, limit, 2)
    told = part()
    for number in range(4):
        told.happened(NOON, "held", by="caller")
        told.dialog(CallDialog("t1", "caller", None, str(number), ""))
        told.media(MediaCarried(number, 0, 0, 0.0, 0, 0, 0.0))
        told.moved(CallMoved("t1", f"b{number}", f"b{number + 1}", ""), NOON, None)
        told.joined(CallJoined("t1", "t2", "nobody", 1.0), NOON, None)
    record = told.told()
    assert {len(record[name]) for name in ("events", "dialogs", "media", "failovers")} == {2}
    assert record["untold"] == 9
