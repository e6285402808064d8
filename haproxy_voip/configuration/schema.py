"""The model as JSON Schema, for editors: `python -m haproxy_voip.configuration.schema` writes config/schema.json.

It finds misspelt keys and wrong types while typing. What only the loader can judge (files, bounds of durations,
what must hold between keys) is left to `haproxy-voip check`.
"""

from __future__ import annotations

import json
from pathlib import Path

from haproxy_voip.configuration.fields import Field, fields_of
from haproxy_voip.configuration.kinds import Schema
from haproxy_voip.configuration.model import Config
from haproxy_voip.configuration.names import MAX_NAMED, NAME

TARGET = Path("config/schema.json")


def schema() -> str:
    """The whole schema as text."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "haproxy_voip"}
    return json.dumps(head | _section(Config), indent=2) + "\n"


def _section(section: type) -> Schema:
    fields = fields_of(section)
    return {
        # A section whose keys are all commented out is null.
        "type": ["object", "null"],
        "additionalProperties": False,
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: {"description": " ".join(field.doc.split()), **_field(field)} for field in fields},
    }


def _field(field: Field) -> Schema:
    if field.kind is not None:
        value = field.kind.schema()
        return {"type": "array", "items": value, "minItems": 1} if field.many else value
    assert field.section is not None
    section = _section(field.section)
    if not field.many:
        return section
    names = {"pattern": f"^{NAME.pattern}$"}
    return {
        "type": "object",
        "propertyNames": names,
        "additionalProperties": section,
        "minProperties": 1,
        "maxProperties": MAX_NAMED,
    }


if __name__ == "__main__":
    TARGET.write_text(schema())
