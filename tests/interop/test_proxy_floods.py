"""Scanners and floods, while phones that are registered call each other."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.conftest import StartKamailio, StartPair, StartProxy
from tests.interop.processes import Process
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import REALM, SIP_PORT

SCANNER = "127.0.0.1"  # sipvicious is on every address, so on this one to loopback
FLOODER = "127.0.66.3"
CROWD = [f"127.0.67.{number}" for number in range(1, 101)]
LIMITS = ("limits: {failures: 20, requests: 200, ban: 20s}",)
FLOOD_RATE = 1000.0  # requests per second
FLOOD_SECONDS = 3.0
SCAN_SECONDS = 8.0

WRONG = (
    'Authorization: Digest username="1001", realm="{realm}", nonce="{number:056x}", uri="sip:{realm}", '
    'response="{number:032x}", algorithm=MD5\r\n'
)


def text(method: str, host: str, number: int, more: str = "") -> bytes:
    return (
        f"{method} sip:1002@{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bKflood{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:1001@{REALM}>;tag=f{number}\r\nTo: <sip:1001@{REALM}>\r\n"
        f"Call-ID: flood{number}@{host}\r\nCSeq: 1 {method}\r\nContact: <sip:1001@{host}:5060>\r\n{more}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@contextmanager
def flood(proxy: Proxy, hosts: Sequence[str], method: str, more: str = "") -> Iterator[None]:
    """So many requests per second from these hosts in turn, until the block ends."""
    over = threading.Event()

    def send() -> None:
        senders = []
        for host in hosts:
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind((host, 0))
            senders.append((host, sender))
        began = time.monotonic()
        for number, (host, sender) in enumerate(itertools.cycle(senders)):
            if over.wait(max(0.0, began + number / FLOOD_RATE - time.monotonic())):
                break
            sender.sendto(
                text(method, host, number, more.format(realm=REALM, number=number)), (proxy.address, SIP_PORT)
            )
        for _, sender in senders:
            sender.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_scanners_and_floods_are_banned_and_good_phones_go_on(
    start_kamailio: StartKamailio, start_proxy: StartProxy, start_pair: StartPair, tmp_path: Path
) -> None:
    proxy = start_proxy(start_kamailio("alpha"), start_kamailio("beta"), setting=ProxySetting(lines=LIMITS))
    caller, callee = start_pair(proxy)
    # svwar of sipvicious looks who is there, svcrack guesses a password.
    scan = Process("svwar", ["svwar", "-e", "1000-1010", proxy.address], tmp_path / "svwar")
    scan.start()
    scan.wait(SCAN_SECONDS)
    assert "authentication request for an unknown extension" in scan.tail()  # it gives up: all are answered alike
    guess = Process("svcrack", ["svcrack", "-u", "1001", "-r", "1-2000", proxy.address], tmp_path / "svcrack")
    guess.start()
    with flood(proxy, [FLOODER], "REGISTER", WRONG):
        call = caller.call("1002")
        ringing = callee.wait_call()
        ringing.answer()
        call.wait_answered()
        proxy.wait(lambda status: {FLOODER, SCANNER} <= {row["source"] for row in status["banned"]}, 10.0)
        dropped = proxy.status()["offences"]["dropped"]
        proxy.wait(lambda status: status["offences"]["dropped"] > dropped + 500, 5.0)
        assert caller.register() == 200  # from the place it is known at
    with flood(proxy, CROWD, "INVITE"):
        time.sleep(FLOOD_SECONDS)
        assert (caller.register(), callee.register()) == (200, 200)
    call.hang_up()
    assert proxy.status()["users_registered"] == 2
    guess.stop()
