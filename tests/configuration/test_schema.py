"""config/schema.json accepts what the loader accepts, and finds what an editor should underline."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from haproxy_voip.configuration.schema import TARGET, schema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.name != "users.yaml")
MINIMAL = {
    "proxy": {"domain": "v.example", "sip": {"listen": ["udp:192.0.2.1:5060"]}},
    "backends": {"alpha": {"sip": "udp:192.0.2.2:5060"}},
}


def test_the_file_is_fresh() -> None:
    assert (ROOT / TARGET).read_text() == schema(), "run: python -m haproxy_voip.configuration.schema"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema()))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid(example: Path) -> None:
    jsonschema.validate(yaml.safe_load(example.read_text()), json.loads(schema()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "blue"},
        {"health": {"inter": 5}},
        {"health": {"rise": 0}},
        {"balance": "random"},
        {"backends": {}},
        {"backends": {"a b": {"sip": "udp:192.0.2.2:5060"}}},
        {"failback": "never"},
        {"media": {"ports": 20000}},
    ],
    ids=str,
)
def test_a_mistake_is_found(wrong: dict[str, object]) -> None:
    jsonschema.validate(MINIMAL, json.loads(schema()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(MINIMAL | wrong, json.loads(schema()))
