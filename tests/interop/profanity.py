"""Profanity, a chat client for terminals that is built on libstrophe: told what to do as if somebody typed it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.interop.chat_servers import DOMAIN, XMPP_PORT
from tests.interop.processes import Process, wait_until
from tests.interop.servers import password

READY_SECONDS = 15.0

PREFERENCES = """[connection]
receipts.send=true
receipts.request=true
[notifications]
message=false
[ui]
splash=false
"""


class Profanity:
    """One client. A context manager: connecting when entered, gone at the end."""

    def __init__(self, user: int, address: str, folder: Path) -> None:
        """`folder` must exist: its home."""
        self.jid = f"{user}@{DOMAIN}"
        self.full = f"{self.jid}/profanity"
        self._folder = folder
        self._keys = folder / "keys"
        data, settings = folder / "data/profanity", folder / "config/profanity"
        for each in (data, settings):
            each.mkdir(parents=True)
        account = {
            "jid": self.jid, "server": address, "port": XMPP_PORT, "resource": "profanity", "enabled": "true",
            "password": password(str(user)), "tls.policy": "trust", "presence.login": "online",
        }  # fmt: skip
        lines = ["[account]", *(f"{key}={value}" for key, value in account.items())]
        (data / "accounts").write_text("\n".join(lines) + "\n")
        (settings / "profrc").write_text(PREFERENCES)
        os.mkfifo(self._keys)
        # It wants a terminal, which `script` makes. Opened for both ways, the pipe never ends.
        command = f"script --quiet --flush --command 'profanity --log DEBUG --account account' /dev/null <>{self._keys}"
        environment = {
            "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config"),
            "TERM": "xterm", "LINES": "40", "COLUMNS": "160",
        }  # fmt: skip
        self._process = Process("profanity", ["sh", "-c", command], folder / "screen", environment, forks=True)

    def __enter__(self) -> "Profanity":
        self._process.start()
        self.wait_logged("Presence available handler fired for: " + self.full)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def type(self, line: str) -> None:
        """A line and Enter."""
        self._keys.write_text(line + "\r")

    def say(self, to: str, text: str) -> None:
        self.type(f"/msg {to} {text}")

    def heard(self, sender: str) -> list[str]:
        """What this bare address said, from the database of conversations that it keeps."""
        file = self._folder / "data/profanity/database" / self.jid.replace("@", "_at_") / "chatlog.db"
        if not file.exists():
            return []
        # Without a lock: Profanity does not write down what it hears while somebody reads.
        with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as database:
            try:
                rows = database.execute("SELECT message FROM ChatLogs WHERE from_jid = ? ORDER BY id", (sender,))
                return [text for (text,) in rows]
            except sqlite3.DatabaseError:
                return []  # half written

    def wait_heard(self, sender: str, text: str, seconds: float = READY_SECONDS) -> None:
        wait_until(lambda: text in self.heard(sender), seconds, f"{self.full} hears {text!r}")

    @property
    def logins(self) -> int:
        """How often it logged in."""
        return self._log().count("logged in successfully")

    def wait_logged(self, text: str, seconds: float = READY_SECONDS) -> None:
        wait_until(lambda: text in self._log(), seconds, f"{text!r} in Profanity's log")

    def _log(self) -> str:
        return "".join(each.read_text(errors="replace") for each in (self._folder / "data/profanity/logs").glob("*"))
