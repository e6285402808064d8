"""haproxy_voip.sip.digest.parameters: what phones and servers really write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.digest.parameters import MAX_PARAMETERS, parse_digest
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import quote

SAMPLE = r'Digest username="a \"b\" \\c", realm="r", nonce="n,=", uri="sip:x;y=1", qop=auth, nc=00000001, opaque=""'


def test_quoted_and_bare_values_are_read() -> None:
    assert parse_digest(SAMPLE) == {
        "username": r'a "b" \c',
        "realm": "r",
        "nonce": "n,=",
        "uri": "sip:x;y=1",
        "qop": "auth",
        "nc": "00000001",
        "opaque": "",
    }


@pytest.mark.parametrize("value", ['digest realm = "r"', "DIGEST  ,, REALM=r ,", 'Digest\trealm="r",'])
def test_case_spaces_and_empty_elements_do_not_matter(value: str) -> None:
    assert parse_digest(value) == {"realm": "r"}


def test_other_schemes_are_not_ours_to_read() -> None:
    assert parse_digest("Bearer abc==") is None
    assert parse_digest('NTLM realm="r"') is None


@pytest.mark.parametrize(
    "value", ["", "=", 'Digest realm="r', 'Digest realm="a" nonce="b"', "Digest realm", 'Digest realm="r", Realm=x']
)
def test_what_needs_guessing_is_refused(value: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_digest(value)
    assert caught.value.status == 400


def test_the_number_of_parameters_is_limited() -> None:
    parse_digest("Digest " + ",".join(f"p{n}=1" for n in range(MAX_PARAMETERS)))
    with pytest.raises(MessageError):
        parse_digest("Digest " + ",".join(f"p{n}=1" for n in range(MAX_PARAMETERS + 1)))


def test_every_prefix_is_read_or_refused() -> None:
    for end in range(len(SAMPLE)):
        try:
            parse_digest(SAMPLE[:end])
        except MessageError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='Digest realm="\\,;=ä\t', max_size=40))
def test_noise_is_read_or_refused(noise: str) -> None:
    try:
        parse_digest("Digest " + noise)
    except MessageError:
        return


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_any_text_survives_quoting(text: str) -> None:
    assert parse_digest(f"Digest username={quote(text)}") == {"username": text}


def read(value: str) -> object:
    try:
        return parse_digest(value)
    except MessageError as error:
        return error.status


VALUES = st.text(alphabet='ab0"\\,= ä', max_size=6)
PAIRS = st.lists(st.tuples(st.sampled_from(["realm", "nc", "uri", "Uri", "x"]), VALUES | VALUES.map(quote)), max_size=4)


@settings(max_examples=500, deadline=None)
@given(PAIRS)
def test_the_usual_spelling_means_what_any_other_does(pairs: list[tuple[str, str]]) -> None:
    usual = ", ".join(f"{name}={value}" for name, value in pairs)
    assert read(f"Digest {usual}") == read(f"Digest {usual} ") == read(f"Digest ,{usual}")
