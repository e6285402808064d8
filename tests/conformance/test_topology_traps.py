"""No address of one side is seen on the other, whichever header or body it stands in."""

from haproxy_voip.sip.message import Request, Response
from tests.conformance.exchanges import asked, called
from tests.proxy.stage import DOMAIN, PROXY, Stage

# What says where somebody is, in headers that cross. {host} is the sender's, as its own side knows it.
REVEALING = {
    "Warning": '399 {host} "from {host}:5060"',
    "Call-Info": "<http://{host}/photo.jpg>;purpose=icon",
    "Alert-Info": "<http://{host}:8088/ring.wav>",
    "History-Info": "<sip:1002@{host}:5060>;index=1",
    "Diversion": "<sip:1003@{host}>;reason=unconditional",
    "X-Asterisk-Server": "{host}",
}


def hidden_in(message: Request | Response, host: str) -> bool:
    return host.encode() not in message.encode()


def revealing(host: str) -> dict[str, str]:
    return {name.replace("-", "_"): value.format(host=host) for name, value in REVEALING.items()}


def test_no_request_of_a_client_shows_its_address_to_a_backend() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    crossed = asked(stage, alice, "MESSAGE", **revealing(alice.host))
    assert hidden_in(crossed, alice.host)
    assert [name for name in REVEALING if not crossed.has(name.lower())] == []


def test_no_response_of_a_backend_shows_its_address_to_a_client() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 183, body=stage.alpha.offer(9000), **revealing(stage.alpha.host))
    assert hidden_in(alice.take_response(183), stage.alpha.host)
    stage.alpha.answer(at_alpha, 486, **revealing(stage.alpha.host))
    assert hidden_in(alice.take_response(486), stage.alpha.host)


def test_no_redirection_shows_where_a_backend_is() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 302, contact=f"<sip:1003@{stage.alpha.host}:5060>")
    assert alice.take_response(302).contacts[0].uri.host == DOMAIN


def test_no_request_of_a_backend_shows_its_address_to_a_client() -> None:
    stage = Stage()
    bob = stage.phone("1002")
    notify = stage.alpha.new(
        "NOTIFY",
        f"sip:{stage.token_of('1002')}@{PROXY}",
        event="message-summary",
        content_type="application/simple-message-summary",
        body=f"Messages-Waiting: yes\r\nMessage-Account: sip:1002@{stage.alpha.host}:5060\r\n".encode(),
        **revealing(stage.alpha.host),
    )
    stage.alpha.send(notify)
    crossed = bob.take_request("NOTIFY")
    assert hidden_in(crossed, stage.alpha.host)
    assert crossed.body == f"Messages-Waiting: yes\r\nMessage-Account: sip:1002@{DOMAIN}\r\n".encode()


def test_no_session_description_shows_an_address_of_the_other_side() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    assert hidden_in(at_alpha, alice.host)
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    assert hidden_in(alice.take_response(200), stage.alpha.host)


def test_credentials_for_us_never_reach_a_backend() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    crossed = asked(stage, alice, "MESSAGE")
    assert not crossed.has("proxy-authorization") and not crossed.has("authorization")
