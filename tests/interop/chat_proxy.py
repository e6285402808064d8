"""The proxy under test as chat clients see it: the real process in front of chat servers."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.embedded.certificate import write_certificate
from haproxy_voip.xmpp.sasl.scram import derive_keys
from tests.interop.chat_servers import ANOTHER, DIRECT_TLS_PORT, DOMAIN, XMPP_PORT, secret
from tests.interop.naming import host_name
from tests.interop.proxy import Proxy, Status

# Where no server freezes: a machine that runs tests may be so busy that a healthy one is silent for long, and what it
# keeps for its users is not at the next one.
PATIENT = "health: {inter: 1s, timeout: 1s, fall: 5}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSetting:
    """What of the configuration tests vary; everything else is as by default."""

    users: int = 10
    standby: str = "hot"
    starttls: str = "never"  # towards the servers, which are on this machine
    resume: str = "1m"
    known: bool = True  # the proxy has the passwords; else they are passed on
    keys: bool = False  # it has only SCRAM keys, which are of no use at the servers
    another: bool = False  # a second domain, with a certificate and users of its own
    held: Mapping[str, str] = field(default_factory=dict)  # by family: more of the servers' `chat` section
    files: Mapping[str, str] = field(default_factory=dict)  # that the configuration names
    lines: Sequence[str] = ()  # more of the configuration, as it is


@dataclass(slots=True)
class ChatProxy(Proxy):
    """One proxy in front of chat servers; listens for chat only."""

    chat: ChatSetting = field(default_factory=ChatSetting)

    @property
    def another_certificate(self) -> Path:
        """PEM file of the second domain's certificate."""
        return self.folder / "another.crt"

    def start(self) -> None:
        """Starts it; returns when every server is up in its eyes and the first is the active one."""
        self._launch()
        self.wait(lambda status: all(row["health"] == "up" for row in status["chat_backends"]))
        self.prefer(self.servers[0].name)

    def prefer(self, name: str) -> None:
        """Have all sessions at this server, settled; whoever is not settled yet is waited for."""
        if self.status()["chat_active"] != name:
            self.command("switch", name)
        self.wait_settled(name)

    def wait_active(self, name: str, seconds: float = 5.0) -> Status:
        """Until everything new goes to this backend."""
        return self.wait(lambda status: bool(status["chat_active"] == name), seconds)

    def wait_settled(self, name: str | None = None, seconds: float = 15.0) -> Status:
        """Until every session is at the active backend, which is this one if one is named."""
        return self.wait(lambda status: _settled(status, name), seconds)

    def wait_ready(self, name: str, seconds: float = 15.0) -> Status:
        """The same, with every server up and, where sessions are kept ready, each of them kept ready somewhere."""
        return self.wait(
            lambda status: (
                _settled(status, name)
                and all(row["health"] == "up" for row in status["chat_backends"])
                and (self.chat.standby == "cold" or _reserves(status) == status["chat_sessions"])
            ),
            seconds,
        )

    def chat_row(self, name: str) -> Status:
        """One backend's row of the status."""
        rows: list[Status] = self.status()["chat_backends"]
        return next(row for row in rows if row["name"] == name)

    def _write_files(self) -> None:
        chat = self.chat
        for name, text in chat.files.items():
            (self.folder / name).write_text(text)
        listen = [f"tcp:{self.address}:{XMPP_PORT}", f"tls:{self.address}:{DIRECT_TLS_PORT}"]
        write_certificate(self.certificate, self.folder / "tls.key", [DOMAIN, self.address])
        lines = ["proxy:", f"  domain: {DOMAIN}", "  tls: {certificate: tls.crt, key: tls.key}"]
        lines += [f"  xmpp: {{listen: {json.dumps(listen)}, resume: {chat.resume}{self._domains()}}}"]
        lines += ["backends:"]
        for server in self.servers:
            more = chat.held.get(getattr(server, "family", ""), "")
            held = f"chat: {{starttls: {chat.starttls}, standby: {chat.standby}{more}}}, tls: {{verify: false}}"
            place = f"{server.address}:{XMPP_PORT}" if self.resolv_conf is None else host_name(server.name)
            lines.append(f'  {server.name}: {{xmpp: "tcp:{place}", {held}}}')
        if chat.known:
            lines.append("users: users.yaml")
            self._write_users("users.yaml", DOMAIN)
        lines += [f"control: {self.control}", *chat.lines]
        self._file.write_text("\n".join(lines) + "\n")

    def _domains(self) -> str:
        """The keys of `xmpp` for a second domain, with its files."""
        if not self.chat.another:
            return ""
        write_certificate(self.another_certificate, self.folder / "another.key", [ANOTHER])
        self._write_users("another.yaml", ANOTHER)
        files = "certificate: another.crt, key: another.key, users: another.yaml"
        return f", domains: {{{DOMAIN}: {{}}, {ANOTHER}: {{{files}}}}}"

    def _write_users(self, name: str, domain: str) -> None:
        users = self.folder / name
        rows = [f'  "{user}": {{{self._secret(user, domain)}}}' for user in range(1001, 1001 + self.chat.users)]
        users.write_text("\n".join([f"realm: {domain}", "users:", *rows]) + "\n")
        users.chmod(0o600)

    def _secret(self, user: int, domain: str) -> str:
        if not self.chat.keys:
            return f"password: {secret(user, domain)}"
        keys = derive_keys(secret(user, domain), "SHA-256", b"only the proxy has it", 4096)[1]
        salt, stored, server = (b64encode(part).decode() for part in (keys.salt, keys.stored_key, keys.server_key))
        return f'scram_sha_256: "SCRAM-SHA-256$4096:{salt}${stored}:{server}"'


def _settled(status: Status, name: str | None) -> bool:
    active = status["chat_active"]
    at_it = sum(row["sessions"] for row in status["chat_backends"] if row["name"] == active)
    moving = status["chat_under_way"] or status["chat_stranded"]
    return active is not None and name in (None, active) and not moving and at_it == status["chat_sessions"]


def _reserves(status: Status) -> int:
    return sum(row["reserves"] for row in status["chat_backends"])
