"""One connection to a backend."""

from __future__ import annotations

from haproxy_voip.configuration.model import BackendChatConfig, BackendConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.effects import Open, Send
from haproxy_voip.proxy.chat.entry import own
from haproxy_voip.proxy.effects import Reset, StartTls
from haproxy_voip.xmpp.management import answer
from tests.proxy.chat.stage import Stage, config


def test_a_backend_written_tls_is_connected_to_and_encrypted_before_a_word_is_said() -> None:
    chat = BackendChatConfig(starttls="required")
    at = Endpoint(Transport.TLS, Address("127.0.0.11", 5223))
    stage = Stage(config(backends=(BackendConfig(name="alpha", xmpp=at, chat=chat),)))
    told: list[object] = []
    carry_out = stage.carry_out

    def note(outputs: list[object]) -> None:
        told.extend(outputs)
        carry_out(outputs)

    stage.carry_out = note  # type: ignore[method-assign]
    alice = stage.connect("alice")
    kinds = [one for one in told if isinstance(one, Open | StartTls | Send) and one.flow.remote == at.address]
    opened, encrypted, *spoken = kinds
    assert isinstance(opened, Open) and opened.flow.transport is Transport.TCP
    assert isinstance(encrypted, StartTls) and encrypted.server_name == "chat.test"
    assert spoken and alice.jid


def test_only_one_acknowledgement_is_asked_for_at_a_time() -> None:
    stage = Stage()
    leg = stage.session(stage.client("alice")).residence.active
    assert leg is not None
    assert leg.request() == []  # it has everything
    leg.send(own(b"<presence/>"))
    assert len(leg.request()) == 1 and leg.request() == []
    assert len(leg.probe(7)) == 1  # health wants an answer in any case


def test_a_server_that_asks_is_told_what_is_handled_and_the_rest_as_soon_as_it_is() -> None:
    stage = Stage()
    alice = stage.client("alice")
    leg = stage.session(alice).residence.active
    assert leg is not None
    handled = leg.books.handled
    first, second = handled.receive(), handled.receive()
    leg.handle(second)
    assert leg.tell_handled() == []
    leg.handle(first)
    [told] = leg.tell_handled()
    assert isinstance(told, Send) and told.data == answer(handled.h)
    assert leg.tell_handled() == []


def test_left_without_a_word_it_is_reset_and_heard_of_no_more() -> None:
    stage = Stage()
    session = stage.session(stage.client("alice"))
    leg = session.residence.active
    assert leg is not None
    assert leg.abandon() == [Reset(leg.flow)]
    assert not leg.ready and leg.flow.connection not in stage.chat.shared.legs
    assert leg.received(b"<message/>", stage.now) == []


def test_a_server_that_acknowledges_what_it_was_never_sent_is_left_and_come_back_to() -> None:
    stage = Stage()
    alice = stage.client("alice")
    link = stage.alpha.sessions[alice.jid].link
    assert link is not None
    link.write(answer(1000))
    stage.run(1.0)
    assert not alice.ended and stage.session(alice).residence.open
    stage.client("bob").say(alice.jid, "hello")
    assert alice.said() == ["hello"]


def test_an_acknowledgement_that_is_no_number_is_a_bad_format() -> None:
    stage = Stage()
    alice = stage.client("alice")
    link = stage.alpha.sessions[alice.jid].link
    assert link is not None
    link.write(b"<a xmlns='urn:xmpp:sm:3' h='many'/>")
    stage.run(1.0)
    assert not alice.ended and stage.session(alice).residence.open
