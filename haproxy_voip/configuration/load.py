"""From a YAML file to the model, or to everything that is wrong with it.

What keys there are, what they take and what they default to is read from the model (configuration/fields.py);
this module only walks. A broken value is replaced by its default so that the rest can still be judged.
"""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigError, ConfigErrors
from haproxy_voip.configuration.fields import Field, fields_of
from haproxy_voip.configuration.kinds import File, Kind, NewFile, SecretFile, Socket, Wrong
from haproxy_voip.configuration.model import ChatDomainConfig, Config
from haproxy_voip.configuration.names import MAX_NAMED, mistake_in_domain, mistake_in_name
from haproxy_voip.configuration.rules import RULES
from haproxy_voip.configuration.tree import MAX_CONFIG_BYTES, Listed, Mapped, Node, Scalar, parse, read_text
from haproxy_voip.core.credential import Secret

# More values than any list needs.
MAX_LISTED = 64
# Characters of a secret: more than any password or symmetric key has.
MAX_SECRET = 1024


def load(path: Path) -> Config:
    """Read and check a configuration and the files it names. Raises ConfigErrors with every mistake found."""
    root, twice = parse(path, read_text(path, MAX_CONFIG_BYTES))
    walk = _Walk(path, twice)
    config = walk.section(Config, root, "")
    if isinstance(config, Config):
        walk.apply_rules(config)
        walk.check_files(config)
    if walk.errors:
        raise ConfigErrors(sorted(walk.errors, key=lambda error: (error.file != path, error.file, error.line)))
    assert isinstance(config, Config), "without a mistake there is a configuration"
    return config


def load_one(path: Path, key: str) -> Any:
    """The value at a key path such as `proxy.domain`, or its default, whatever else is wrong in the file.

    A file it names need not be there. Raises ConfigErrors when this one value cannot be had.
    """
    node, _ = parse(path, read_text(path, MAX_CONFIG_BYTES))
    walk = _Walk(path, [], open_files=False)
    value = walk.one(Config, node, key.split("."))
    if walk.errors:
        raise ConfigErrors(walk.errors)
    return value


class _Walk:
    """One pass over the tree; remembers where each key stands and what was wrong."""

    def __init__(self, path: Path, errors: list[ConfigError], *, open_files: bool = True) -> None:
        self.path = path
        self.errors = errors
        self.open_files = open_files
        self.lines: dict[str, int] = {}

    def wrong(self, key: str, problem: str, remedy: str, line: int | None = None) -> None:
        """Note a mistake. Without a line, it stands where the key does, or its nearest parent."""
        self.errors.append(ConfigError(self.path, line or self.line(key), key, problem, remedy))

    def line(self, key: str) -> int:
        """Where the key stands; for one that is not there, its parent; at last line 1."""
        while key and key not in self.lines:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self.lines.get(key, 1)

    def section(self, section: type, node: Node, path: str, **given: object) -> Any:
        """The dataclass, or None when something it cannot do without is missing or wrong."""
        if isinstance(node, Scalar) and node.empty:
            node = Mapped(node.line)  # all its keys are commented out
        if not isinstance(node, Mapped):
            self.wrong(path, "takes keys with values, not a single value", "write key: value below it", node.line)
            return None
        fields = {field.name: field for field in fields_of(section)}
        prefix = f"{path}." if path else ""
        self.lines.update((prefix + name, line) for name, line in node.lines.items())
        for name in node.entries:
            if name not in fields:
                self.unknown(prefix + name, name, list(fields))
        values = dict(given)
        complete = True
        for name, field in fields.items():
            if name in node.entries:
                value = self.value(field, node.entries[name], prefix + name)
                if value is not None:
                    values[field.attribute] = value
                    continue
            elif field.required:
                self.wrong(prefix + name, "missing", _example(field))
            complete = complete and not field.required
        return section(**values) if complete else None

    def one(self, section: type, node: Node, names: Sequence[str], path: str = "") -> Any:
        """The value these names lead to."""
        name, *rest = names
        field = next(field for field in fields_of(section) if field.name == name)
        here = f"{path}.{name}" if path else name
        if not isinstance(node, Mapped):
            self.wrong(path, "takes keys with values, not a single value", "write key: value below it", node.line)
        elif name not in node.entries:
            if field.required:
                self.wrong(here, "missing", _example(field), node.line)
            return field.default
        elif rest:
            assert field.section is not None
            return self.one(field.section, node.entries[name], rest, here)
        else:
            return self.value(field, node.entries[name], here)
        return None

    def unknown(self, path: str, name: str, known: Sequence[str]) -> None:
        """A key the model does not have: misspelt, or never heard of."""
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        self.wrong(path, f"unknown key {name!r}", remedy)

    def value(self, field: Field, node: Node, path: str) -> Any:
        """What the model takes for this key; None leaves it at its default."""
        if field.kind is None:
            assert field.section is not None
            return self.named(field.section, node, path) if field.many else self.section(field.section, node, path)
        return self.listed(field.kind, node, path) if field.many else self.single(field.kind, node, path)

    def single(self, kind: Kind, node: Node, path: str) -> Any:
        """One scalar."""
        if not isinstance(node, Scalar):
            self.wrong(path, "takes a single value", f"write {kind.describe()}", node.line)
            return None
        if node.empty:
            self.wrong(path, "has no value", "write one, or leave the key out", node.line)
            return None
        try:
            value = kind.read(node.text)
        except Wrong as wrong:
            self.wrong(path, wrong.problem, wrong.remedy, node.line)
            return None
        if isinstance(kind, NewFile | Socket):
            return self.path.parent / str(value)
        if isinstance(kind, SecretFile):
            return self.secret(value, path)
        return self.file(value, path) if isinstance(kind, File) else value

    def secret(self, value: object, path: str) -> Secret | None:
        """What stands in the first line of a file; nothing of it is ever told."""
        found = self.file(value, path)
        if found is None or not self.open_files:
            return None
        with found.open("rb") as file:
            line = file.readline(MAX_SECRET + 2)
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text or len(text) > MAX_SECRET or not text.isprintable() or "\ufffd" in text:
            remedy = f"write 1 to {MAX_SECRET} printable characters into its first line"
            self.wrong(path, f"{found} holds no secret", remedy)
            return None
        return Secret(text)

    def file(self, value: object, path: str) -> Path | None:
        """A file name anchored at the configuration's folder, if it can be read."""
        assert isinstance(value, Path)
        found = self.path.parent / value
        if not self.open_files:
            return found
        try:
            with found.open("rb"):
                return found
        except OSError as error:
            self.wrong(path, f"{found} cannot be read: {error.strerror}", "check its name and permissions")
            return None

    def listed(self, kind: Kind, node: Node, path: str) -> tuple[Any, ...] | None:
        """Several scalars."""
        if not isinstance(node, Listed) or len(node.items) > MAX_LISTED:
            self.wrong(path, f"takes a list of at most {MAX_LISTED}", f"write [...]: {kind.describe()}", node.line)
            return None
        self.lines.update((f"{path}[{index}]", item.line) for index, item in enumerate(node.items))
        values = (self.single(kind, item, f"{path}[{index}]") for index, item in enumerate(node.items))
        return tuple(value for value in values if value is not None)

    def named(self, section: type, node: Node, path: str) -> tuple[Any, ...] | None:
        """Sections under names of the operator's choice, in their order."""
        if not isinstance(node, Mapped) or len(node.entries) > MAX_NAMED:
            self.wrong(path, f"takes at most {MAX_NAMED} names, each with its keys", "write name: {...}", node.line)
            return None
        found = []
        for name, entry in node.entries.items():
            self.lines[f"{path}.{name}"] = node.lines[name]
            if problem := (mistake_in_domain if section is ChatDomainConfig else mistake_in_name)(name):
                self.wrong(f"{path}.{name}", *problem)
            found.append(self.section(section, entry, f"{path}.{name}", name=name))
        return tuple(value for value in found if value is not None)

    def apply_rules(self, config: Config) -> None:
        """What must hold between values; a rule that reads something wrong is not asked."""
        broken = [error.key for error in self.errors]
        for rule in RULES:
            if not any(_within(key, read) for key in broken for read in rule.reads):
                for key, problem, remedy in rule.check(config):
                    self.wrong(key, problem, remedy)

    def check_files(self, config: Config) -> None:
        """Look into the files that are named."""
        domains = config.proxy.xmpp.domains if config.proxy.xmpp is not None else ()
        for file in (config.users, *(domain.users for domain in domains)):
            try:
                _ = file and users.load(file)
            except ConfigErrors as found:
                self.errors += found.errors
        if config.proxy.tls is not None:
            self.check_pair(config.proxy.tls.certificate, config.proxy.tls.key, "proxy.tls")
        for domain in domains:
            if domain.certificate is not None and domain.key is not None:
                self.check_pair(domain.certificate, domain.key, f"proxy.xmpp.domains.{domain.name}")
        for backend in config.backends:
            if backend.tls.ca is not None:
                self.check_authorities(backend.tls.ca, f"backends.{backend.name}.tls.ca")
        for trunk in config.trunks:
            if trunk.tls.ca is not None:
                self.check_authorities(trunk.tls.ca, f"trunks.{trunk.name}.tls.ca")

    def check_pair(self, certificate: Path, key: Path, where: str) -> None:
        """The certificate can be used with the key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # An encrypted key would otherwise be asked for at the terminal.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            remedy = "give the PEM certificate and the unencrypted key that belongs to it"
            self.wrong(where, f"certificate and key cannot be used: {reason}", remedy)

    def check_authorities(self, file: Path, key: str) -> None:
        """The file holds at least one certificate."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or str(error)
            self.wrong(key, f"{file} holds no certificates: {reason}", "give a PEM file of authorities")


def _within(key: str, read: str) -> bool:
    """Whether a mistake at `key` touches what is read at `read`: it is there, below, or above it."""
    return key == read or key.startswith((f"{read}.", f"{read}[")) or read.startswith(f"{key}.") or not key


def _example(field: Field) -> str:
    if field.kind is not None:
        return f"write {field.name}: {field.kind.describe()}"
    return f"add a section {field.name}:"
