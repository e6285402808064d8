"""TLS for chat streams (RFC 6120 section 5, XEP-0368): certificates by SNI, ALPN, and channel binding (RFC 5929)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from haproxy_voip.configuration.model import BackendConfig, Config, TlsConfig
from haproxy_voip.core.address import Address
from haproxy_voip.edge.tls import TlsError, client_context, server_context

ALPN = ["xmpp-client"]  # XEP-0368 section 3
# RFC 5929 section 4.1: "if the certificate's signatureAlgorithm uses ... MD5 or SHA-1, then use SHA-256".
WEAK_HASHES = frozenset({"md5", "sha1"})


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate shown on one of our TLS contexts."""

    binding: bytes | None  # tls-server-end-point; None where RFC 5929 defines none (Ed25519)
    domain: str | None  # the domain it was asked for; None for who asked for none


class ServerTls:
    """What clients are shown. `context` is for handshakes; it changes itself to that of the domain asked for."""

    def __init__(self, default: TlsConfig, domains: Mapping[str, TlsConfig]) -> None:
        """Reads files: for start-up. Raises TlsError."""
        self.context = server_context(default)
        self._shown = {self.context: Shown(end_point_binding(default.certificate), None)}
        self._contexts: dict[str, ssl.SSLContext] = {}
        for domain, config in domains.items():
            context = self._contexts[domain] = server_context(config, f"proxy.xmpp.domains.{domain}")
            self._shown[context] = Shown(end_point_binding(config.certificate), domain)
        for context in self._shown:
            context.set_alpn_protocols(ALPN)
        self.context.sni_callback = self._choose
        self._earlier: ServerTls | None = None

    def follow(self, earlier: ServerTls) -> None:
        """Take its place. Handshakes that began with it end with it; those with the one before that are over."""
        if earlier._earlier is not None:
            earlier._earlier.context.sni_callback = None  # nothing else would free it: it leads back to its owner
            earlier._earlier = None
        self._earlier = earlier

    def shown(self, encrypted: ssl.SSLObject) -> Shown | None:
        """What the client at the other end of this handshake, which is done, was shown; None: it is not one of ours."""
        known = self._shown.get(encrypted.context)
        return known if known is not None or self._earlier is None else self._earlier.shown(encrypted)

    def _choose(self, encrypted: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        """A name we have no certificate for gets the default one: the stream header says better what is wrong."""
        chosen = self._contexts.get((name or "").lower())
        if chosen is not None:
            encrypted.context = chosen


@dataclass(frozen=True, slots=True)
class ClientSide:
    """How TLS is spoken to one backend."""

    context: ssl.SSLContext
    name: str | None  # what its certificate must carry; None: the user's domain


@dataclass(slots=True)
class ChatTls:
    """All of it."""

    server: ServerTls | None  # None: no certificate is configured
    backends: Mapping[Address, ClientSide]

    def follow(self, new: ChatTls, leaving: Iterable[Address]) -> None:
        """Be like this one, but for backends that leave."""
        if new.server is not None and self.server is not None:
            new.server.follow(self.server)
        self.server = new.server
        self.backends = {address: self.backends[address] for address in leaving} | dict(new.backends)


def chat_tls(config: Config) -> ChatTls | None:
    """None where nobody chats. Reads files: for start-up. Raises TlsError."""
    if config.proxy.xmpp is None:
        return None
    backends = {
        backend.xmpp.address: ClientSide(_chat_context(backend), backend.tls.name)
        for backend in config.backends
        if backend.xmpp is not None
    }
    default = config.proxy.tls
    domains: dict[str, TlsConfig] = {name: default for name in config.chat_domains if default is not None}
    for domain in config.proxy.xmpp.domains:
        if domain.certificate is not None and domain.key is not None:
            domains[domain.name] = TlsConfig(certificate=domain.certificate, key=domain.key)
    if default is None:
        default = next(iter(domains.values()), None)
    return ChatTls(None if default is None else ServerTls(default, domains), backends)


def end_point_binding(certificate: Path) -> bytes | None:
    """tls-server-end-point of the first certificate in this PEM file. Raises TlsError."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsError(f"{certificate}: cannot be read as a PEM certificate: {error}") from None
    algorithm = found.signature_hash_algorithm
    if algorithm is None:
        return None
    return found.fingerprint(hashes.SHA256() if algorithm.name in WEAK_HASHES else algorithm)


def _chat_context(backend: BackendConfig) -> ssl.SSLContext:
    context = client_context(backend.name, backend.tls)
    context.set_alpn_protocols(ALPN)
    return context
