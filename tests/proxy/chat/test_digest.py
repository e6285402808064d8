"""Two presences that say the same."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.chat.digest import digest
from haproxy_voip.xmpp.element import parse_element

USER = "http://jabber.org/protocol/muc#user"
SAID = "<presence from='a@x/1' id='1'><show>away</show><c xmlns='caps' node='n' ver='v'/></presence>"


@pytest.mark.parametrize(
    "other",
    [
        SAID.replace("id='1'", "id='2' to='b@y/2'"),
        "<presence><c ver='v' node='n' xmlns='caps'></c><show> away </show></presence>",
        SAID.replace("</presence>", "<delay xmlns='urn:xmpp:delay' stamp='now'/></presence>"),
    ],
)
def test_whoever_wrote_it_and_when(other: str) -> None:
    assert digest(parse_element(SAID.encode())) == digest(parse_element(other.encode()))


@pytest.mark.parametrize("other", [SAID.replace("away", "dnd"), SAID.replace("ver='v'", "ver='w'"), "<presence/>"])
def test_what_it_says_tells_them_apart(other: str) -> None:
    assert digest(parse_element(SAID.encode())) != digest(parse_element(other.encode()))


def test_what_concerns_the_moment_of_joining_is_left_out() -> None:
    item = "<item affiliation='none' role='participant'/>"
    one, other = (f"<presence><x xmlns='{USER}'>{item}{codes}</x></presence>" for codes in ("", "<status code='110'/>"))
    assert digest(parse_element(one.encode())) == digest(parse_element(other.encode()))
