import pytest

from haproxy_voip.sip.names import CANONICAL, COMPACT, SINGLE, canonical, long_name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("v", "via"),
        ("V", "via"),
        ("cALL-id", "call-id"),
        ("Via \t", "via"),
        ("l ", "content-length"),
        ("X-New", "x-new"),
    ],
)
def test_a_name_is_read_in_any_spelling(written: str, name: str) -> None:
    assert long_name(written) == name


@pytest.mark.parametrize("written", ["", " Via", "Vi a", "Via\x00", "Ä", "To<"])
def test_what_is_no_token_is_no_name(written: str) -> None:
    assert long_name(written) is None


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("call-id", "Call-ID"),
        ("cseq", "CSeq"),
        ("www-authenticate", "WWW-Authenticate"),
        ("rack", "RAck"),
        ("x-a", "X-A"),
    ],
)
def test_a_name_is_written_as_the_rfcs_spell_it(name: str, spelling: str) -> None:
    assert canonical(name) == spelling


def test_the_tables_hold_lower_case_long_names() -> None:
    for name in [*CANONICAL, *COMPACT.values(), *SINGLE]:
        assert name == name.lower()
        assert len(name) > 1
