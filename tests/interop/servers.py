"""The real servers that tests put behind the proxy: Asterisk and Kamailio, started from backends/.

Addresses are fixed, so only one test run at a time can have them (conftest.py holds a lock).
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import Process, ProcessError, tail, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("HAPROXY_VOIP_CACHE", "/var/cache/haproxy_voip"))

SIP_PORT = 5060
READY_SECONDS = 20.0  # 0.3 s is usual; a busy machine takes longer
PROBE_SECONDS = 0.05  # between two OPTIONS while waiting
CHANNELS_SECONDS = 10.0  # to begin or end, also after a failure
CONSOLE_SECONDS = 10.0

REALM = "voip.example"

# Server name -> its address and first RTP port. The same names stand for Asterisks (11-13) and Kamailios (14-16).
ASTERISK_ADDRESSES = {"alpha": "127.0.0.11", "beta": "127.0.0.12", "charlie": "127.0.0.13"}
KAMAILIO_ADDRESSES = {"alpha": "127.0.0.14", "beta": "127.0.0.15", "charlie": "127.0.0.16"}
RTP_LOW = {"alpha": 11000, "beta": 13000, "charlie": 15000}


def password(user: str) -> str:
    """The password of a user at every server."""
    return f"secret{user}"


def ask_options(address: str, seconds: float) -> str | None:
    """The status line of a server's answer to OPTIONS over UDP, or None when none came in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, SIP_PORT))
        probe.settimeout(seconds)
        host, port = probe.getsockname()
        unique = time.monotonic_ns()
        request = (
            f"OPTIONS sip:{address} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{unique}\r\n"
            f"From: <sip:probe@{REALM}>;tag={unique}\r\n"
            f"To: <sip:{address}>\r\n"
            f"Call-ID: {unique}\r\n"
            "CSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        try:
            probe.send(request.encode())
            return probe.recv(65535).split(b"\r\n", 1)[0].decode()
        except OSError:
            return None


@dataclass(slots=True, kw_only=True)
class Server:
    """One server: started, killed, frozen and stopped by the test that has it."""

    name: str
    address: str
    folder: Path  # its configuration, database and logs
    process: Process

    def start(self) -> None:
        """Starts it and returns when it answers. Raises ProcessError with the end of its log when it does not."""
        self.process.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        until = time.monotonic() + READY_SECONDS
        while ask_options(self.address, PROBE_SECONDS) is None:
            if not self.process.is_running or time.monotonic() > until:
                raise ProcessError(f"{self.name} does not answer on {self.address}\n{self.process.tail()}")
            time.sleep(0.005)  # a closed port refuses at once

    def kill(self) -> float:
        """kill -9. Returns the monotonic time of it."""
        return self.process.kill()

    def freeze(self) -> float:
        """SIGSTOP. Returns the monotonic time of it."""
        return self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def stop(self) -> None:
        self.process.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def ensure(self) -> None:
        """Running and not frozen, whatever the test before did to it."""
        if self.process.is_running:
            self.thaw()
            self.wait_ready()
        else:
            self.stop()
            self.start()


@dataclass(slots=True, kw_only=True)
class Asterisk(Server):
    """An Asterisk in the root of a Debian suite."""

    suite: str
    stack: str  # pjsip | chan_sip

    def start(self) -> None:
        # Explicit base: zero-argument super() does not work in a dataclass with slots.
        Server.start(self)
        self.console("core waitfullybooted")

    def ensure(self) -> None:
        """Running, not frozen, and without contacts and calls that the test before left behind."""
        Server.ensure(self)
        self.console("database deltree registrar contact")
        if not self.channels():
            return
        self.console("channel request hangup all")
        self.wait_channels(0)

    def wait_channels(self, count: int, seconds: float = CHANNELS_SECONDS) -> None:
        """Until it has so many ends of calls. Raises ProcessError."""
        wait_until(lambda: self.channels() == count, seconds, f"{count} channels at {self.name}")

    def channels(self) -> int:
        """How many ends of calls it has."""
        return self._count("active channel")

    def calls(self) -> int:
        """How many calls it believes in (Asterisk counts a call between two users once)."""
        return self._count("active call")

    def _count(self, what: str) -> int:
        """Among whatever else it finds worth saying. Raises ProcessError."""
        counts = self.console("core show channels count")
        for line in counts.splitlines():
            if what in line:
                return int(line.split()[0])
        raise ProcessError(f"{self.name} counts no {what}: {counts!r}")

    def console(self, command: str) -> str:
        """What Asterisk's command line answers."""
        done = subprocess.run(
            [REPOSITORY / "backends/asterisk/console", self.name, command],
            env={**os.environ, "SUITE": self.suite, "HAPROXY_VOIP_RUN": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONSOLE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessError(f"{self.name}: {command!r} failed: {done.stdout}{done.stderr}\n{self.log()}")
        return done.stdout

    def contacts(self, user: str) -> list[str]:
        """The URIs of the contacts that are registered for a user (chan_pjsip: all; chan_sip: at most one)."""
        if self.stack == "chan_sip":
            lines = self.console(f"sip show peer {user}").splitlines()
            found = [line.split(":", 1)[1].strip() for line in lines if line.strip().startswith("Reg. Contact")]
            return [contact for contact in found if contact]
        # The table cuts long URIs; the database has them whole, as ;@/USER;@... : {"uri":"..."}.
        wanted = f"/registrar/contact/{user};@"
        rows = self.console("database show registrar/contact").splitlines()
        return [
            row.split('"uri":"', 1)[1].split('"', 1)[0].replace("^3B", ";") for row in rows if row.startswith(wanted)
        ]

    def contact_count(self) -> int:
        """How many contacts of all users are registered (chan_pjsip)."""
        return self.console("database show registrar/contact").count('"uri":"')

    def forget_contacts(self) -> None:
        """Stopped, its database deleted, started again: nobody is registered."""
        self.stop()
        shutil.rmtree(self.folder / "lib", ignore_errors=True)
        self.start()

    def log(self) -> str:
        """The end of its log, for a failure's message."""
        return tail(self.folder / "log/messages")

    def wait_for_log(self, text: str, seconds: float) -> None:
        """Waits until a line with `text` is in its log."""
        path = self.folder / "log/messages"
        wait_until(lambda: text in path.read_text(errors="replace"), seconds, f"{text!r} in {path}")


@dataclass(slots=True, kw_only=True)
class Kamailio(Server):
    """A Kamailio as registrar."""

    def contacts(self, user: str) -> list[str]:
        """The URIs of the contacts that are registered for a user."""
        done = subprocess.run(
            ["kamcmd", "-s", f"unix:{self.folder}/control", "ul.dump"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONSOLE_SECONDS,
            check=True,
        )
        found = []
        of_user = False
        for line in done.stdout.splitlines():
            key, _, value = line.strip().partition(": ")
            if key == "AoR":
                of_user = value == user
            elif key == "Address" and of_user:
                found.append(value)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a server is set up; backends/*/run says what each means."""

    suite: str = "bullseye"
    stack: str = "pjsip"
    profile: str = "password"
    proxy: str = "127.0.0.1"  # addresses the trusted profile lets in, comma-separated
    users: int = 10
    direct_media: bool = False
    trunk: str = ""  # of the proxy at `proxy`, where numbers with 0 in front lead to
    our_number: str = ""  # what the carrier is shown
    algorithms: str = ""  # digest algorithms of its challenges, "SHA-256,MD5"; empty is MD5 (Asterisk 22 only)


def asterisk(name: str, folder: Path, setting: Setting, address: str | None = None) -> Asterisk:
    """An Asterisk that is not started yet. `folder` must exist and stay as long as the server."""
    address = address or ASTERISK_ADDRESSES[name]
    low = RTP_LOW.get(name, 17000)
    environment = {
        "HAPROXY_VOIP_RUN": str(folder),
        "SUITE": setting.suite,
        "RTP_LOW": str(low),
        "RTP_HIGH": str(low + 1599),
        "PROXY": setting.proxy,
        "USERS": str(setting.users),
        "DIRECT_MEDIA": "yes" if setting.direct_media else "no",
        "ALGORITHMS": setting.algorithms,
        "TRUNK": setting.trunk,
        "OUR_NUMBER": setting.our_number,
    }
    argv = [str(REPOSITORY / "backends/asterisk/run"), name, address, setting.stack, setting.profile]
    process = Process(f"asterisk {name}", argv, folder / "output", environment, ahead=True)
    return Asterisk(
        name=name, address=address, folder=folder, process=process, suite=setting.suite, stack=setting.stack
    )


def kamailio(name: str, folder: Path, setting: Setting) -> Kamailio:
    """A Kamailio that is not started yet. `folder` must exist and stay as long as the server."""
    address = KAMAILIO_ADDRESSES[name]
    environment: Mapping[str, str] = {
        "HAPROXY_VOIP_RUN": str(folder),
        "PROXY": setting.proxy,
        "USERS": str(setting.users),
    }
    argv = [str(REPOSITORY / "backends/kamailio/run"), name, address, setting.profile]
    process = Process(f"kamailio {name}", argv, folder / "output", environment, forks=True, ahead=True)
    return Kamailio(name=name, address=address, folder=folder, process=process)


def suite_is_there(suite: str) -> bool:
    """Whether setup.sh has built this suite's root."""
    return (CACHE / suite / ".recipe").exists()
