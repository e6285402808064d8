"""What is asked at the terminal, and what is suggested."""

from __future__ import annotations

import argparse
import contextlib
import io
import socket
import sys
from pathlib import Path

import pytest

from haproxy_voip.commands import init_questions
from haproxy_voip.commands.asking import Asking
from haproxy_voip.commands.init import add
from haproxy_voip.commands.init_questions import draft_of
from haproxy_voip.configuration.draft import Draft
from haproxy_voip.core.credential import Credential
from tests.commands.conftest import free_port


class Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What comes of these answers, one for each question, beside these flags."""

    def answer(answers: list[str], *flags: str) -> tuple[Draft, Credential | None]:
        parser = argparse.ArgumentParser()
        add(parser.add_subparsers())
        typed = Typed("".join(f"{text}\n" for text in answers))
        monkeypatch.setattr(sys, "stdin", typed)
        found = draft_of(parser.parse_args(["init", *flags]), Asking(suggestions=False), tmp_path)
        assert typed.read() == "", "every answer was asked for"
        return found

    return answer


def test_what_a_flag_says_is_not_asked_for(answered):
    draft, first = answered(
        ["", "", ""],  # a router's address, a certificate, a first user
        *("--backend", "127.0.0.5", "--address", "127.0.0.1", "--domain", "d.example", "--media-ports", "30000-30009"),
        *("--users", "people.yaml", "--port", "15060"),
    )
    assert draft.sip == {"alpha": "udp:127.0.0.5:5060"} and draft.users == "people.yaml" and first is None
    assert (draft.domain, draft.media_ports, draft.sip_port) == ("d.example", "30000-30009", 15060)
    assert (draft.advertise, draft.certificate, draft.addresses) == (None, None, ("127.0.0.1",))


def test_chat_servers_at_the_address_of_a_sip_server_are_the_same_backend(answered):
    draft, _ = answered(
        [
            *("10.0.0.11", "b=10.0.0.12", "", "10.0.0.12", "10.0.0.99", "b2=10.0.0.12:5223", ""),
            *("127.0.0.1", "", "", "", "", "", ""),
        ],
        *("--port", "15060", "--chat-port", "15222"),
    )
    assert draft.sip == {"alpha": "udp:10.0.0.11:5060", "b": "udp:10.0.0.12:5060"}
    assert draft.chat == {"b": "tcp:10.0.0.12:5222", "chat2": "tcp:10.0.0.99:5222", "b2": "tcp:10.0.0.12:5223"}


def test_at_least_one_server_is_needed(answered, capsys):
    draft, _ = answered(["", "", "", "10.0.0.1", "", "127.0.0.1", "", "", "", ""], "--chat-port", "15222")
    assert draft.chat == {"alpha": "tcp:10.0.0.1:5222"} and draft.sip == {} and draft.users is None
    assert "at least one server is needed" in capsys.readouterr().out


def test_behind_a_wildcard_the_address_others_send_to_is_needed(answered):
    draft, _ = answered(
        ["0.0.0.0", "", "203.0.113.1", "", "", "", "", ""], "--backend", "10.0.0.1", "--port", str(free_port())
    )
    assert (draft.addresses, draft.advertise) == (("0.0.0.0",), "203.0.113.1")
    # This machine's name has no domain, or it has: then that is suggested.
    assert draft.domain == (socket.gethostname().partition(".")[2] or "203.0.113.1")


def test_a_certificate_comes_with_its_key(answered, tmp_path):
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("")
    draft, _ = answered(
        ["", "none.crt", "tls.crt", "", "tls.key", "", "users.yaml", ""],
        *("--backend", "10.0.0.1", "--address", "127.0.0.1", "--domain", "d.example", "--port", "15060"),
    )
    assert (draft.certificate, draft.key) == ("tls.crt", "tls.key")


def test_where_the_port_is_taken_another_is_asked_for(answered):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        # Taken by us, or, where that fails, by somebody else.
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", 5060))
        draft, _ = answered(
            ["", "", "", "", "15060", ""],
            *("--backend", "10.0.0.1", "--address", "127.0.0.1", "--domain", "d.example"),
        )
    assert draft.sip_port == 15060


def test_a_first_user_is_asked_for_with_the_password_twice(answered, monkeypatch, capsys):
    passwords = iter(["", "one", "two", "one", "one"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(passwords))
    _, first = answered(
        ["", "", "", "", "two words", "1001"],
        *("--backend", "10.0.0.1", "--address", "127.0.0.1", "--domain", "d.example", "--port", "15060"),
    )
    assert first == Credential("1001", "d.example", password="one")
    said = capsys.readouterr().out
    assert "a password has 1 to 256" in said and "the two passwords differ" in said and "is no user name" in said


def test_who_may_not_write_to_run_gets_a_control_socket_beside_the_configuration(answered, monkeypatch, tmp_path):
    flags = ("--backend", "10.0.0.1", "--address", "127.0.0.1", "--domain", "d.example", "--port", "15060")
    monkeypatch.setattr(init_questions, "DEFAULT_CONTROL", tmp_path / "c.sock")
    assert answered(["", "", "", "", ""], *flags)[0].control is None
    monkeypatch.setattr(init_questions, "DEFAULT_CONTROL", tmp_path / "none" / "c.sock")
    assert answered(["", "", "", "", ""], *flags)[0].control == "haproxy_voip.sock"
