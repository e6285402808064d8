"""Which facts make one record. The facts are a node's own, told by a stage on a virtual clock."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest

from haproxy_voip.observe import call_records
from haproxy_voip.observe.call_records import NOBODY, RECORDED, SETTLE_SECONDS, TRANSFER_SECONDS, CallRecords
from haproxy_voip.proxy.events import MediaReport
from haproxy_voip.proxy.facts import CallAnswered, CallEnded, CallJoined, CallStarted, NodeFact
from haproxy_voip.rtp.flow import Counters
from tests.proxy.conversation import Conversation, converse, dial, hung_up, prove, ring, theatre
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import Talk, sdp

Record = dict[str, Any]


class Reader(list[object]):
    """Takes the stage's facts as they are told."""

    def __init__(self, stage: Stage, limit: int = 100) -> None:
        super().__init__()
        self.stage = stage
        self.records = CallRecords(limit)
        self.lines: list[str] = []
        stage.facts = self

    def append(self, fact: object) -> None:
        super().append(fact)
        self.lines += self.records.take(fact, self.stage.now)

    def written(self) -> list[Record]:
        """Every record so far, once all that is over had time to settle."""
        for stream in self.stage.removed:
            self.stage.feed(MediaReport(stream, Counters(packets=100), Counters(packets=99, lost=1)))
        self.stage.removed.clear()
        self.stage.pass_time(SETTLE_SECONDS)
        self.lines += self.records.due(self.stage.now)
        return [json.loads(line) for line in self.lines]


def talk_of_two(**arguments: Any) -> tuple[Reader, Conversation]:
    stage = theatre()
    reader = Reader(stage)
    return reader, converse(stage, **arguments)


def hold_and_resume(talk: Talk) -> None:
    for direction in ("sendonly", "sendrecv"):
        request = talk.by_caller("INVITE", sdp(talk.caller, direction=direction))
        _, answer = talk.across(request, 200, sdp(talk.callee, 9000))
        talk.ack_of(request, answer)


def test_two_phones_that_talk_through_a_backend_have_one_record() -> None:
    reader, call = talk_of_two()
    call.stage.pass_time(3)
    hold_and_resume(call.ours)
    call.hang_up()
    assert reader.lines == []  # it waits for the counts of the media
    [record] = reader.written()
    assert (record["caller"], record["callee"]) == ("1001", "1002")
    assert [one["backend"] for one in record["dialogs"]] == [None, "alpha"]
    assert [one["what"] for one in record["events"]] == ["held", "resumed"]
    assert record["ended"]["by"] == "caller" and record["talked"] == 3.0
    [phone] = record["phones"]
    assert (phone["callee"], phone["known_by"]) == ("1002", "names")
    assert phone["dialogs"][1]["address"] == f"udp:{call.callee.flow.remote}"
    assert record["media"][0]["from_phone"]["packets"] == 100
    assert phone["media"][0]["from_backend"]["lost"] == 1
    assert "unfinished" not in record


@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
def test_the_record_tells_of_the_failover_and_of_what_came_after_it(hangs_up: str) -> None:
    reader, call = talk_of_two()
    prove(call)
    call.stage.pass_time(1)
    call.stage.kill("alpha")
    call.rebuilt("beta")
    if hangs_up == "caller":
        call.hang_up()
    else:
        call.theirs.by_callee("BYE")
        call.callee.take(200)
        call.stage.beta.answer(call.stage.beta.take_request("BYE"), 200)
        call.ours.by_callee("BYE")
        call.stage.beta.take(200)
        hung_up(call.caller)
    [record] = reader.written()
    [phone] = record["phones"]
    for part in (record, phone):
        [change] = part["failovers"]
        assert (change["from"], change["to"], change["signal"]) == ("alpha", "beta", "canary closed")
        assert change["joined_ms"] is not None and change["carried_ms"] is not None
        assert [one["backend"] for one in part["dialogs"] if one["backend"]] == ["alpha", "beta"]
        assert part["ended"]["by"] == hangs_up


def test_two_who_are_left_to_each_other_say_so() -> None:
    reader, call = talk_of_two()
    prove(call)
    call.stage.kill("alpha")
    call.stage.beta.answer(call.stage.beta.take_request("INVITE"), 486)
    call.stage.pass_time(1)
    call.theirs.by_callee("BYE")
    call.callee.take(200)
    hung_up(call.caller)
    [record] = reader.written()
    for part in (record, *record["phones"]):
        assert "486" in part["failovers"][-1]["stays_joined"]
        assert part["ended"]["by"] == "callee"


def test_each_phone_that_rings_for_a_caller_is_in_the_callers_record() -> None:
    stage = theatre()
    reader = Reader(stage)
    ours = dial(stage, "1001", "500")
    for callee, port in (("1002", 9002), ("1003", 9004)):
        ring(stage, "alpha", "1001", callee, port=port).provisional(180)
    ours.callee.answer(ours.invited, 486)
    for talk in ("1002", "1003"):
        phone = next(peer for peer in stage.peers.values() if peer.user == talk)
        phone.answer(phone.take_request("INVITE") if any(phone.inbox) else phone.seen[-1], 486)  # type: ignore[arg-type]
    [record] = reader.written()
    assert record["answered_after"] is None and record["ended"]["status"] == 486
    assert [phone["callee"] for phone in record["phones"]] == ["1002", "1003"]
    assert [phone["rang"]["status"] for phone in record["phones"]] == [180, 180]


def test_a_caller_with_two_calls_has_each_phone_with_the_call_for_it_and_in_doubt_apart() -> None:
    stage = theatre()
    reader = Reader(stage)
    dial(stage, "1001", "1002")
    dial(stage, "1001", "1003")
    ring(stage, "alpha", "1001", "1003", port=9004)
    dial(stage, "1001", "1003")
    ring(stage, "alpha", "1001", "1002", port=9006)
    ring(stage, "alpha", "1001", "1003", port=9008)
    records = [json.loads(line) for line in reader.records.rest()]
    phones = {record["callee"]: [phone["callee"] for phone in record["phones"]] for record in records[:2]}
    assert phones == {"1002": ["1002"], "1003": ["1003"]}
    assert [len(record["phones"]) for record in records] == [1, 1, 0, 0]
    assert all(record["unfinished"] for record in records)


def test_nobody_is_found_by_a_name_that_many_have() -> None:
    records = CallRecords(10)
    records.take(CallStarted("t1", NOBODY, "1002", "alpha", True), 1.0)
    records.take(CallStarted("t2", NOBODY, "1002", "alpha", False), 1.0)
    assert len(records.rest()) == 2


def test_the_backends_own_word_is_believed_before_names() -> None:
    records = CallRecords(10)
    for token in ("t1", "t2"):
        records.take(CallStarted(token, "1001", "1002", "alpha", True), 1.0)
    records.take(CallStarted("t3", "1001", "1002", "alpha", False, "t2"), 1.0)
    first, second = map(json.loads, records.rest())
    assert first["phones"] == [] and second["phones"][0]["known_by"] == "token"


def test_what_the_relay_joined_is_one_record_whatever_the_names_say() -> None:
    reader, call = talk_of_two(dialled="500", name="queue")
    prove(call)
    call.stage.kill("alpha")
    [record] = map(json.loads, reader.records.rest())
    assert (record["callee"], record["phones"][0]["callee"], record["phones"][0]["known_by"]) == (
        "500",
        "1002",
        "media",
    )


def test_two_callers_that_were_joined_keep_their_records_and_name_each_other() -> None:
    records = CallRecords(10)
    for token, caller in (("t1", "1001"), ("t2", "1002")):
        records.take(CallStarted(token, caller, "500", "alpha", True), 1.0)
    records.take(CallJoined("t1", "t2", "alpha", 0.0), 2.0)
    first, second = map(json.loads, records.rest())
    assert first["events"][0] == {"after": 1.0, "what": "joined", "to_call": "t2"}
    assert second["events"][0]["to_call"] == "t1"


def test_a_record_waits_for_the_phone_that_talks_on_and_for_the_outcome_of_a_transfer() -> None:
    reader, call = talk_of_two()
    call.ours.across(call.ours.by_caller("REFER", refer_to=f"<sip:1003@{DOMAIN}>"), 202)
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.stage.alpha)
    assert reader.written() == []  # 1002 talks to somebody else now
    call.theirs.by_caller("BYE")
    hung_up(call.callee)
    assert reader.written() == []  # nobody said yet how it ended
    sipfrag = {"content_type": "message/sipfrag", "event": "refer", "subscription_state": "terminated"}
    call.ours.across(call.ours.by_callee("NOTIFY", b"SIP/2.0 200 OK", **sipfrag))
    [record] = reader.written()
    assert [one["what"] for one in record["events"]] == ["transfer", "transferred"]
    assert record["events"][0]["to"] == "1003" and record["events"][1]["status"] == 200


def test_whom_a_transfer_rings_is_in_the_record_of_the_call_that_was_transferred() -> None:
    """Asterisk calls in the name of who was sent on, not of who sent them."""
    reader, call = talk_of_two()
    call.ours.across(call.ours.by_caller("REFER", refer_to=f"<sip:1003@{DOMAIN}>"), 202)
    ring(call.stage, "alpha", "1003", "1001", port=9006)
    ring(call.stage, "alpha", "1002", "1003", port=9008)
    ring(call.stage, "alpha", "1002", "1003", port=9010)
    first, *others = map(json.loads, reader.records.rest())
    assert [(phone["callee"], phone["known_by"]) for phone in first["phones"]] == [
        ("1002", "names"),
        ("1003", "transfer"),
    ]
    assert [record["callee"] for record in others] == ["1001", "1003"]


def test_a_transfer_of_long_ago_explains_nothing() -> None:
    reader, call = talk_of_two()
    call.ours.across(call.ours.by_caller("REFER", refer_to=f"<sip:1003@{DOMAIN}>"), 202)
    call.stage.pass_time(TRANSFER_SECONDS + 1)
    ring(call.stage, "alpha", "1002", "1003", port=9008)
    assert len(reader.records.rest()) == 2


def test_an_outcome_that_never_comes_is_not_waited_for_long() -> None:
    reader, call = talk_of_two()
    call.ours.across(call.ours.by_caller("REFER", refer_to=f"<sip:1003@{DOMAIN}>"), 202)
    call.hang_up()
    assert reader.written() == []
    call.stage.pass_time(TRANSFER_SECONDS)
    assert len(reader.written()) == 1


def test_there_are_never_more_open_records_than_the_limit() -> None:
    records = CallRecords(2)
    lines: list[str] = []
    for number in range(5):
        lines += records.take(CallStarted(f"t{number}", f"{number}", "1002", "alpha", True), 1.0)
    assert [json.loads(line)["call"] for line in lines] == ["t0", "t1", "t2"]
    assert all(json.loads(line)["unfinished"] for line in lines)
    assert len(records.rest()) == 2


def test_nothing_is_kept_of_calls_that_ended() -> None:
    records = CallRecords(10)
    for number in range(3):
        records.take(CallStarted(f"a{number}", "1001", "1002", "alpha", True), 1.0)
        records.take(CallStarted(f"b{number}", "1001", "1002", "alpha", False), 1.0)
        for token in (f"a{number}", f"b{number}"):
            records.take(CallAnswered(token, 0.5), 1.5)
            records.take(CallEnded(token, "", 0.5), 2.0)
        assert len(records.due(2.0 + SETTLE_SECONDS)) == 1
        assert records.take(CallEnded("unknown", "", 0.0), 3.0) == []
    for table in (records._stories, records._parts, records._by_caller, records._ending, records._transfers):
        assert table == {}


def test_a_queue_that_calls_everybody_does_not_fill_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_records, "MAX_PHONES", 2)
    records = CallRecords(10)
    records.take(CallStarted("t", "1001", "500", "alpha", True), 1.0)
    for number in range(4):
        records.take(CallStarted(f"p{number}", "1001", f"20{number}", "alpha", False, "t"), 1.0)
    assert [len(json.loads(line)["phones"]) for line in records.rest()] == [2, 0, 0]


def test_only_facts_of_the_node_are_waited_for() -> None:
    assert set(typing.get_args(NodeFact)) > RECORDED
