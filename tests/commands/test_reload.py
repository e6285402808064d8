"""`haproxy-voip reload` and SIGHUP, with the proxy in a process of its own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.commands.conftest import ADDRESS, free_port
from tests.commands.test_serve import Process


def test_reload_says_what_has_changed_and_sighup_does_the_same(asked, config, folder):
    file = Path(config)
    with Process(config) as proxy:
        proxy.until("listening on udp")
        assert asked("reload", "-c", config)[:2] == (0, "nothing has changed\n")
        delta = f"udp:{ADDRESS}:{free_port()}"
        text = file.read_text().replace("backends:\n", f"backends:\n  delta: {{sip: '{delta}'}}\n")
        file.write_text(f"{text}limits: {{max_calls: 7}}\nlog: {{level: debug}}\nregistration: active\n")
        status, out, _ = asked("reload", "-c", config)
        assert status == 0 and out.splitlines() == [
            "limits.max_calls: 2000 -> 7",
            "log.level: info -> debug",
            f"backends.delta.sip: {delta} added: it is checked before it is used",
            "registration: changed; takes effect at restart",
        ]
        assert [row["name"] for row in json.loads(asked("status", "-c", config, "--json")[1])["backends"]] == [
            "delta",
            "alpha",
        ]
        proxy.until("the configuration was loaded again")
        file.write_text(text.replace("delta:", "gamma:"))
        os.kill(proxy.process.pid, signal.SIGHUP)
        proxy.until("SIGHUP")
        proxy.until("backends.delta: removed")
        assert proxy.ends(signal.SIGTERM) == 0


def test_a_bad_file_is_refused_with_file_and_line_and_everything_goes_on(asked, config, folder):
    file = Path(config)
    good = file.read_text()
    lines = len(good.splitlines())
    with Process(config) as proxy:
        proxy.until("listening on udp")
        file.write_text(f"{good}limits: {{max_calls: many}}\n")
        status, out, err = asked("reload", "-c", config)
        assert status == 1 and out == "" and err.startswith(f"{file}:{lines + 1}: limits.max_calls: ")
        proxy.until("not taken over, everything is as before")
        os.kill(proxy.process.pid, signal.SIGHUP)
        proxy.until("SIGHUP")
        assert f"proxy.yaml:{lines + 1}: limits.max_calls" in proxy.until("limits.max_calls")
        (folder / "users.yaml").write_text("nonsense\n")
        file.write_text(good)
        status, _, err = asked("reload", "-c", config)
        assert status == 1 and err.startswith(f"{folder}/users.yaml:1: ")
        assert asked("status", "-c", config)[0] == 0
        assert proxy.ends(signal.SIGTERM) == 0


def test_call_records_begin_move_and_end(asked, config, folder):
    file = Path(config)
    good = file.read_text()
    with Process(config) as proxy:
        proxy.until("listening on udp")
        for records in ("one.jsonl", "two.jsonl"):
            file.write_text(f"{good}call_records: {records}\n")
            assert asked("reload", "-c", config)[0] == 0
            assert (folder / records).exists()
        file.write_text(f"{good}call_records: nowhere/x.jsonl\n")
        status, _, err = asked("reload", "-c", config)
        assert status == 1 and "call_records: " in err
        file.write_text(good)
        assert asked("reload", "-c", config)[1] == f"call_records: {folder}/two.jsonl -> none\n"
        assert proxy.ends(signal.SIGTERM) == 0
