"""TLS contexts (RFC 3261 section 26.2.1, RFC 5922, RFC 7590): TLS 1.2 at least."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from haproxy_voip.configuration.model import BackendConfig, TlsConfig
from haproxy_voip.configuration.peers import BackendTlsConfig, TrunkConfig


class TlsError(Exception):
    """Certificates cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How to open TLS to one peer."""

    context: ssl.SSLContext
    name: str  # the name or IP address its certificate must carry, also sent as SNI when it is a name


def server_context(config: TlsConfig, key: str = "proxy.tls") -> ssl.SSLContext:
    """For our listeners; errors name the configuration's `key`. Reads files: for start-up. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A renegotiation costs us much and the peer little, and neither SIP nor XMPP has a use for it.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(config.certificate, config.key, password=_no_passphrase)
    except ssl.SSLError as error:
        raise TlsError(
            f"{key}: {config.certificate} and {config.key} do not work together: {_plain(error)}; "
            "give a PEM certificate and its own private key, without a passphrase"
        ) from None
    except OSError as error:
        raise TlsError(f"{key}: cannot read {config.certificate} and {config.key}: {error.strerror}") from None
    return context


def client_tls(backend: BackendConfig) -> ClientTls:
    """For connections to this backend. Reads files: for start-up. Raises TlsError."""
    assert backend.sip is not None
    return ClientTls(client_context(backend.name, backend.tls), backend.tls.name or backend.sip.address.host)


def trunk_tls(trunk: TrunkConfig) -> ClientTls:
    """For connections to this trunk. Reads files: for start-up. Raises TlsError."""
    context = client_context(trunk.name, trunk.tls, "trunks")
    return ClientTls(context, trunk.tls.name or trunk.address.address.host)


def client_context(name: str, config: BackendTlsConfig, section: str = "backends") -> ssl.SSLContext:
    """That checks the certificate of this backend or trunk. Reads files: for start-up. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if config.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(config.ca)
    except OSError as error:  # also SSLError
        raise TlsError(f"{section}.{name}.tls.ca: {config.ca}: {_plain(error)}") from None
    return context


def _no_passphrase() -> str:
    """OpenSSL would ask on the terminal and wait there for ever."""
    return ""


def _plain(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    return (reason or error.strerror or str(error)).replace("_", " ").lower()
