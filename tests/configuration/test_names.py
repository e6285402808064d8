"""Names that can stand in commands, tables and logs."""

import pytest

from haproxy_voip.configuration.names import mistake_in_domain, mistake_in_name


@pytest.mark.parametrize("name", ["alpha", "pbx-1", "a.b_c", "1", "x" * 32])
def test_plain_names_are_taken(name: str) -> None:
    assert mistake_in_name(name) is None


@pytest.mark.parametrize("name", ["", "a b", "-alpha", "x" * 33, "a\n", "é", "a/b", "<<"])
def test_others_are_refused(name: str) -> None:
    assert mistake_in_name(name) is not None


@pytest.mark.parametrize("name", ["voip.example", "a", "chat.department.university.example.org"])
def test_domains_are_named_as_they_compare(name: str) -> None:
    assert mistake_in_domain(name) is None


@pytest.mark.parametrize("name", ["", "Voip.Example", "a b", "-a.example", "a..b"])
def test_other_domains_are_refused(name: str) -> None:
    assert mistake_in_domain(name) is not None
