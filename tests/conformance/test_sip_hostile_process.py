"""Strangers who mean harm, on real sockets, at the running proxy: they are banned, counted and disconnected, the
proxy's memory stays within bounds, and a phone that does everything right is answered all the while.

Work and memory are counted, not time: the machine may do much else. What takes longer than a test may (a message that
does not end within 32 s, bans that grow) is tested on virtual time: tests/proxy/test_unfinished.py, test_sources.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.conformance.sip_house import (
    ALLOWED,
    DOMAIN,
    FAILURES,
    HONEST,
    MAX_CONNECTIONS,
    NET,
    REQUESTS,
    SIP,
    SIPS,
    USER,
    House,
    Phone,
    asked,
    ended,
    is_closed,
    until,
)

MEGABYTE = 2**20
# What any one attack here may cost at its worst moment. The flood of INVITEs takes most: 7 MB were measured.
MOST_BYTES = 48 * MEGABYTE
GARBLER, GUESSER, CALLER, LINGERER, RAMBLER = (f"{NET}.{number}" for number in (20, 21, 22, 23, 24))
CROWD = [f"{NET}.{number}" for number in range(100, 250)]
MALFORMED = 10_000
# Datagrams between two registrations of the good phone: as many as wait in a small queue while the proxy does not run.
STEP = 100

RUBBISH = (
    b"INVITE sip:1002@voip.example SIP/2.0\r\nthis is no header\r\n\r\n",
    b"\0" * 40,
    b"\x80\x00" + b"media on the wrong port" * 10,
    b"GET / HTTP/1.1\r\nHost: voip.example\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: nonsense\r\nCSeq: 1 INVITE\r\n\r\n",
    b"REGISTER sip:voip.example SIP/2.0\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    b"REGISTER sip:voip.example SIP/2.0\r\nVia: " + b"(" * 20_000 + b"\r\n\r\n",
    asked("INVITE", "x", GARBLER).replace(b"CSeq: 1", b"CSeq: 99999999999"),
    asked("INVITE", "y", GARBLER).replace(b"Content-Length: 0", b"Content-Length: 70000"),
    asked("INVITE", "z", GARBLER).replace(b"Max", b"X: a\nMax"),
)
WRONG = (
    f'Authorization: Digest username="{{user}}", realm="{DOMAIN}", nonce="{"0" * 56}", uri="sip:{DOMAIN}", '
    f'response="{"0" * 32}", algorithm=MD5\r\n'
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(Path(tmp_path_factory.mktemp("house")))
    try:
        house.start()
        yield house
        assert house.alive and "Traceback" not in house.words and "internal error" not in house.words, house.words
    finally:
        house.stop()


@pytest.fixture(scope="module")
def phone(house: House) -> Iterator[Phone]:
    with house.datagrams(HONEST, SIP) as sock:
        phone = Phone(sock)
        assert phone.registers() == 200  # the first of everything costs once
        yield phone


@pytest.fixture(autouse=True)
def others_unharmed(house: House, phone: Phone) -> Iterator[None]:
    before = house.memory()
    house.forget_peak()
    yield
    assert phone.registers() == 200 and HONEST not in house.banned()
    assert house.memory("VmHWM") - before < MOST_BYTES


def flood(house: House, phone: Phone, source: str, datagrams: Iterator[bytes]) -> None:
    """All of them as fast as they go, but for a registration of the good phone now and then."""
    with house.datagrams(source) as sock:
        while some := list(islice(datagrams, STEP)):
            for data in some:
                with suppress(ConnectionError):
                    sock.send(data)
            assert phone.registers() == 200


def test_ten_thousand_malformed_datagrams_are_dropped_unread_after_the_first_few(house: House, phone: Phone) -> None:
    before = house.status()["offences"]
    flood(house, phone, GARBLER, islice(cycle(RUBBISH), MALFORMED))
    after = house.status()["offences"]
    assert house.banned()[GARBLER] == "malformed messages"
    # What grows back within a minute may be used again before the ban, on a machine that takes as long.
    assert FAILURES < after["failures"] - before["failures"] < 3 * FAILURES
    assert after["bans"] == before["bans"] + 1 and after["dropped"] > before["dropped"]


def test_who_is_allowed_is_answered_whatever_it_sends(house: House, phone: Phone) -> None:
    flood(house, phone, ALLOWED, islice(cycle(RUBBISH), 4 * FAILURES))
    assert ALLOWED not in house.banned()
    with house.datagrams(ALLOWED, SIP) as sock:
        assert Phone(sock, host=ALLOWED).registers() == 200


def test_passwords_are_guessed_for_a_moment_only(house: House, phone: Phone) -> None:
    guesses = (
        asked("REGISTER", f"guess{number}", GUESSER, WRONG.format(user=USER), number=number) for number in range(1_000)
    )
    flood(house, phone, GUESSER, guesses)
    assert house.banned()[GUESSER] == "wrong credentials"


def test_a_flood_of_calls_from_one_address_ends_in_a_ban(house: House, phone: Phone) -> None:
    flood(house, phone, CALLER, (asked("INVITE", f"call{number}", CALLER) for number in range(4 * REQUESTS)))
    assert house.banned()[CALLER] == "too many requests without credentials"


def test_a_flood_of_calls_from_many_addresses_costs_bounded_memory(house: House, phone: Phone) -> None:
    """Each stays below what one address may send. An INVITE that waits for its ACK takes about 4 KB for 32 s."""
    before = house.status()
    with ExitStack() as stack:
        senders = [(host, stack.enter_context(house.datagrams(host))) for host in CROWD]
        for number in range(10):
            for host, sender in senders:
                with suppress(ConnectionError):
                    sender.send(asked("INVITE", f"many{number}", host))
            assert phone.registers() == 200
    status = house.status()
    assert status["offences"]["unproven"] > before["offences"]["unproven"] + len(CROWD)
    assert status["calls"] == status["media_port_pairs"] == 0
    assert status["offences"]["bans"] == before["offences"]["bans"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"INVITE sip:a SIP/2.0\r\nX: " + b"x" * 20_000, id="headers that never end"),
        pytest.param(asked("INVITE", "a", RAMBLER).replace(b"h: 0", b"h: 1000000000"), id="a body that never ends"),
        pytest.param(asked("INVITE", "b", RAMBLER).replace(b"Content-Length: 0\r\n", b""), id="no length"),
        pytest.param(asked("INVITE", "c", RAMBLER).replace(b"h: 0", b"h: 0\r\nl: 5"), id="two lengths"),
        pytest.param(b"\r\n\r\n\rX" + asked("OPTIONS", "d", RAMBLER), id="a CR alone"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", id="TLS without TLS"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="a browser"),
    ],
)
def test_what_has_no_border_ends_its_connection(house: House, data: bytes) -> None:
    before = house.status()["offences"]["failures"]
    with house.connection(RAMBLER) as sock:
        with suppress(ConnectionError):
            sock.sendall(data)
        said = ended(sock)
    assert len(said) < 2_000 and b"\r\nX-" not in said
    assert house.status()["offences"]["failures"] == before + 1


def test_half_open_connections_take_half_of_all_places_and_others_still_come_in(house: House) -> None:
    """Some say nothing, some stop in the middle of a message or of a TLS handshake."""
    begun = (
        b"",
        b"I",
        asked("INVITE", "a", LINGERER)[:-2],
        asked("INVITE", "b", LINGERER).replace(b"h: 0", b"h: 9999"),
    )
    with ExitStack() as stack:
        many = []
        for number in range(MAX_CONNECTIONS):
            port = SIPS if number % 8 == 7 else SIP
            many.append(stack.enter_context(house.connection(LINGERER, port)))
            with suppress(ConnectionError):
                many[-1].send(b"\x16\x03\x01\x02\x00" if port == SIPS else begun[number % 4])
        until(lambda: sum(is_closed(one) for one in many) >= MAX_CONNECTIONS // 2)
        assert house.status()["streams"] <= MAX_CONNECTIONS // 2
        with house.connection(HONEST) as tcp:
            assert Phone(tcp, "TCP").registers() == 200
        with house.connection(HONEST, SIPS) as raw, house.trust.wrap_socket(raw, server_hostname=DOMAIN) as tls:
            assert Phone(tls, "TLS").registers() == 200
    until(lambda: house.status()["streams"] == 0)


def test_words_of_another_before_and_behind_the_handshake_are_not_heard(house: House) -> None:
    """A request in plain text where TLS belongs is no request."""
    with house.connection(RAMBLER, SIPS) as sock:
        sock.sendall(asked("REGISTER", "plain", RAMBLER, transport="TLS"))
        assert b"SIP/2.0" not in ended(sock)


def test_the_socket_for_commands_is_closed_to_others(house: House) -> None:
    """Whoever may open it may do everything; only its owner and group may."""
    control = Path(house._folder / "control")
    assert control.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30.0)
        sock.connect(str(control))
        sock.sendall(b"REGISTER sip:voip.example SIP/2.0\r\n")
        assert b"error" in sock.recv(65_536)
