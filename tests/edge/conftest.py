"""Real sockets on 127.0.0.1 and ::1, port 0, on uvloop, with a watch for calls that block the loop."""

from __future__ import annotations

import asyncio
import socket
import warnings
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from blockbuster import blockbuster_ctx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from haproxy_voip.core.address import Address

PATIENCE = 60.0  # seconds; a test that waits so long has failed, on however busy a machine

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs an async function to its end on uvloop; any exception nobody caught fails the test."""
    unhandled: list[dict[str, Any]] = []

    async def watched(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        # Only here: ending its executor, uvloop waits for a thread.
        with blockbuster_ctx():
            async with asyncio.timeout(PATIENCE):
                await scene()

    def runner(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # Recorded, not raised: uvloop never ends when a ResourceWarning is raised while it closes.
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            uvloop.run(watched(scene))
        assert [str(warning.message) for warning in warned] == []

    yield runner
    assert unhandled == []


class Heard(list[Any]):
    """What was told, in order; `until` waits for more of it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, told: object) -> None:
        """To be given as a callback."""
        self.append(told)
        self._changed.set()

    async def until(self, kind: type, count: int = 1) -> Any:
        """The `count`-th thing of this kind, waited for."""
        while True:
            found = [each for each in self if isinstance(each, kind)]
            if len(found) >= count:
                return found[count - 1]
            self._changed.clear()
            await self._changed.wait()


@pytest.fixture
def heard() -> type[Heard]:
    """The class, because it must be made inside the loop."""
    return Heard


@pytest.fixture
def free_udp_port() -> Address:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        return Address(*bound.getsockname())


@pytest.fixture
def free_tcp_port() -> Address:
    """The same for TCP."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return Address(*bound.getsockname())


@pytest.fixture
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short name for a local socket."""
    return tmp_path_factory.mktemp("s") / "c.sock"


@dataclass(frozen=True)
class Certificates:
    """PEM files: a server certificate for 127.0.0.1 and pbx.example, its key, and the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path
    other_key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once for all tests."""
    folder = tmp_path_factory.mktemp("certificates")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pbx.example")])
    names = x509.SubjectAlternativeName([x509.DNSName("pbx.example"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    authority = _signed(issuer, issuer, authority_key.public_key(), authority_key, x509.BasicConstraints(True, None))
    certificate = _signed(subject, issuer, key.public_key(), authority_key, names)
    found = Certificates(*(folder / name for name in ("server.crt", "server.key", "ca.crt", "other.key")))
    found.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    found.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    for path, private in ((found.key, key), (found.other_key, authority_key)):
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return found


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.add_extension(extension, critical=False).sign(signer, hashes.SHA256())
