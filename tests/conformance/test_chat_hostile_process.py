"""Strangers who mean harm, on real sockets and real TLS, at the running proxy: each is told what is wrong by the book
and disconnected, the proxy's memory stays within bounds, and meanwhile two people chat on and notice nothing.

What takes longer than a test may (30 s for a first word, 60 s for a login) is tested on virtual time in
tests/proxy/chat/test_hostile.py, where the node alone is attacked.
"""

from __future__ import annotations

import resource
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haproxy_voip.xmpp.framing import MAX_STANZA_BYTES, UNAUTHENTICATED_MAX_BYTES
from tests.conformance.chat_house import (
    CLOSING,
    DIRECT,
    DOMAIN,
    HEADER,
    HONEST,
    MAX_CONNECTIONS,
    PLAIN,
    PROCEED,
    PROXY,
    SASL,
    STARTTLS,
    STRANGER,
    House,
    Wire,
    auth,
    until,
)

MEGABYTE = 2**20
# What any one attack here may cost at its worst moment. 550 half-made TLS handshakes take most: 30 MiB were measured.
MOST_BYTES = 96 * MEGABYTE
# What may be left of all of them: the allocator keeps what TLS had. 35 MiB were measured.
LEFT_BYTES = 96 * MEGABYTE
# The longest a message of the two may take meanwhile. Usually milliseconds; the machine may do much else.
LONGEST_WAIT = 5.0
FLOOD_SECONDS = 1.0
# An error quotes at most 300 characters of what it is about, behind a header of ours.
LONGEST_ANSWER = 2_000

LAUGHS = (
    "<!DOCTYPE lolz [<!ENTITY lol 'lol'>"
    + "".join(f"<!ENTITY lol{n} '{f'&lol{n - 1 or str()};' * 10}'>" for n in range(1, 10))
    + "]>"
)
MANY_ATTRIBUTES = " ".join(f"a{n}=''" for n in range(1_000))
MANY_NAMES = "".join(f"<n{n}/>" for n in range(5_000))
MANY_PREFIXES = " ".join(f"xmlns:p{n}='urn:{n}'" for n in range(200))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    house = House(Path(tmp_path_factory.mktemp("house")))
    try:
        house.start()
        with house.wire(DIRECT) as wire:  # the first of everything costs once
            wire.log_in()
        before, began_at = house.memory(), time.monotonic()
        yield house
        house.unharmed_since(began_at)
        assert house.memory() - before < LEFT_BYTES
        assert "Traceback" not in house.words and "internal error" not in house.words
    finally:
        house.stop()


@pytest.fixture(autouse=True)
def others_unharmed(house: House) -> Iterator[None]:
    began_at, before = time.monotonic(), house.memory()
    house.forget_peak()
    yield
    assert house.alive
    assert house.unharmed_since(began_at) < LONGEST_WAIT
    assert house.memory("VmHWM") - before < MOST_BYTES


def ended_with(wire: Wire, condition: str) -> None:
    """By the book: a header if there was none, the error, the closing tag, the end of the connection."""
    told = wire.hear_all()
    error = f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>".encode()
    assert error in told and told.endswith(b"</stream:error>" + CLOSING), told[-500:]
    assert b"<stream:stream " in wire.said and len(told) < LONGEST_ANSWER


# -- before the login -----------------------------------------------------------------------------------

BEFORE = [
    pytest.param(LAUGHS + HEADER, "restricted-xml", id="a bomb of entities"),
    pytest.param(f"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>{HEADER}", "restricted-xml", id="an entity from a file"),
    pytest.param(f"{HEADER}{LAUGHS}", "not-well-formed", id="a bomb inside the stream"),
    pytest.param(f"{HEADER}<auth {SASL}>&lol9;</auth>", "restricted-xml", id="an entity"),
    pytest.param(f"{HEADER}<!-- {'x' * 5_000} -->", "restricted-xml", id="a comment"),
    pytest.param(f"{HEADER}<?x {'x' * 5_000} ?>", "restricted-xml", id="an instruction"),
    pytest.param(f"{HEADER}<![CDATA[x]]>", "bad-format", id="text between stanzas"),
    pytest.param(HEADER + "<a>" * 3_000, "policy-violation", id="a deep nest"),
    pytest.param(f"{HEADER}<a {MANY_ATTRIBUTES}/>", "policy-violation", id="attributes"),
    pytest.param(f"{HEADER}<a xmlns='{'n' * 9_000}'/>", "policy-violation", id="a long namespace"),
    pytest.param(f"{HEADER}<a b='{'x' * 12_000}", "policy-violation", id="an attribute that never ends"),
    pytest.param(f"{HEADER}<{'x' * 12_000}", "policy-violation", id="a name that never ends"),
    pytest.param(f"{HEADER}<auth {SASL}>{'A' * 12_000}", "policy-violation", id="a text that never ends"),
    pytest.param(f"<stream:stream a='{'x' * 12_000}", "policy-violation", id="a header that never ends"),
    pytest.param(HEADER.encode() + b"<a>\xff</a>", "unsupported-encoding", id="no UTF-8"),
    pytest.param(HEADER.encode("utf-16"), "not-well-formed", id="UTF-16"),
    pytest.param(f"<?xml version='1.0' encoding='UTF-16'?>{HEADER}", "unsupported-encoding", id="says UTF-16"),
    pytest.param(f"{HEADER}<a>\x00</a>", "not-well-formed", id="NUL"),
    pytest.param(HEADER.replace("jabber:client", "jabber:server"), "invalid-namespace", id="a server's stream"),
    pytest.param(HEADER.replace("etherx", "ethery"), "invalid-namespace", id="a stream nobody knows"),
    pytest.param(HEADER.replace(DOMAIN, "x" * 9_000), "host-unknown", id="a domain without end"),
    pytest.param(f"{HEADER}<message to='1001@{DOMAIN}'><body>hi</body></message>", "not-authorized", id="no login"),
    pytest.param(f"{HEADER}<handshake/>", "not-authorized", id="a component's login"),
    pytest.param(f"{HEADER}{HEADER}", "bad-format", id="a second stream"),
    pytest.param("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not-well-formed", id="a browser"),
    pytest.param("INVITE sip:1001@chat.example SIP/2.0\r\n\r\n", "not-well-formed", id="a telephone"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not-well-formed", id="TLS before STARTTLS"),
]


@pytest.mark.parametrize(("data", "condition"), BEFORE)
def test_who_breaks_the_rules_before_the_login_is_told_which(house: House, data: str | bytes, condition: str) -> None:
    with house.wire() as wire:
        wire.send(data)
        ended_with(wire, condition)


@pytest.mark.parametrize(("data", "condition"), BEFORE[::4])
def test_and_so_it_is_on_an_encrypted_stream(house: House, data: str | bytes, condition: str) -> None:
    with house.wire(DIRECT) as wire:
        wire.send(data)
        ended_with(wire, condition)


def test_a_token_that_comes_byte_by_byte_costs_no_more_than_its_bytes(house: House) -> None:
    """expat 2.5 alone would take the square of it: 9,000 bytes then are 40 MB to look at."""
    with house.wire() as wire:
        wire.send(HEADER)
        wire.hear(b"</stream:features>")
        before = house.cpu
        wire.send(f"<auth {SASL} mechanism='")
        for _ in range(UNAUTHENTICATED_MAX_BYTES - 1_000):
            wire.send(b"A")
        wire.send("'/>")
        assert b"<encryption-required/>" in wire.hear(b"</failure>")
        assert house.cpu - before < 3.0  # measured: 0.3


def test_words_put_in_behind_starttls_are_not_heard(house: House) -> None:
    """RFC 6120 section 5.4.3.3. They come in the same segment, from somebody in between."""
    with house.wire() as wire:
        wire.send(HEADER)
        wire.hear(b"</stream:features>")
        wire.send(STARTTLS + HEADER + auth("1003", "three") + HEADER)
        assert wire.hear(PROCEED) == PROCEED
        wire.encrypt()
        wire.send(HEADER)
        told = wire.hear(b"</stream:features>")
        assert b"<mechanism>PLAIN<" in told and b"<success" not in told and b"<bind" not in told
        wire.send(auth("1003", "guess"))
        assert b"<not-authorized/>" in wire.hear(b"</failure>")


def test_and_neither_is_plain_text_instead_of_the_handshake(house: House) -> None:
    with house.wire() as wire:
        wire.send(HEADER)
        wire.hear(b"</stream:features>")
        wire.send(STARTTLS)
        wire.hear(PROCEED)
        wire.send(HEADER + auth("1003", "three"))
        assert b"<" not in wire.hear_all()  # a TLS alert at most


def test_a_password_is_not_taken_where_others_could_listen(house: House) -> None:
    with house.wire() as wire:
        wire.send(HEADER + auth("1003", "three"))
        assert b"<encryption-required/>" in wire.hear(b"</failure>") and b"<success" not in wire.said


def test_passwords_are_not_guessed_for_long_and_guessing_hinders_nobody(house: House) -> None:
    wires = [house.wire(DIRECT) for _ in range(10)]
    for wire in wires:
        wire.send(HEADER)
        wire.send("".join(auth("1003", f"guess {number}") for number in range(8)))
    for wire in wires:
        ended_with(wire, "policy-violation")
        assert wire.said.count(b"<not-authorized/>") == 5
        wire.sock.close()


def test_a_flood_of_white_space_and_of_half_stanzas_costs_nothing(house: House) -> None:
    wires = [house.wire() for _ in range(200)]
    for wire in wires:
        wire.send(HEADER + " " * 100_000 + f"<auth {SASL} mechanism='{'A' * 9_000}")
    for wire in wires:
        wire.hear(b"</stream:features>")
        wire.sock.close()


# -- connections ----------------------------------------------------------------------------------------


def test_thousands_of_half_open_connections_take_half_of_all_places_and_others_still_come_in(house: House) -> None:
    many: list[socket.socket] = []
    try:
        for number in range(MAX_CONNECTIONS):
            many.append(socket.create_connection((PROXY, PLAIN), 10.0, (STRANGER, 0)))
            if number % 2:
                many[-1].send(b"<stream:stream ")
        with house.wire(source=HONEST) as wire:
            wire.secure()
            wire.log_in()
        ended = 0

        def half_is_ended() -> bool:
            nonlocal ended
            ended = sum(closed(one) for one in many)
            return ended >= MAX_CONNECTIONS // 2 - 10

        until(half_is_ended)
        assert ended <= MAX_CONNECTIONS // 2 + 10  # the two people have their places as well
    finally:
        for one in many:
            one.close()
    until(lambda: lets_in(house))


def closed(sock: socket.socket) -> bool:
    """Whether the proxy has closed this one."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def lets_in(house: House) -> bool:
    """Whether there is room again for that host."""
    try:
        with house.wire() as wire:
            wire.send(HEADER)
            wire.hear(b"</stream:features>")
    except (AssertionError, ConnectionError):
        return False
    return True


def test_handshakes_that_never_end_are_ended(house: House) -> None:
    """After five seconds: those that say nothing, those that stop halfway, those that asked for TLS and then do not."""
    hello = client_hello(house.trust)
    silent = [socket.create_connection((PROXY, DIRECT), 10.0, (STRANGER, 0)) for _ in range(500)]
    for number, one in enumerate(silent):
        one.send(hello[: number % 3 * len(hello) // 3])
    asked = [house.wire() for _ in range(50)]
    for wire in asked:
        wire.send(HEADER + STARTTLS)
    for number, wire in enumerate(asked):
        wire.hear(PROCEED)
        wire.send(hello[: number % 3 * len(hello) // 3])
    for one in (*silent, *(wire.sock for wire in asked)):
        one.settimeout(20.0)
        try:
            while one.recv(1_024):
                pass
        except ConnectionError:
            pass
        one.close()


def client_hello(context: ssl.SSLContext) -> bytes:
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=DOMAIN).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 5_000, b"GET / HTTP/1.1\r\n\r\n", HEADER.encode(), b"\x16\x03\x01\xff\xff" * 99]
)
def test_what_is_no_tls_is_no_chat_either(house: House, garbage: bytes) -> None:
    with socket.create_connection((PROXY, DIRECT), 10.0, (STRANGER, 0)) as sock:
        sock.sendall(garbage)
        told = b""
        try:
            while data := sock.recv(1_024):
                told += data
        except ConnectionError:
            pass
        assert b"<" not in told and len(told) < 100  # an alert


# -- after the login ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        pytest.param(f"<message from='1001@{DOMAIN}/demo' to='1002@{DOMAIN}'/>", "invalid-from", id="forged"),
        pytest.param(f"<iq from='{DOMAIN}' type='result' id='1'/>", "invalid-from", id="in the server's name"),
        pytest.param("<message xmlns='jabber:server'/>", "invalid-namespace", id="a server's stanza"),
        pytest.param("<presence xmlns=''/>", "invalid-namespace", id="of no namespace"),
        pytest.param("<compress xmlns='http://jabber.org/protocol/compress'/>", "unsupported-stanza-type", id="zip"),
        pytest.param("<a xmlns='urn:xmpp:sm:3' h='4000000000'/>", "undefined-condition", id="never so many were sent"),
        pytest.param("<a xmlns='urn:xmpp:sm:3' h='-1'/>", "bad-format", id="fewer than none"),
        pytest.param(HEADER, "bad-format", id="a stream in the stream"),
        pytest.param(LAUGHS, "not-well-formed", id="a bomb"),
        pytest.param("<message><body>&lol;</body></message>", "restricted-xml", id="an entity"),
        pytest.param("<message>" + "<a>" * 500, "policy-violation", id="a deep nest"),
        pytest.param(f"<message {MANY_ATTRIBUTES}/>", "policy-violation", id="attributes"),
        pytest.param(f"<message>{MANY_NAMES}", "policy-violation", id="names"),
        pytest.param(f"<message><a xmlns='{'n' * 300}'/>", "policy-violation", id="a long namespace"),
        pytest.param("<message><body>" + "A" * MAX_STANZA_BYTES, "policy-violation", id="a text that never ends"),
        pytest.param("<message a='" + "A" * MAX_STANZA_BYTES, "policy-violation", id="an attribute that never ends"),
        pytest.param("<message>" + "<a/>" * (MAX_STANZA_BYTES // 4), "policy-violation", id="a stanza that never ends"),
        pytest.param(b"<message><body>\xc3\x28</body></message>", "unsupported-encoding", id="no UTF-8"),
        pytest.param(b"<message><body>\x00</body></message>", "not-well-formed", id="NUL"),
    ],
)
def test_who_breaks_the_rules_after_the_login_loses_its_session(
    house: House, data: str | bytes, condition: str
) -> None:
    with house.wire(DIRECT) as wire:
        wire.log_in()
        wire.send(data)
        ended_with(wire, condition)


def test_many_prefixes_on_a_stanza_are_nobodys_problem(house: House) -> None:
    with house.wire(DIRECT) as wire:
        wire.log_in()
        wire.send(f"<message to='1004@{DOMAIN}' id='p' {MANY_PREFIXES}><p1:x/><p199:y/></message>" * 20)
        wire.send("<r xmlns='urn:xmpp:sm:3'/>")
        wire.hear(b"h='20'")


def test_a_flood_of_messages_is_read_no_faster_than_its_server_takes_it(house: House) -> None:
    """As much as goes, without reading a word of what comes back."""
    message = f"<message to='1004@{DOMAIN}/x' type='chat' id='{{0}}'><body>{'spam' * 250}</body></message>"
    flood(house, message)


def test_a_flood_of_questions_whose_answers_are_not_read_hinders_nobody(house: House) -> None:
    flood(house, "<iq type='get' id='{0}'><ping xmlns='urn:xmpp:ping'/></iq>" * 20)


def test_a_flood_of_errors_is_no_better(house: House) -> None:
    flood(
        house, f"<presence to='{{0}}@elsewhere.example/{'x' * 500}'/><iq type='set' id='{{0}}' to='{{0}}@{DOMAIN}/x'/>"
    )


def flood(house: House, words: str) -> None:
    with house.wire(DIRECT) as wire:
        wire.log_in()
        wire.sock.settimeout(0.5)
        ends_at, number = time.monotonic() + FLOOD_SECONDS, 0
        try:
            while time.monotonic() < ends_at:
                number += 50
                wire.sock.sendall("".join(words.format(number + each) for each in range(50)).encode())
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass  # it is not read from any more, or was disconnected
        assert number > 50
