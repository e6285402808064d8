"""Whoever asked hears what became of it."""

from __future__ import annotations

from haproxy_voip.core.events import StreamClosed
from tests.proxy.stage import DOMAIN
from tests.proxy.talk import calm, incoming


def test_nobody_answers_and_who_asked_is_told_after_timer_b() -> None:
    talk = incoming(calm())
    talk.caller.inbox.clear()
    talk.stage.pass_time(31)
    assert talk.caller.inbox == []
    talk.stage.pass_time(2)
    talk.caller.take(480)


def test_the_connection_breaks_and_who_asked_is_told_at_once() -> None:
    stage = calm()
    bob = stage.connected("1002", 1)
    bob.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>", expires="600")
    bob.take(200)
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{stage.token_of('1002')}@127.0.0.10", body=b"hello"))
    bob.take("MESSAGE")
    stage.feed(StreamClosed(bob.flow, "reset"))
    stage.alpha.take(480)
