"""Messages of the torture tests: in the parser, and at a running node with credentials; what crosses."""

from __future__ import annotations

from haproxy_voip.configuration.users import USER_NAME
from haproxy_voip.proxy.topology import OF_ONE_LEG
from haproxy_voip.sip.digest import AuthenticationSession, role_for
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Message, Request, Response, parse
from haproxy_voip.sip.validation import validate
from tests.conformance.rfc4475.verdicts import Verdict
from tests.proxy.stage import Peer, Stage

DOMAIN = "example.com"
CHALLENGES = (401, 407)


def by_name(verdict: Verdict) -> str:
    return verdict.name


def refusal(data: bytes) -> MessageError | None:
    try:
        validate(parse(data))
    except MessageError as error:
        return error
    return None


def request_of(verdict: Verdict) -> Request:
    message = parse(verdict.data)
    assert isinstance(message, Request)
    return message


def user_of(verdict: Verdict) -> str:
    """Who a message says it is from, when such a user can be; else 1001."""
    request = request_of(verdict)
    address = request.to if request.method == "REGISTER" else request.from_
    return address.uri.username if USER_NAME.fullmatch(address.uri.username) else "1001"


def credible(peer: Peer, verdict: Verdict, uri: str | None = None) -> bytes:
    """The very bytes, with credentials of their speaker added, and perhaps for somebody else."""
    request = request_of(verdict)
    peer.send(peer.new("OPTIONS", f"sip:{peer.user}@{DOMAIN}"))
    challenge = peer.take_response(407)
    role = role_for(request.method)
    for value in challenge.all("proxy-authenticate"):
        challenge.add(role.challenge, value)
    challenge.status = role.status
    user = user_of(verdict)
    session = AuthenticationSession.for_response(challenge, peer.stage.credentials[user])
    assert session is not None
    uri = uri or request.uri
    name, value = session.authorization(request.method, uri, "cnonce")
    _, _, rest = verdict.data.partition(b"\r\n")
    address = request.to if request.method == "REGISTER" else request.from_
    if address.uri.username != user:
        rest = rest.replace(str(address.uri).encode(), f"sip:{user}@{DOMAIN}".encode(), 1)
    return f"{request.method} {uri} SIP/2.0\r\n{name}: {value}\r\n".encode() + rest


def finals(peer: Peer) -> list[int]:
    return [message.status for message in peer.inbox if isinstance(message, Response) and message.status >= 200]


def carried(message: Message) -> list[tuple[str, str]]:
    return [line[:2] for line in message.headers if line[0] not in OF_ONE_LEG]


def assert_at_rest(on: Stage) -> None:
    """Nothing is left when all is over, and a phone can be registered as ever."""
    on.pass_time(120)
    assert len(on.node._shared.transactions) == 0
    assert len(on.node._shared.legs) == 0
    on.phone("1002", host="127.0.1.200")
