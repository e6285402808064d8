"""What the client can is told to a new server without it, and a while after the messages."""

from __future__ import annotations

from haproxy_voip.proxy.chat.capabilities import LATER_SECONDS, MAX_BYTES, MAX_OWED, Capabilities
from haproxy_voip.xmpp.framing import Stanza
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Client, Stage

NODE = "http://client.example#q07IKJEyjvHSyhy//CH0CxmKi8w="
QUERY = "<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'>{inside}</query>"
CAN = "<identity category='client' type='pc'/><feature var='urn:xmpp:ping'/>"


def question(by: str, to: Client, node: str = NODE) -> bytes:
    """As Prosody asks, in the name of a contact."""
    return f"<iq from='{by}' to='{to.jid}' type='get' id='disco'>{QUERY.format(node=node, inside='')}</iq>".encode()


def ask(stage: Stage, client: Client, raw: bytes) -> list[Stanza]:
    """What of it the client hears."""
    name = stage.backend_of(client)
    assert name is not None
    client.inbox.clear()
    stage.servers[name].sessions[client.jid].send(raw)
    stage.settle()
    return client.take("iq")


def known(stage: Stage) -> Client:
    """A client that has answered once; its server is another one since."""
    alice, _ = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    assert len(ask(stage, alice, question(f"bob@{DOMAIN}", alice))) == 1
    alice.send(f"<iq to='bob@{DOMAIN}' type='result' id='disco'>{QUERY.format(node=NODE, inside=CAN)}</iq>")
    stage.kill("alpha")
    return alice


def answers(stage: Stage) -> list[bytes]:
    return [one.raw for one in stage.beta.handled if b"disco#info" in one.raw]


def test_a_new_server_is_told_what_the_client_can_without_it_and_not_at_once() -> None:
    stage = Stage()
    alice = known(stage)
    assert ask(stage, alice, question(f"bob@{DOMAIN}", alice)) == []
    assert answers(stage) == []
    stage.run(LATER_SECONDS)
    [answer] = answers(stage)
    assert b"urn:xmpp:ping" in answer and b"id='disco'" in answer and f"to='bob@{DOMAIN}'".encode() in answer


def test_the_client_is_asked_what_it_was_not_asked_before() -> None:
    stage = Stage()
    alice = known(stage)
    assert len(ask(stage, alice, question(f"bob@{DOMAIN}", alice, "http://client.example#other"))) == 1
    assert len(ask(stage, alice, question(f"bob@{DOMAIN}", alice, ""))) == 1


def test_without_a_failover_it_is_the_clients_to_answer() -> None:
    stage = Stage()
    alice = known(stage)
    stage.run(10.0)
    assert len(ask(stage, alice, question(f"bob@{DOMAIN}", alice))) == 1


def test_a_server_that_died_meanwhile_is_not_answered() -> None:
    stage = Stage()
    alice = known(stage)
    ask(stage, alice, question(f"bob@{DOMAIN}", alice))
    stage.kill("beta")
    stage.run(2 * LATER_SECONDS)
    assert not any(b"disco#info" in one.raw for one in stage.servers["charlie"].handled)


def stanza(type: str, inside: str = "", node: str = NODE) -> Stanza:
    raw = f"<iq type='{type}' id='1' from='a@x' to='b@x'>{QUERY.format(node=node, inside=inside)}</iq>".encode()
    return Stanza("iq", "jabber:client", {"type": type, "id": "1", "from": "a@x", "to": "b@x"}, raw)


def test_long_answers_are_not_kept_and_many_questions_are_not_either() -> None:
    known = Capabilities()
    known.told(stanza("result", "x" * MAX_BYTES))
    assert not known.asked(stanza("get"), 0.0)
    known.told(stanza("result", CAN))
    assert [known.asked(stanza("get"), 0.0) for _ in range(MAX_OWED + 1)] == [*[True] * MAX_OWED, False]
    assert known.due(0.5 * LATER_SECONDS) == [] and len(known.due(LATER_SECONDS)) == MAX_OWED
    assert known.due_at is None
