"""Every field of the model can be read as data."""

from collections.abc import Iterator

import pytest

from haproxy_voip.configuration.fields import Field, fields_of
from haproxy_voip.configuration.model import BackendConfig, Config, SipConfig
from haproxy_voip.configuration.peers import BackendTlsConfig, TrunkConfig


def everything(section: type) -> Iterator[Field]:
    for field in fields_of(section):
        yield field
        if field.section is not None:
            yield from everything(field.section)


@pytest.mark.parametrize("field", list(everything(Config)), ids=lambda field: field.name)
def test_every_field_is_documented_and_is_a_value_or_a_section(field: Field) -> None:
    assert field.doc.endswith(".")
    assert (field.kind is None) != (field.section is None)


@pytest.mark.parametrize("field", list(everything(Config)), ids=lambda field: field.name)
def test_every_default_can_be_written_in_yaml(field: Field) -> None:
    if field.kind is not None and not field.required and field.default is not None:
        defaults = field.default if field.many else (field.default,)
        assert all(field.kind.read(field.kind.write(default)) == default for default in defaults)


def test_a_section_under_a_name_does_not_repeat_it() -> None:
    assert "name" not in {field.name for field in fields_of(BackendConfig)}
    assert "name" in {field.name for field in fields_of(BackendTlsConfig)}


def test_lists_are_told_from_single_values() -> None:
    assert [field.many for field in fields_of(SipConfig)] == [True]
    assert {field.name for field in fields_of(Config) if field.many} == {"backends", "trunks"}


def test_a_key_may_be_a_word_of_python() -> None:
    [field] = [field for field in fields_of(TrunkConfig) if field.name == "from"]
    assert (field.attribute, field.many, field.doc.startswith("Networks")) == ("from_", True, True)
