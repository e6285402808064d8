"""Users of chan_sip (Asterisk up to 20): a section of sip.conf whose phones register by its name."""

from __future__ import annotations

from collections.abc import Sequence

from haproxy_voip.configuration.accounts.found import Account, Findings, Note, Secret
from haproxy_voip.configuration.accounts.sections import Section

TYPES = frozenset({"friend", "peer", "user"})
# They hold settings, not somebody.
SETTINGS = frozenset({"general", "authentication"})
DEFAULT_REALM = "asterisk"  # of Asterisk, where nobody says otherwise


def find(sections: Sequence[Section]) -> Findings:
    """Everybody who may register."""
    findings = Findings()
    general = [section for section in sections if section.name.lower() == "general"]
    realm = next(filter(None, (section.text("realm") for section in general)), DEFAULT_REALM)
    for section in sections:
        if section.template or section.name.lower() in SETTINGS:
            continue
        reason = _why_not(section)
        if reason is not None:
            findings.skipped.append(Note(section.place, f"[{section.name}]", reason))
        else:
            findings.accounts.append(Account(section.name, _secret(section, realm), section.place))
    return findings


def _secret(section: Section, realm: str) -> Secret:
    """The hash counts where both are given."""
    if ha1 := section.text("md5secret"):
        return Secret(ha1=ha1, realm=realm)
    return Secret(password=section.text("secret"))


def _why_not(section: Section) -> str | None:
    kind = section.text("type").lower()
    host = section.text("host")
    if kind not in TYPES:
        return f"type {kind!r} is no phone" if kind else "has no type; Asterisk passes it over as well"
    if host and host.lower() != "dynamic":
        return f"has a fixed host, {host}: a trunk, or a phone that does not register"
    if not section.text("secret") and not section.text("md5secret"):
        return "has no secret"
    return None
