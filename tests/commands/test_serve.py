"""The proxy in processes of its own, and the commands that speak to it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys


class Process:
    """`haproxy-voip run` until the test ends."""

    def __init__(self, config: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "haproxy_voip", "run", "-c", config], stderr=subprocess.PIPE, text=True
        )
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
        return self.process.wait(10)


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
