"""The proxy in processes of its own, and the commands that speak to it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

from haproxy_voip.edge.kernel_relay import FOLDER
from haproxy_voip.edge.media_start import instance


class Process:
    """`haproxy-voip run` until the test ends."""

    def __init__(self, config: str, *within: str) -> None:
        argv = [*within, sys.executable, "-m", "haproxy_voip", "run", "-c", config]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def until(self, text: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never logged, but {self.lines}")

    def ends(self, number: int | None = None) -> int:
        if number is not None:
            os.kill(self.process.pid, number)
        return self.process.wait(60)  # it may have to import everything first, on a busy machine


def test_a_running_proxy_does_what_it_is_told_and_stops_when_asked(asked, config, folder, monkeypatch):
    with Process(config) as proxy:
        proxy.until("listening on udp")
        status, out, _ = asked("status", "-c", config)
        assert status == 0 and "backends:" in out and "alpha  udp:127.0.0.1:" in out
        status, out, _ = asked("drain", "alpha", "--control", str(folder / "c.sock"), "--json")
        assert status == 0 and json.loads(out)["backends"][0]["admin"] == "drain"
        status, _, err = asked("switch", "nobody", "-c", config)
        assert status == 1 and "nobody" in err
        monkeypatch.setattr(sys, "stdin", io.StringIO("wonderful\n"))
        status, out, _ = asked("users", "add", "1002", "--password-stdin", "-c", config)
        assert status == 0 and "the running proxy knows" in out
        with Process(config) as second:
            assert second.ends() == 4
            assert "another proxy answers there" in second.process.stderr.read()
        os.kill(proxy.process.pid, signal.SIGHUP)
        proxy.until("SIGHUP")
        assert proxy.ends(signal.SIGTERM) == 0
        proxy.until("stopping: SIGTERM")
        assert not (folder / "c.sock").exists()


def test_call_records_are_opened_at_the_start_and_anew_at_sighup(config, folder):
    with open(config, "a") as file:
        file.write("call_records: calls.jsonl\n")
    records = folder / "calls.jsonl"
    with Process(config) as proxy:
        proxy.until("listening on udp")
        assert records.read_text() == ""
        records.unlink()
        os.kill(proxy.process.pid, signal.SIGHUP)
        proxy.until("opening files anew")
        assert proxy.ends(signal.SIGTERM) == 0
    with open(config, "a") as file:
        file.write("# in a folder that is not there\n")
    text = (folder / "proxy.yaml").read_text().replace("calls.jsonl", "nowhere/calls.jsonl")
    (folder / "proxy.yaml").write_text(text)
    with Process(config) as second:
        assert second.ends() == 4
        assert "call_records" in second.process.stderr.read()


def test_without_the_capabilities_media_stay_in_userspace_which_is_said_once_or_it_does_not_start(
    asked, config, folder
):
    powerless = ("setpriv", "--bounding-set=-bpf,-net_admin,-sys_admin", "--") if os.geteuid() == 0 else ()
    proxy_yaml = folder / "proxy.yaml"
    proxy_yaml.write_text(proxy_yaml.read_text().replace("relay: userspace", "relay: auto"))
    with Process(config, *powerless) as proxy:
        assert "CAP_BPF" in proxy.until("media are relayed in userspace, not in the kernel: ")
        assert "media relay: userspace" in asked("status", "-c", config)[1]
        assert proxy.ends(signal.SIGTERM) == 0
        assert "userspace" not in proxy.process.stderr.read()
    proxy_yaml.write_text(proxy_yaml.read_text().replace("relay: auto", "relay: kernel"))
    with Process(config, *powerless) as second:
        assert second.ends() == 4
        assert "media.relay is kernel, and that cannot be had: " in second.process.stderr.read()
    assert not (FOLDER / instance(folder / "c.sock")).exists()
    assert not (folder / "c.sock").exists()
