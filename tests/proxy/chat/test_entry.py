"""What tells one stanza from another."""

from __future__ import annotations

from haproxy_voip.proxy.chat.entry import Entry, bare_of, body_of, mark, own
from haproxy_voip.xmpp.framing import Stanza, StreamFramer

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"


def stanza(raw: str) -> Stanza:
    framer = StreamFramer()
    framer.feed(HEADER)
    [found] = framer.feed(raw.encode())
    assert isinstance(found, Stanza)
    return found


def entry(raw: str, peer: str = "bob@x") -> Entry:
    found = stanza(raw)
    return Entry(found, found.raw, peer=peer)


def test_the_same_words_under_the_same_id_are_the_same_whoever_wrote_them_down() -> None:
    one = entry("<message id='1'><body>it's &lt;3</body></message>")
    other = entry('<message from="a@x" id="1" to="b@x"><body>it&apos;s &#60;3</body><x xmlns="y"/></message>')
    assert one.key == other.key


def test_other_words_other_ids_and_other_people_are_not() -> None:
    keys = {
        entry("<message id='1'><body>a</body></message>").key,
        entry("<message id='1'><body>b</body></message>").key,
        entry("<message id='2'><body>a</body></message>").key,
        entry("<message id='1'><body>a</body></message>", "carol@x").key,
        entry("<message id='1' type='error'><body>a</body></message>").key,
        entry("<iq id='1' type='get'/>").key,
        entry("<iq id='1' type='result'/>").key,
    }
    assert len(keys) == 7


def test_presence_and_what_is_ours_are_not_followed() -> None:
    assert entry("<presence id='1'/>").key is None and own(b"<iq/>").key is None
    assert entry("<message><body>x</body></message>").key is None  # no id: it gets one before


def test_a_body_is_found_however_it_is_written() -> None:
    assert body_of(stanza("<message><body xml:lang='en'>a&amp;b</body></message>")) == "a&b"
    assert body_of(stanza("<message><x xmlns='y'/></message>")) == ""
    assert mark("") == b"" and len(mark("x" * 100_000)) == 8


def test_only_questions_and_changes_are_requests() -> None:
    kinds = {kind: entry(f"<iq id='1' type='{kind}'/>").is_request for kind in ("get", "set", "result", "error")}
    assert kinds == {"get": True, "set": True, "result": False, "error": False}


def test_a_broken_address_is_nobodys() -> None:
    assert bare_of("Bob@X.test/home") == "bob@x.test"
    assert bare_of(None) == bare_of("") == bare_of("@") == ""
