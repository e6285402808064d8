"""Text as XML carries it."""

from xml.etree.ElementTree import fromstring

from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.xmpp.text import escape


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_text_comes_back_from_content_and_from_attributes(text: str) -> None:
    text = text.replace("\ufffe", "").replace("\uffff", "")
    for quote in "'\"":
        element = fromstring(f"<a b={quote}{escape(text)}{quote}>{escape(text)}</a>")
        assert element.get("b") == text and (element.text or "") == text


def test_white_space_survives_attributes() -> None:
    """XML 1.0 section 3.3.3 would make spaces of it."""
    assert fromstring(f"<a b='{escape(chr(9) + chr(10) + chr(13))}'/>").get("b") == "\t\n\r"


def test_what_xml_cannot_carry_is_replaced() -> None:
    assert escape("a\x00b\x1fc\ud800d\ufffee") == "a\ufffdb\ufffdc\ufffdd\ufffde"
