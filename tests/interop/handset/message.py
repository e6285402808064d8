"""SIP messages as a handset reads them, and its answer to a challenge."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass

CHALLENGES = {401: ("www-authenticate", "Authorization"), 407: ("proxy-authenticate", "Proxy-Authorization")}
CHALLENGE_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')
COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "r": "refer-to"}


class HandsetError(Exception):
    """What was waited for did not come."""


@dataclass(slots=True)
class Message:
    """A request or response as it came."""

    start: str
    headers: list[tuple[str, str]]
    body: str
    at: float  # monotonic seconds of its arrival

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/") else 0

    @property
    def method(self) -> str:
        return self.get("cseq").split()[1]

    @property
    def number(self) -> int:
        return int(self.get("cseq").split()[0])

    def get(self, name: str) -> str:
        """The first header of this name, or nothing."""
        return next((value for known, value in self.headers if known == name), "")

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    def tag(self, name: str) -> str:
        """The tag of From or To."""
        found = re.search(r";\s*tag=([^;\s]+)", self.get(name))
        return found[1] if found else ""


def parse(data: str) -> Message:
    head, _, body = data.partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers.append((COMPACT.get(name, name), value.strip()))
    return Message(start, headers, body, time.monotonic())


def answer_challenge(challenge: str, method: str, uri: str, user: str, secret: str) -> str:
    """RFC 7616 with MD5 or SHA-256 and qop auth, or none."""
    fields = {name.lower(): quoted or plain for name, quoted, plain in CHALLENGE_FIELD.findall(challenge)}
    algorithm = fields.get("algorithm", "MD5")
    digest = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

    def hashed(*parts: str) -> str:
        return digest(":".join(parts).encode()).hexdigest()

    secret_hash, asked = hashed(user, fields["realm"], secret), hashed(method, uri)
    answer = f'Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{uri}", '
    answer += f"algorithm={algorithm}"
    if "opaque" in fields:
        answer += f', opaque="{fields["opaque"]}"'
    if "qop" not in fields:
        return f'{answer}, response="{hashed(secret_hash, fields["nonce"], asked)}"'
    ours = secrets.token_hex(8)
    response = hashed(secret_hash, fields["nonce"], "00000001", ours, "auth", asked)
    return f'{answer}, qop=auth, nc=00000001, cnonce="{ours}", response="{response}"'
