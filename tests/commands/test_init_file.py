"""What `init` writes and what it does not."""

from __future__ import annotations

import socket

import pytest

from haproxy_voip.commands import init_file
from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.resolved import Lookup
from haproxy_voip.core.address import Address
from haproxy_voip.edge.resolver import Found, NotFound


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--backend", "tls:10.0.0.1"), "backends.alpha.sip: no listener speaks tls over IPv4"),
        (
            ("--backend", "127.0.0.1:5060", "--port", "5060"),
            "backends.alpha.sip: udp:127.0.0.1:5060 is the proxy itself",
        ),
        (("--backend", "10.0.0.1", "--certificate", "none.crt", "--key", "none.key"), "none.crt cannot be read"),
    ],
)
def test_what_would_not_work_is_not_written(asked, place, words, says):
    status, _, err = asked("init", str(place / "x.yaml"), "--yes", "--address", "127.0.0.1", *words)
    assert status == 1 and "nothing was written, for this would not work:" in err and says in err
    assert list(place.iterdir()) == []


def test_mistakes_in_a_users_file_that_is_there_are_told_with_their_line(asked, place):
    (place / "users.yaml").write_text("realm: r\nusers:\n  a: {}\n")
    status, _, err = asked("init", str(place / "x.yaml"), "--yes", "--backend", "10.0.0.1")
    assert status == 1 and f"{place}/users.yaml:3: users.a: has no secret" in err.replace(f"{place}/.", f"{place}/")
    assert [each.name for each in place.iterdir()] == ["users.yaml"]


def test_what_is_there_is_replaced_only_by_force(asked, place, flags):
    file = place / "x.yaml"
    file.write_text("precious")
    file.chmod(0o644)
    words = ("init", str(file), "--backend", "127.0.0.5", "--yes", *flags)
    status, _, err = asked(*words)
    assert status == 1 and "is there already; --force replaces it" in err and file.read_text() == "precious"
    assert asked(*words, "--force")[0] == 0
    assert load(file).backends and file.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_told(asked, place):
    status, _, err = asked("init", str(place / "none" / "x.yaml"), "--yes", "--backend", "10.0.0.1")
    assert status == 1 and f"there is no folder {place}/none; make it first" in err


def test_a_port_that_somebody_has_is_told_but_may_be_free_later(asked, place):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        words = ("--backend", "127.0.0.5", "--yes", "--port", port, "--control", f"{place}/c.sock")
        status, _, err = asked("init", str(place / "x.yaml"), *words)
    assert status == 0 and f"at this moment: cannot listen on udp:127.0.0.1:{port}: Address already in use" in err


class Resolver:
    """Of one name, which is a chat server's as well."""

    async def find(self, lookup: Lookup) -> Found:
        if lookup.endpoint.address.host != "pbx.example":
            raise NotFound("no such name")
        return Found((Address("127.0.0.5", 5060 if lookup.kind == "sip" else 5222),), 60.0)


def test_a_host_name_that_is_not_found_is_told_but_may_be_found_later(asked, place, flags, monkeypatch):
    monkeypatch.setattr(init_file, "Resolver", Resolver)
    servers = ("--backend", "pbx.example", "--backend", "tcp:none.example", "--chat", "pbx.example")
    words = (*servers, "--yes", "--address", "127.0.0.1", *flags)
    status, _, err = asked("init", str(place / "x.yaml"), *words)
    assert status == 0 and err == "at this moment: beta at tcp:none.example is not found: no such name\n"
    alpha, beta = load(place / "x.yaml").backends
    assert (str(alpha.sip), str(alpha.xmpp)) == ("udp:pbx.example", "tcp:pbx.example")
    assert (str(beta.sip), beta.xmpp) == ("tcp:none.example", None)
