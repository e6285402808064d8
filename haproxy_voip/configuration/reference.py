"""docs/CONFIGURATION.md, made from the model: `python -m haproxy_voip.configuration.reference` writes it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

from haproxy_voip.configuration import users
from haproxy_voip.configuration.fields import Field, fields_of
from haproxy_voip.configuration.model import Config

TARGET = Path("docs/CONFIGURATION.md")

HEAD = """\
# Configuration

<!-- Made from haproxy_voip/configuration/model.py by `python -m haproxy_voip.configuration.reference`; edit there. -->

One YAML file; [haproxy_voip.yaml](../config/haproxy_voip.yaml) is a complete one, the others beside it show variants.
`haproxy-voip check FILE` reads it as `run` would and says everything that is wrong with it, each mistake as
`file:line: key: what is wrong; what would be right`. The smallest file that works:

```yaml
proxy:
  domain: voip.example
  sip: {listen: ["udp:192.0.2.10:5060"]}
users: users.yaml
backends:
  alpha: {sip: "udp:192.0.2.11:5060"}
```

- Durations need a unit: `100ms`, `2s`, `1m`, `1h`.
- File names are relative to the folder of the configuration.
- An IPv6 address in an endpoint takes brackets, and the whole then takes quotes: `"udp:[2001:db8::1]:5060"`.
- Unknown keys are refused, and so is a key that stands twice.
- Anchors and aliases work; merge keys (`<<`) and tags do not.
- `config/schema.json` is the same as JSON Schema, for editors that check while you type.
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *_section(Config, ""), _users()]
    return "\n".join(parts)


def _section(section: type, path: str) -> Iterator[str]:
    """A heading, what it is, a table of its keys, then the sections in it."""
    fields = fields_of(section)
    rows = "\n".join(_row(field) for field in fields)
    heading = f"## `{path}`" if path else "## Top level"
    about = inspect.cleandoc(section.__doc__ or "")
    yield f"{heading}\n\n{about}\n\n| key | takes | default | |\n|---|---|---|---|\n{rows}\n"
    for field in fields:
        if field.section is not None:
            name = f"{field.name}.NAME" if field.many else field.name
            yield from _section(field.section, f"{path}.{name}" if path else name)


def _row(field: Field) -> str:
    meaning = " ".join(field.doc.split())
    return f"| `{field.name}` | {_takes(field)} | {_default(field)} | {meaning} |"


def _takes(field: Field) -> str:
    if field.kind is None:
        return "names, each with a section" if field.many else "section"
    return f"list of: {field.kind.describe()}" if field.many else field.kind.describe()


def _default(field: Field) -> str:
    if field.required:
        return "required"
    if field.kind is None or (field.default is None and field.kind.write(None) == "None"):
        return ""
    assert field.default is not dataclasses.MISSING
    return f"`{field.kind.write(field.default)}`"


def _users() -> str:
    _, _, about = inspect.cleandoc(users.__doc__ or "").partition("\n\n")
    return f"## The users' file\n\n{about}\n\n{USERS_TAIL}"


USERS_TAIL = """\
`haproxy-voip users add NAME` writes into it, whole and at once; comments stay. Keep it readable by the proxy only
(mode 0600): a password or a hash in it is all it takes to be that user."""


if __name__ == "__main__":
    TARGET.write_text(reference() + "\n")
