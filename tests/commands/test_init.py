"""`init` as somebody at a terminal and as a script use it; what it writes is checked, and runs."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest

from haproxy_voip.configuration import users
from haproxy_voip.configuration.load import load
from tests.commands.conftest import free_port
from tests.commands.terminal import Terminal
from tests.commands.test_serve import Process


def test_somebody_at_a_terminal_answers_questions_and_the_result_runs(asked, place, flags):
    with Terminal(place, "init", *flags) as terminal:
        terminal.answer("SIP server 1, Enter: no such: ", "no where")
        terminal.until("write")
        terminal.answer("SIP server 1, Enter: no such: ", f"127.0.0.1:{free_port()}")
        terminal.answer("SIP server 2, Enter: no more: ", f"second=udp:127.0.0.1:{free_port()}")
        terminal.answer("SIP server 3, Enter: no more: ", "")
        terminal.answer("chat server (XMPP) 1, Enter: no such: ", f"127.0.0.1:{free_port()}")
        terminal.answer("chat server (XMPP) 2, Enter: no more: ", "")
        terminal.answer("Address of the proxy, for phones and servers [127.0.0.1]: ", "203.0.113.99")
        terminal.until("this machine does not have 203.0.113.99; write one it has")
        terminal.answer("[127.0.0.1]: ", "")
        terminal.answer("router that translates, Enter: none: ", "")
        terminal.answer("log in at", "voip.example")
        terminal.answer("clients expect one), Enter: none: ", "")
        terminal.answer("UDP ports for audio and video [20000-29999]: ", "20001-20002")
        terminal.answer("[20000-29999]: ", "20000-20099")
        terminal.answer("File of the users who may register [users.yaml]: ", "")
        terminal.answer("First user, e.g. 1001, Enter: none yet: ", "1001")
        terminal.answer("Password of 1001: ", "hunter2")
        terminal.answer("Once more: ", "hunter3")
        terminal.until("the two passwords differ")
        terminal.answer("Password of 1001: ", "hunter2")
        terminal.answer("Once more: ", "hunter2")
        status, seen = terminal.end()
    assert status == 0 and "haproxy_voip.yaml: written, readable by you only" in seen and "hunter" not in seen
    file = place / "haproxy_voip.yaml"
    assert [(place / name).stat().st_mode & 0o777 for name in ("haproxy_voip.yaml", "users.yaml")] == [0o600] * 2
    assert sorted(each.name for each in place.iterdir()) == ["haproxy_voip.yaml", "users.yaml"]
    assert users.load(place / "users.yaml").credentials["1001"].password == "hunter2"
    config = load(file)
    assert config.proxy.domain == "voip.example" and str(config.media.ports) == "20000-20099"
    assert [(each.name, each.sip is not None, each.xmpp is not None) for each in config.backends] == [
        ("alpha", True, True),
        ("second", True, False),
    ]
    assert asked("check", str(file))[0] == 0
    with Process(str(file)) as proxy:
        proxy.until("listening on udp:127.0.0.1")
        status, out, _ = asked("status", "-c", str(file))
        assert status == 0 and "second" in out
        assert proxy.ends(signal.SIGTERM) == 0


@pytest.mark.parametrize(("give_up", "status"), [(Terminal.interrupt, 130), (Terminal.close, 1)])
def test_who_gives_up_has_written_nothing(place, flags, give_up, status):
    with Terminal(place, "init", *flags) as terminal:
        terminal.until("SIP server 1, Enter: no such: ")
        give_up(terminal)
        assert terminal.end()[0] == status
    assert list(place.iterdir()) == []


def test_a_script_says_it_all_with_flags(asked, place, flags):
    file = place / "proxy.yaml"
    status, out, _ = asked(
        *("init", str(file), "--backend", "alpha=udp:10.0.0.11:5060", "--backend", "beta=tcp:10.0.0.12:5070"),
        *("--chat", "beta=10.0.0.12", "--address", "127.0.0.1", "--domain", "voip.example", "--advertise", "192.0.2.9"),
        *("--media-ports", "30000-30999", "--users", "people.yaml", "--yes", *flags),
    )
    assert status == 0 and f"{place}/people.yaml: made" in out and "users add 1001" in out
    config = load(file)
    assert {name: str(where) for name, where in config.sip_endpoints.items()} == {
        "alpha": "udp:10.0.0.11:5060",
        "beta": "tcp:10.0.0.12:5070",
    }
    assert {name: str(where) for name, where in config.xmpp_endpoints.items()} == {"beta": "tcp:10.0.0.12:5222"}
    assert config.proxy.advertise == "192.0.2.9" and str(config.media.ports) == "30000-30999"
    assert users.load(place / "people.yaml").realm == "voip.example"


def test_a_server_is_all_that_yes_needs(asked, place, flags):
    (place / "users.yaml").write_text('realm: old.example\nusers:\n  "1": {password: x}\n')
    file = str(place / "proxy.yaml")
    status, out, _ = asked("init", file, "--backend", "127.0.0.5", "--yes", "--json", *flags)
    assert status == 0
    assert json.loads(out) == {"file": file, "users": f"{place}/users.yaml", "users_made": False}
    config = load(Path(file))
    # The domain is that of the users who are there already.
    assert config.proxy.domain == "old.example" and [each.name for each in config.backends] == ["alpha"]
    assert {listener.address.host for listener in config.proxy.sip.listen} == {"127.0.0.1"}


def test_chat_alone_needs_no_users_file(asked, place, flags):
    file = place / "proxy.yaml"
    status, _, _ = asked("init", str(file), "--chat", "127.0.0.5", "--yes", *flags)
    assert status == 0 and [each.name for each in place.iterdir()] == ["proxy.yaml"]
    config = load(file)
    assert config.users is None and config.proxy.xmpp is not None and config.proxy.xmpp.starttls == "optional"


def test_without_a_terminal_everything_that_is_missing_is_said_at_once(asked, place, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    status, out, err = asked("init", str(place / "x.yaml"))
    assert status == 2 and out == ""
    assert "missing on the command line:\n  --backend NAME=udp:ADDRESS:PORT" in err
    assert "\n  --address IP" in err and "\n  --domain DOMAIN" in err
    status, _, err = asked("init", str(place / "x.yaml"), "--yes", "--address", "0.0.0.0")
    assert status == 2 and "--backend" in err and "--advertise IP" in err and "--domain" not in err
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--backend", "alpha=udp:nobody here"), "--backend alpha=udp:nobody here: "),
        (("--backend", "a=10.0.0.1", "--backend", "a=10.0.0.2"), "a is udp:10.0.0.1:5060 already"),
        (("--backend", "10.0.0.1", "--address", "here"), "--address here: 'here' is no IP address"),
        (("--backend", "10.0.0.1", "--domain", "a_b"), "--domain a_b: "),
        (("--backend", "10.0.0.1", "--media-ports", "1-2"), "--media-ports 1-2: "),
        (("--backend", "10.0.0.1", "--port", "65535"), "--port 65535: "),
        (("--backend", "10.0.0.1", "--key", "x"), "--certificate and --key belong together"),
    ],
)
def test_a_wrong_flag_is_told_with_what_would_be_right(asked, place, words, says):
    status, _, err = asked("init", str(place / "x.yaml"), "--yes", *words)
    assert status == 2 and says in err and list(place.iterdir()) == []
