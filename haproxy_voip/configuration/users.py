"""The users' file.

It says who may register, and holds the secret that proves it:

    realm: voip.example
    users:
      "1001": {password: secret}
      "1002": {ha1: 0123456789abcdef0123456789abcdef}      # MD5(user:realm:password)
      "1003": {ha1_sha256: ...}                            # SHA-256 of the same
      "1004": {scram_sha_256: SCRAM-SHA-256$4096:salt$StoredKey:ServerKey}    # RFC 5803; for chat only

Files of other chat domains (`proxy.xmpp.domains.NAME.users`) look the same; their realm is not used.

A hash is good for this realm only: a backend that challenges with another realm can be answered from a password alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from haproxy_voip.configuration.errors import ConfigError, ConfigErrors
from haproxy_voip.configuration.model import Config
from haproxy_voip.configuration.replace import locked, replace_file
from haproxy_voip.configuration.tree import Mapped, Node, Scalar, parse, read_text
from haproxy_voip.core.credential import Credential, ScramKeys

# 100,000 users at some 150 bytes each.
MAX_USERS_BYTES = 16 * 1024 * 1024
MAX_SECRET = 256
# The unreserved characters of RFC 3261 section 25.1 that no digest, log line or shell trips over, and "+" for E.164.
USER_NAME = re.compile(r"[A-Za-z0-9+*_.~!-]{1,64}")
# A quoted-string without anything to escape.
REALM = re.compile(r"[^\x00-\x1f\x7f\"\\]{1,128}")
HASHES = {"ha1": 32, "ha1_sha256": 64}  # hexadecimal digits
SCRAM = {"scram_sha_1": "SHA-1", "scram_sha_256": "SHA-256"}
SECRETS = ("password", *HASHES, *SCRAM)
# What may follow an entry that is on one line.
COMMENT = re.compile(r"(?<=\})\s+#.*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Everybody the proxy knows, in the order of the file."""

    realm: str
    credentials: dict[str, Credential] = field(default_factory=dict)


class UserExists(Exception):
    """The name is taken."""


def load(path: Path) -> Users:
    """Read a users' file. Raises ConfigErrors with every mistake in it."""
    return _read(path, read_text(path, MAX_USERS_BYTES))


def everybody(config: Config) -> Users:
    """The users of all domains; names of other domains than `proxy.domain` carry theirs. Raises ConfigErrors."""
    known = Users(realm=config.proxy.domain) if config.users is None else load(config.users)
    credentials = dict(known.credentials)
    for domain in config.proxy.xmpp.domains if config.proxy.xmpp is not None else ():
        if domain.users is not None:
            for name, credential in load(domain.users).credentials.items():
                credentials[f"{name}@{domain.name}"] = credential
    return Users(realm=known.realm, credentials=credentials)


def hashed(user: str, realm: str, password: str) -> Credential:
    """A credential that does not hold the password, only both its hashes for this realm (RFC 7616 section 3.4.2)."""
    a1 = f"{user}:{realm}:{password}".encode()
    return Credential(user, realm, ha1=hashlib.md5(a1).hexdigest(), ha1_sha256=hashlib.sha256(a1).hexdigest())


def add(path: Path, credential: Credential, *, replace: bool = False) -> None:
    """Write a user into the file, as `merge` does.

    Raises UserExists unless `replace`, and what `merge` raises.
    """

    def decide(users: Users) -> Sequence[Credential]:
        if credential.user in users.credentials and not replace:
            raise UserExists(credential.user)
        return [credential]

    check(credential)
    merge(path, credential.realm, decide)


def merge(path: Path, realm: str, decide: Callable[[Users], Sequence[Credential]]) -> bool:
    """Write users into the file, which is made when it is not there; everything else in it stays.

    `decide` is given those who are there and says who is to be added or changed. Returns whether every comment
    stayed: only where users are not written one below the other, those below the file's head are lost.

    The file is replaced as a whole, so a reader sees the old or the new one. Raises ValueError when a credential is
    malformed or of another realm than the file's, ConfigErrors when the file has mistakes already, OSError when it
    cannot be written.
    """
    path = path.resolve()  # a symbolic link stays one
    with locked(path.parent):
        text = read_text(path, MAX_USERS_BYTES) if path.exists() else f"realm: {_quoted(realm)}\nusers:\n"
        users = _read(path, text)
        if users.realm != realm:
            raise ValueError(f"the realm of {path} is {users.realm!r}, not {realm!r}")
        chosen = decide(users)
        if not chosen and path.exists():
            return True
        for credential in chosen:
            check(credential)
        wanted = Users(realm=realm, credentials=users.credentials | {each.user: each for each in chosen})
        changed = _edited(path, text, users, chosen)
        stayed = changed is not None and _reads_as(path, changed, wanted)
        replace_file(path, changed if stayed and changed is not None else _rewritten(text, wanted))
    return stayed or "#" not in text


def check(credential: Credential) -> None:
    """Raises ValueError when the file could not hold it; says what is wrong, never the secret."""
    if not USER_NAME.fullmatch(credential.user):
        raise ValueError(f"{credential.user!r} is no user name; use letters, digits and + * _ . ~ ! -, at most 64")
    if not REALM.fullmatch(credential.realm):
        raise ValueError(f"{credential.realm!r} is no realm; use printable characters but quotes and backslashes")
    for name in SECRETS:
        secret = getattr(credential, name)
        if secret is not None and (problem := _mistake(name, secret)):
            raise ValueError(problem)
    if all(getattr(credential, name) is None for name in SECRETS):
        raise ValueError(f"{credential.user!r} has no secret; give a password or a hash of it")


def _mistake(name: str, secret: str) -> str | None:
    """What is wrong with a secret; never the secret itself."""
    if name in HASHES:
        if not re.fullmatch(f"[0-9a-fA-F]{{{HASHES[name]}}}", secret):
            return f"{name} is not {HASHES[name]} hexadecimal digits"
    elif name in SCRAM:
        try:
            if ScramKeys.parse(secret).algorithm != SCRAM[name]:
                return f"{name} holds keys for another hash"
        except ValueError as error:
            return str(error)
    elif not secret or len(secret) > MAX_SECRET or not secret.isprintable():
        return f"a password has 1 to {MAX_SECRET} printable characters"
    return None


class _Reader:
    """Turns the tree into Users and collects what is wrong on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.errors: list[ConfigError] = []

    def wrong(self, line: int, key: str, problem: str, remedy: str) -> None:
        self.errors.append(ConfigError(self.path, line, key, problem, remedy))

    def users(self, root: Node) -> Users:
        if not isinstance(root, Mapped):
            self.wrong(root.line, "", "no mapping", "write realm: and users:")
            return Users(realm="")
        for key in root.entries:
            if key in ("realm", "users"):
                continue
            self.wrong(root.lines[key], key, f"unknown key {key!r}", "write realm: and users:")
        realm = self.realm(root)
        listed = root.entries.get("users", Mapped(1))
        credentials: dict[str, Credential] = {}
        if isinstance(listed, Mapped):
            for name, entry in listed.entries.items():
                credentials[name] = self.credential(name, realm, entry, listed.lines[name])
        elif not (isinstance(listed, Scalar) and listed.empty):
            self.wrong(listed.line, "users", "no mapping", 'write "1001": {password: ...} for each user')
        return Users(realm=realm, credentials=credentials)

    def realm(self, root: Mapped) -> str:
        realm = root.entries.get("realm")
        if not isinstance(realm, Scalar) or realm.empty:
            self.wrong(root.lines.get("realm", root.line), "realm", "missing", "write the users' domain")
            return ""
        if not REALM.fullmatch(realm.text):
            self.wrong(realm.line, "realm", f"{realm.text!r} is no realm", "leave out quotes and control characters")
        return realm.text

    def credential(self, name: str, realm: str, entry: Node, line: int) -> Credential:
        key = f"users.{name}"
        if not USER_NAME.fullmatch(name):
            self.wrong(line, key, f"{name!r} is no user name", "use letters, digits and + * _ . ~ ! -, at most 64")
        if not isinstance(entry, Mapped) or not entry.entries:
            self.wrong(line, key, "has no secret", f"write one of {', '.join(SECRETS)}")
            return Credential(name, realm)
        secrets: dict[str, str] = {}
        for word, value in entry.entries.items():
            if word not in SECRETS:
                remedy = f"write one of {', '.join(SECRETS)}"
                self.wrong(entry.lines[word], f"{key}.{word}", f"unknown key {word!r}", remedy)
            elif not isinstance(value, Scalar) or value.empty:
                self.wrong(entry.lines[word], f"{key}.{word}", "has no value", "write one in quotes")
            elif problem := _mistake(word, value.text):
                self.wrong(value.line, f"{key}.{word}", problem, "correct it, or set it anew with users add")
            else:
                secrets[word] = value.text.lower() if word in HASHES else value.text
        self.agree(entry, key, Credential(name, realm, **secrets))
        return Credential(name, realm, **secrets)

    def agree(self, entry: Mapped, key: str, credential: Credential) -> None:
        """A hash beside a password must be that password's."""
        if credential.password is None:
            return
        right = hashed(credential.user, credential.realm, credential.password)
        for name in HASHES:
            if getattr(credential, name) not in (None, getattr(right, name)):
                problem = f"{name} is not that of the password in this realm"
                self.wrong(entry.lines[name], f"{key}.{name}", problem, "keep one of the two")


def _read(path: Path, text: str) -> Users:
    root, twice = parse(path, text)
    reader = _Reader(path)
    users = reader.users(root)
    if errors := sorted(twice + reader.errors, key=lambda error: error.line):
        raise ConfigErrors(errors)
    return users


def _reads_as(path: Path, text: str, users: Users) -> bool:
    try:
        return _read(path, text) == users
    except ConfigErrors:
        return False


def _quoted(text: str) -> str:
    """As a double-quoted YAML scalar on one line."""
    return yaml.safe_dump(text, default_style='"', width=10_000, allow_unicode=True).removesuffix("\n")


def _entry(credential: Credential) -> str:
    secrets = [(name, getattr(credential, name)) for name in SECRETS]
    inside = ", ".join(f"{name}: {_quoted(secret)}" for name, secret in secrets if secret is not None)
    return f"{_quoted(credential.user)}: {{{inside}}}"


def _edited(path: Path, text: str, users: Users, credentials: Sequence[Credential]) -> str | None:
    """The text with these users changed where they stand, and the others after the last one; None where users are
    not one below the other."""
    lines = text.splitlines(keepends=True)
    changed = [each for each in credentials if each.user in users.credentials]
    if changed:
        listed = _listed(path, text)
        for each in sorted(changed, key=lambda each: listed.lines[each.user], reverse=True):
            _change(lines, listed.lines[each.user] - 1, each)
    return _appended(lines, [each for each in credentials if each.user not in users.credentials])


def _listed(path: Path, text: str) -> Mapped:
    root, _ = parse(path, text)
    assert isinstance(root, Mapped), "it was read before"
    listed = root.entries["users"]
    assert isinstance(listed, Mapped), "there is a user in it"
    return listed


def _change(lines: list[str], at: int, credential: Credential) -> None:
    """One line in the place of an entry's lines; what follows it on its line stays, if it is a comment."""
    indent = re.match(" *", lines[at])
    assert indent is not None
    end = at + 1
    for below in range(at + 1, len(lines)):
        content = lines[below].strip()
        if content and not content.startswith("#"):
            if not lines[below].startswith(f"{indent[0]} "):
                break
            end = below + 1
    comment = COMMENT.search(lines[at]) if end == at + 1 else None
    lines[at:end] = [f"{indent[0]}{_entry(credential)}{'' if comment is None else comment[0].rstrip()}\n"]


def _appended(lines: list[str], credentials: Sequence[Credential]) -> str | None:
    """The lines with one more for each after the last user's; None where users are not one below the other."""
    opening = next((at for at, line in enumerate(lines) if re.match(r"users:\s*(#.*)?$", line)), None)
    if opening is None:
        return None
    last, indent = opening, "  "
    for at in range(opening + 1, len(lines)):
        found = re.match(r"( +)[^ #\r\n]", lines[at])
        if found is None:
            if re.match(r"[^ #\r\n]", lines[at]):
                break  # the next key at the top
            continue
        if last == opening:
            indent = found[1]
        last = at
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    lines[last + 1 : last + 1] = [f"{indent}{_entry(each)}\n" for each in credentials]
    return "".join(lines)


def _rewritten(text: str, users: Users) -> str:
    """The whole file anew, below the comment it opened with."""
    lines = text.splitlines(keepends=True)
    head = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    entries = "".join(f"  {_entry(credential)}\n" for credential in users.credentials.values())
    return f"{''.join(lines[:head])}realm: {_quoted(users.realm)}\nusers:\n{entries}"
