"""Users of chan_pjsip: an endpoint names the auth section whose secret its phones prove.

The proxy knows a user by one name, under which phones register (their aor) and log in (the auth's username).
Where these differ nobody could register, so it is told instead of imported.
"""

from __future__ import annotations

from collections.abc import Sequence

from haproxy_voip.configuration.accounts.found import Account, Findings, Note, Secret
from haproxy_voip.configuration.accounts.sections import Section

# What `type` says in pjsip.conf and pjsip_wizard.conf, and nowhere else.
TYPES = frozenset(
    {"endpoint", "auth", "aor", "transport", "global", "system", "identify", "registration", "domain_alias", "wizard"}
)
DEFAULT_REALM = "asterisk"  # of Asterisk, where nobody says otherwise
TRUE = ("yes", "true", "y", "t", "1", "on")  # as Asterisk reads it
DIGESTS = {"MD5": "ha1", "SHA-256": "ha1_sha256"}


def find(sections: Sequence[Section]) -> Findings:
    """Everybody who may register."""
    return _Search(sections).found()


class _Search:
    def __init__(self, sections: Sequence[Section]) -> None:
        self.findings = Findings()
        self.sections: dict[str, dict[str, Section]] = {kind: {} for kind in TYPES}
        for section in sections:
            kind = section.text("type").lower()
            if section.template or kind not in self.sections:
                continue
            first = self.sections[kind].setdefault(section.name, section)
            if first is not section and kind in ("endpoint", "auth", "aor"):
                self.bad(section, f"stands twice as {kind}, first at {first.place}; Asterisk refuses that")
        realms = [each.text("default_realm") for each in self.sections["global"].values()]
        self.realm = next(filter(None, realms), DEFAULT_REALM)

    def bad(self, section: Section, why: str) -> None:
        self.findings.bad.append(Note(section.place, f"[{section.name}]", why))

    def skip(self, section: Section, why: str) -> None:
        self.findings.skipped.append(Note(section.place, f"[{section.name}]", why))

    def found(self) -> Findings:
        auths, endpoints = self.sections["auth"], self.sections["endpoint"]
        used = {name for endpoint in endpoints.values() for name in endpoint.listed("auth")}
        calling = {
            name
            for kind in ("endpoint", "registration")
            for section in self.sections[kind].values()
            for name in section.listed("outbound_auth")
        }
        for endpoint in endpoints.values():
            self.endpoint(endpoint)
        for name, auth in auths.items():
            if name in used:
                continue
            if name in calling:
                self.skip(auth, "only for calling out: a trunk")
            elif endpoints:
                self.skip(auth, "no endpoint uses it")
            else:
                self.auth(auth)  # pjsip.auth.conf of FreePBX by itself
        for wizard in self.sections["wizard"].values():
            self.wizard(wizard)
        return self.findings

    def endpoint(self, endpoint: Section) -> None:
        names = endpoint.listed("auth")
        if not names:
            self.skip(endpoint, "asks nobody for a password: a trunk, or known by its address")
            return
        aors = endpoint.listed("aors")
        known = [self.sections["aor"][aor] for aor in aors if aor in self.sections["aor"]]
        if known and all(_is_fixed(aor) for aor in known):
            self.skip(endpoint, "has a fixed contact: a trunk, or a phone that does not register")
            return
        for name in names:
            if (auth := self.sections["auth"].get(name)) is not None:
                self.auth(auth, aors)
            else:
                self.bad(endpoint, f"its auth section [{name}] is not there; give the file that has it as well")

    def auth(self, auth: Section, aors: Sequence[str] = ()) -> None:
        # Asterisk falls back to the section's name as well.
        user = auth.text("username") or auth.name
        if aors and user not in aors:
            called = ", ".join(aors)
            self.bad(
                auth, f"its phones log in as {user!r} but register as {called!r}; the proxy takes one name for both"
            )
            return
        kind = auth.text("auth_type").lower() or "userpass"
        if kind not in ("userpass", "md5", "digest"):
            self.skip(auth, f"auth_type {kind!r} has no password")
            return
        secret = self.secret(auth, kind)
        if secret is not None:
            self.findings.accounts.append(Account(user, secret, auth.place))

    def secret(self, auth: Section, kind: str) -> Secret | None:
        """`digest`, from Asterisk 22 on, takes what either of the others takes, and password_digest."""
        hashes: dict[str, str] = {}
        if kind != "md5" and (password := auth.text("password")):
            return Secret(password=password)
        if kind != "userpass" and (ha1 := auth.text("md5_cred")):
            hashes["ha1"] = ha1
        if kind == "digest":
            for value in auth.values:
                algorithm, _, digest = value.text.partition(":")
                if value.name == "password_digest" and algorithm.upper() in DIGESTS:
                    hashes[DIGESTS[algorithm.upper()]] = digest
        if not hashes:
            wanted = {"md5": "md5_cred", "userpass": "password"}.get(kind, "password nor password_digest")
            self.bad(auth, f"auth_type is {kind}, but there is no {wanted}")
            return None
        return Secret(**hashes, realm=auth.text("realm") or self.realm)

    def wizard(self, wizard: Section) -> None:
        """pjsip_wizard.conf: an endpoint, its aor and its auth in one."""
        user = wizard.text("inbound_auth/username") or wizard.name
        password = wizard.text("inbound_auth/password")
        if wizard.text("remote_hosts") or wizard.text("accepts_registrations").lower() not in (
            "yes",
            "true",
            "on",
            "1",
        ):
            self.skip(wizard, "does not register: a trunk")
        elif not password:
            self.bad(wizard, "accepts registrations, but has no inbound_auth/password")
        elif user != wizard.name:
            called = wizard.name
            self.bad(
                wizard, f"its phones log in as {user!r} but register as {called!r}; the proxy takes one name for both"
            )
        else:
            self.findings.accounts.append(Account(user, Secret(password=password), wizard.place))


def _is_fixed(aor: Section) -> bool:
    """Nobody can register there: Asterisk takes as many contacts as max_contacts, which is 0 unless said."""
    return bool(aor.text("contact")) and aor.text("max_contacts") in ("", "0")


def _two_names(user: str, called: str) -> str:
    return f"its phones log in as {user!r} but register as {called!r}; the proxy takes one name for both"
