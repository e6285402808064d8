import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import (
    MAX_ELEMENTS,
    MAX_PARAMS,
    find_param,
    format_params,
    parse_host,
    parse_number,
    parse_params,
    parse_port,
    quote,
    split_list,
    unquote,
    with_param,
    without_param,
)

TOKENS = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=8)
VALUES = st.none() | TOKENS | st.text('a;,="\\ ü\0', max_size=8).map(quote)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a , b,c", ["a", "b", "c"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"x, \\"y" <sip:a,b@c>;q=1, <sip:d>', ['"x, \\"y" <sip:a,b@c>;q=1', "<sip:d>"]),
    ],
)
def test_a_comma_separates_unless_quoted_or_bracketed(text: str, elements: list[str]) -> None:
    assert split_list(text) == elements


@pytest.mark.parametrize("text", ['"a, b', "a, <b", 'a, "b\\"', ',"'])
def test_a_quote_never_closed_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        split_list(text)


def test_a_list_has_a_limit() -> None:
    assert len(split_list(",".join("a" * MAX_ELEMENTS))) == MAX_ELEMENTS
    with pytest.raises(MessageError):
        split_list(",".join("a" * (MAX_ELEMENTS + 1)))


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", ()),
        (";tag=1", (("tag", "1"),)),
        (";LR;Tag=aB", (("lr", None), ("tag", "aB"))),
        ("; a = 1 ;b", (("a", "1"), ("b", None))),
        (';+sip.instance="<urn:uuid:1;2>";ob', (("+sip.instance", '"<urn:uuid:1;2>"'), ("ob", None))),
        (";received=2001:db8::1", (("received", "2001:db8::1"),)),
    ],
)
def test_parameters_are_read(text: str, params: tuple[tuple[str, str | None], ...]) -> None:
    assert parse_params(text) == params


@pytest.mark.parametrize(
    "text",
    [";", ";;", "a", "a=1", ";a=", ";=b", ";a;", ";a=1,", ";a b", ";a=<b>", ';a="b', ";ä=1", ";a=1;A=2", " ", ";a?b"],
)
def test_what_is_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse_params(text)


def test_parameters_have_a_limit() -> None:
    with pytest.raises(MessageError):
        parse_params("".join(f";p{number}" for number in range(MAX_PARAMS + 1)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TOKENS.map(str.lower), VALUES), max_size=6, unique_by=lambda pair: pair[0]))
def test_parameters_survive_a_round_trip(pairs: list[tuple[str, str | None]]) -> None:
    assert parse_params(format_params(tuple(pairs))) == tuple(pairs)


def test_a_flag_is_told_from_an_absent_parameter() -> None:
    params = parse_params(";rport;tag=1")
    assert find_param(params, "rport") == ""
    assert find_param(params, "tag") == "1"
    assert find_param(params, "branch") is None


def test_a_parameter_is_replaced_where_it_stands() -> None:
    params = parse_params(";rport;tag=1")
    assert with_param(params, "rport", "5060") == (("rport", "5060"), ("tag", "1"))
    assert with_param(params, "lr", None) == (("rport", None), ("tag", "1"), ("lr", None))
    assert without_param(params, "rport") == (("tag", "1"),)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\r\n"), max_size=12))
def test_quoting_survives_a_round_trip(text: str) -> None:
    assert unquote(quote(text)) == text


def test_only_a_quoted_string_is_unquoted() -> None:
    assert unquote("plain") == "plain"
    assert unquote('"') == '"'
    assert unquote('"a\\\\\\"b"') == 'a\\"b'


def test_hosts_lose_their_case_and_brackets() -> None:
    assert parse_host("VoIP.Test") == "voip.test"
    assert parse_host("[2001:DB8:0::7]") == "2001:db8::7"
    with pytest.raises(MessageError):
        parse_host("[1:2]")


def test_a_third_colon_is_borne_where_the_grammar_of_rfc_3261_has_it() -> None:
    """RFC 5118 section 4.10: before an IPv4 address after "::", and nowhere else."""
    assert parse_host("[2001:db8:::192.0.2.1]") == parse_host("[2001:db8::192.0.2.1]") == "2001:db8::c000:201"
    assert parse_host("[:::192.0.2.1]") == parse_host("[::192.0.2.1]")
    for text in ("[2001:db8:::1]", "[:::]", "[1::2:::192.0.2.1]", "[2001:db8::::192.0.2.1]", "[:::192.0.2]"):
        with pytest.raises(MessageError):
            parse_host(text)


def test_ports_have_their_range() -> None:
    assert parse_port(None) is None
    assert parse_port("05060") == 5060
    for text in ("0", "65536", "99999"):
        with pytest.raises(MessageError):
            parse_port(text)


def test_numbers_have_their_limit() -> None:
    assert parse_number("0", 0, "n") == 0
    assert parse_number("0" * 5000 + "68", 70, "n") == 68
    assert parse_number("4294967295", 2**32 - 1, "n") == 2**32 - 1
    for text in ("", "-1", "+1", "1.0", " 1", "1_0", "71", "9" * 5000, "٣", "²"):
        with pytest.raises(MessageError):
            parse_number(text, 70, "n")
