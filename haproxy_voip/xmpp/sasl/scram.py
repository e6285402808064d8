"""What SCRAM computes (RFC 5802 section 3, RFC 7677), and how its messages are written (section 7).

SaltedPassword = PBKDF2(password, salt, i)      ClientKey = HMAC(SaltedPassword, "Client Key")
StoredKey = H(ClientKey)                        ServerKey = HMAC(SaltedPassword, "Server Key")
ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from binascii import a2b_base64
from dataclasses import dataclass
from typing import Final

from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.sasl.saslprep import saslprep

ALGORITHMS: Final = ("SHA-256", "SHA-1")  # strongest first; the mechanism is SCRAM-<algorithm>
PLUS: Final = "-PLUS"
CHANNEL_BINDING_TYPE: Final = "tls-server-end-point"  # RFC 5929 section 4: the only one two servers can both offer
MIN_ITERATIONS: Final = 4_096  # RFC 7677 section 4
# Deriving keys blocks for about 0.3 µs times this. Servers ask for 4,096 to 10,000; one that asks for more than this
# costs everybody else a tenth of a second at each login.
MAX_ITERATIONS: Final = 300_000
SALT_BYTES: Final = 16

_HASHES: Final = {"SHA-256": "sha256", "SHA-1": "sha1"}
_ATTRIBUTE: Final = re.compile(r"([A-Za-z])=([^,\x00]+)")  # RFC 5802 section 7, attr-val


@dataclass(frozen=True, slots=True)
class ClientKey:
    """Logs in wherever algorithm, salt and iterations are the same, without the password."""

    algorithm: str
    salt: bytes
    iterations: int
    client_key: bytes
    server_key: bytes  # verifies the server

    def __repr__(self) -> str:
        return f"ClientKey(algorithm={self.algorithm!r}, iterations={self.iterations})"  # never the key


def derive_keys(password: str, algorithm: str, salt: bytes, iterations: int) -> tuple[ClientKey, ScramKeys]:
    """From a password: what a client may keep, and what a server. Blocks for a third of a microsecond times iterations.

    Raises ValueError when the password cannot be one (RFC 4013).
    """
    name = _HASHES[algorithm]
    salted = hashlib.pbkdf2_hmac(name, saslprep(password).encode(), salt, iterations)
    client_key, server_key = sign(algorithm, salted, b"Client Key"), sign(algorithm, salted, b"Server Key")
    stored_key = digest(algorithm, client_key)
    return (
        ClientKey(algorithm, salt, iterations, client_key, server_key),
        ScramKeys(algorithm, salt, iterations, stored_key, server_key),
    )


def fake_keys(secret: bytes, algorithm: str, username: str, iterations: int = MIN_ITERATIONS) -> ScramKeys:
    """Keys nobody can prove, the same at every question: who asks does not learn which users exist."""

    def made(purpose: str) -> bytes:
        return sign(algorithm, secret, f"{purpose}:{algorithm}:{username}".encode())

    return ScramKeys(algorithm, made("salt")[:SALT_BYTES], iterations, made("stored key"), made("server key"))


def digest(algorithm: str, data: bytes) -> bytes:
    """H(data)."""
    return hashlib.new(_HASHES[algorithm], data).digest()


def sign(algorithm: str, key: bytes, data: bytes) -> bytes:
    """HMAC(key, data)."""
    return hmac.digest(key, data, _HASHES[algorithm])


def xor(one: bytes, other: bytes) -> bytes:
    """Byte by byte, of equally long ones."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def attributes(message: str) -> list[tuple[str, str]]:
    """`a=...,b=...` in order. Raises SaslFailure."""
    found = [_ATTRIBUTE.fullmatch(part) for part in message.split(",")]
    known = [(part[1], part[2]) for part in found if part is not None]
    if len(known) != len(found):
        raise malformed("a SCRAM message is not attributes between commas")
    return known


def expect(message: str, *names: str) -> list[str]:
    """The values of these attributes, which come first and in this order; extensions may follow. Raises SaslFailure."""
    known = attributes(message)
    if [name for name, _ in known[: len(names)]] != list(names):
        raise malformed(f"a SCRAM message without {', '.join(names)} in this order")
    return [value for _, value in known[: len(names)]]


def to_base64(data: bytes) -> str:
    """With padding, without line breaks."""
    return b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Raises SaslFailure(incorrect-encoding)."""
    try:
        return a2b_base64(text, strict_mode=True)  # b64decode lets superfluous padding pass
    except ValueError:
        raise SaslFailure(SaslCondition.INCORRECT_ENCODING, "not base64") from None


def to_text(message: bytes) -> str:
    """Raises SaslFailure."""
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise malformed("not UTF-8") from None


def to_saslname(name: str) -> str:
    """RFC 5802 section 5.1: "The characters ',' or '=' in usernames are sent as '=2C' and '=3D' respectively"."""
    return name.replace("=", "=3D").replace(",", "=2C")


def from_saslname(text: str) -> str:
    """Raises SaslFailure: "If the server receives a username that contains '=' not followed by either '2C' or '3D'"."""
    if re.search("=(?!2C|3D)", text):
        raise malformed("'=' in a username")
    return text.replace("=2C", ",").replace("=3D", "=")


def malformed(text: str) -> SaslFailure:
    """RFC 6120 section 6.5.7."""
    return SaslFailure(SaslCondition.MALFORMED_REQUEST, text)
