from __future__ import annotations

import typing

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.edge import facts

NAME = Endpoint(Transport.UDP, Address("pbx.example", 0))
ADDRESS = Address("192.0.2.1", 5060)


def test_every_fact_says_itself_in_words():
    told = [
        facts.Listening(Endpoint.parse("udp:127.0.0.1:5060")),
        facts.Failed("handling x", "Traceback"),
        facts.StreamsFull(10, None),
        facts.StreamsFull(10, "192.0.2.1"),
        facts.HandshakeFailed("192.0.2.1:40000", "timed out"),
        facts.Stopping("SIGTERM"),
        facts.AskedToReload(),
        facts.NotListening(Endpoint.parse("udp:127.0.0.1:5060")),
        facts.Reloaded(("limits.max_calls: 1 -> 2",)),
        facts.NotReloaded("x.yaml:1: wrong"),
        facts.UsersRead(2),
        facts.UsersNotRead("users.yaml:1: wrong"),
        facts.MediaInKernel(("lo", "eth0"), ("mounted the BPF file system",)),
        facts.MediaInUserspace("bpf(2): operation not permitted"),
        facts.StreamsInherited(4),
        facts.RecordsNotWritten("calls.jsonl", "No space left on device"),
        facts.RecordsLost("calls.jsonl", 3),
        facts.ProberFailed("ended with 1"),
        facts.NameFound(NAME, ADDRESS, None),
        facts.NameNotFound(NAME, "no answer", ADDRESS),
    ]
    assert {type(fact) for fact in told} == set(typing.get_args(facts.EdgeFact))
    for fact in told:
        assert type(fact).__name__ not in str(fact)
    assert str(told[0]) == "listening on udp:127.0.0.1:5060"


def test_what_becomes_of_a_name_is_said():
    was = Address("192.0.2.2", 5060)
    assert str(facts.NameFound(NAME, ADDRESS, None)) == "udp:pbx.example is 192.0.2.1:5060"
    assert str(facts.NameFound(NAME, ADDRESS, was)).endswith("192.0.2.1:5060 (was 192.0.2.2:5060)")
    gone = facts.NameNotFound(NAME, "no answer", None)
    assert str(gone) == "udp:pbx.example was not found, its backend is down: no answer"
    assert "goes on being 192.0.2.1:5060" in str(facts.NameNotFound(NAME, "no answer", ADDRESS))


def test_levels_name_facts_that_exist():
    assert set(facts.LEVELS) <= set(typing.get_args(facts.EdgeFact))
