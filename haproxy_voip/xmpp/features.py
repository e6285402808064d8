"""Stream features (RFC 6120 section 4.3.2): what we offer to clients, and what a server offered to us."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.namespaces import BIND, CHANNEL_BINDING, LIMITS, MANAGEMENT, SASL, SESSION, STREAMS, TLS
from haproxy_voip.xmpp.sasl.scram import CHANNEL_BINDING_TYPE, PLUS

_MAX_MECHANISMS = 32  # that we look at


def starttls(*, required: bool) -> Element:
    """RFC 6120 section 5.4.1."""
    return Element("starttls", TLS, children=(Element("required", TLS),) if required else ())


def mechanisms(offered: Iterable[str]) -> list[Element]:
    """RFC 6120 section 6.4.1, and with a -PLUS mechanism XEP-0440's list of what it can be bound to."""
    names = tuple(offered)
    found = [Element("mechanisms", SASL, children=tuple(Element("mechanism", SASL, text=name) for name in names))]
    if any(name.endswith(PLUS) for name in names):
        binding = Element("channel-binding", CHANNEL_BINDING, {"type": CHANNEL_BINDING_TYPE})
        found.append(Element("sasl-channel-binding", CHANNEL_BINDING, children=(binding,)))
    return found


def after_login(*, management: bool) -> list[Element]:
    """RFC 6120 section 7.4, RFC 3921 section 3 for old clients, XEP-0198 section 3."""
    session = Element("session", SESSION, children=(Element("optional", SESSION),))
    return [Element("bind", BIND), session, *([Element("sm", MANAGEMENT)] if management else [])]


def limits(max_bytes: int, idle_seconds: int | None) -> Element:
    """XEP-0478."""
    said = [Element("max-bytes", LIMITS, text=str(max_bytes))]
    if idle_seconds is not None:
        said.append(Element("idle-seconds", LIMITS, text=str(idle_seconds)))
    return Element("limits", LIMITS, children=tuple(said))


def encode(features: Iterable[Element], more: bytes = b"") -> bytes:
    """`more` is serialised already."""
    return b"<stream:features>" + b"".join(feature.encode() for feature in features) + more + b"</stream:features>"


@dataclass(frozen=True, slots=True)
class Features:
    """What a server offered."""

    starttls: bool = False
    starttls_required: bool = False
    mechanisms: tuple[str, ...] = ()
    channel_bindings: tuple[str, ...] = ()  # XEP-0440; empty when the server does not tell
    namespaces: frozenset[str] = field(default_factory=frozenset)  # of all features

    @classmethod
    def read(cls, features: Element) -> Features:
        """Of `<stream:features/>`."""
        tls = features.find("starttls", TLS)
        sasl = features.find("mechanisms", SASL)
        bindings = features.find("sasl-channel-binding", CHANNEL_BINDING)
        return cls(
            starttls=tls is not None,
            starttls_required=tls is not None and tls.find("required") is not None,
            mechanisms=() if sasl is None else _texts(sasl),
            channel_bindings=() if bindings is None else _types(bindings),
            namespaces=frozenset(feature.namespace for feature in features.children),
        )


def is_features(name: str, namespace: str) -> bool:
    """Whether an element of that name is `<stream:features/>`."""
    return name == "features" and namespace == STREAMS


def _texts(sasl: Element) -> tuple[str, ...]:
    return tuple(child.text.strip() for child in list(sasl.all("mechanism"))[:_MAX_MECHANISMS])


def _types(bindings: Element) -> tuple[str, ...]:
    return tuple(child.get("type", "") or "" for child in list(bindings.all("channel-binding"))[:_MAX_MECHANISMS])
