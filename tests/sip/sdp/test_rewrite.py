"""haproxy_voip.sip.sdp.rewrite: our addresses in, the peer's out, all else byte for byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp.origin import OriginKeeper
from haproxy_voip.sip.sdp.reading import parse
from haproxy_voip.sip.sdp.rewrite import Rewrite, rewritten

US = "198.51.100.1"
US6 = "2001:db8::1"


def rewrite(body: str, ports: list[int | None], host: str = US, **choices: bool) -> list[str]:
    text = rewritten(parse(body.encode()), Rewrite(host, ports, OriginKeeper(7, host), **choices)).decode()
    return text.split("\r\n" if "\r\n" in text else "\n")


def sdp(*lines: str) -> str:
    return "\r\n".join(("v=0", "o=x 1 1 IN IP4 10.0.0.9", "s=-", *lines, ""))


def test_only_lines_with_addresses_change() -> None:
    body = sdp("c=IN IP4 10.0.0.9", "t=0 0", "m=audio 4000 RTP/AVP 0", "b=AS:64", "a=ptime:20", "a=x-unknown:\tä  ")
    assert rewrite(body, [20000]) == [
        "v=0",
        "o=- 7 1 IN IP4 198.51.100.1",
        "s=-",
        "c=IN IP4 198.51.100.1",
        "t=0 0",
        "m=audio 20000 RTP/AVP 0",
        "b=AS:64",
        "a=ptime:20",
        "a=x-unknown:\tä  ",
        "",
    ]


def test_our_family_may_differ_from_the_peers() -> None:
    body = sdp("c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0", "c=IN IP4 10.0.0.8")
    lines = rewrite(body, [20000], US6)
    assert lines.count("c=IN IP6 2001:db8::1") == 2
    assert lines[1] == "o=- 7 1 IN IP6 2001:db8::1"
    assert "10.0.0" not in "".join(lines)


def test_rtcp_is_announced_on_the_port_after_ours() -> None:
    body = sdp("c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0", "a=rtcp:4007 IN IP4 10.0.0.9", "a=rtcp-mux")
    assert rewrite(body, [20000])[-4:] == ["m=audio 20000 RTP/AVP 0", "a=rtcp:20001", "a=rtcp-mux", ""]


ICE = (
    "a=ice-lite",
    "m=audio 4000 RTP/AVP 0",
    "c=IN IP4 10.0.0.9",
    "a=ice-ufrag:x",
    "a=ice-pwd:y",
    "a=rtcp-mux",
    "a=candidate:1 1 UDP 1 10.0.0.9 4000 typ host",
    "a=end-of-candidates",
    "a=remote-candidates:1 10.0.0.7 5",
)


def test_ice_is_dropped_and_mux_only_if_asked() -> None:
    kept = ["m=audio 20000 RTP/AVP 0", f"c=IN IP4 {US}", "a=rtcp-mux", ""]
    assert rewrite(sdp(*ICE), [20000])[3:] == kept
    kept.remove("a=rtcp-mux")
    assert rewrite(sdp(*ICE), [20000], drop_mux=True)[3:] == kept
    assert len(rewrite(sdp(*ICE), [20000], drop_ice=False)) == len(sdp(*ICE).split("\r\n"))


def test_a_rejected_stream_stays_rejected_and_shows_no_address() -> None:
    body = sdp("m=audio 0 RTP/AVP 0", "c=IN IP4 10.0.0.9", "a=rtcp:9 IN IP4 10.0.0.9")
    for port in (20000, 0, None):
        assert rewrite(body, [port])[3:] == ["m=audio 0 RTP/AVP 0", f"c=IN IP4 {US}", ""]


def test_a_stream_can_be_switched_off() -> None:
    body = sdp("c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 96", "a=rtcp:4003")
    assert rewrite(body, [20000, 0])[4:] == ["m=audio 20000 RTP/AVP 0", "m=video 0 RTP/AVP 96", ""]


def test_a_stream_left_alone_keeps_its_addresses() -> None:
    body = sdp("c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0", "m=message 9 TCP/MSRP *", "i=chat", "a=path:msrp://x")
    assert rewrite(body, [20000, None])[3:] == [
        f"c=IN IP4 {US}",
        "m=audio 20000 RTP/AVP 0",
        "m=message 9 TCP/MSRP *",
        "i=chat",
        "c=IN IP4 10.0.0.9",
        "a=path:msrp://x",
        "",
    ]
    body = sdp("m=message 9 TCP/MSRP *", "c=IN IP4 10.0.0.9")
    assert rewrite(body, [None])[3:] == ["m=message 9 TCP/MSRP *", "c=IN IP4 10.0.0.9", ""]


def test_a_count_of_ports_does_not_cross() -> None:
    assert "m=video 20000 RTP/AVP 31" in rewrite(sdp("c=IN IP4 10.0.0.9", "m=video 4000/2 RTP/AVP 31"), [20000])


@pytest.mark.parametrize(("host", "null"), [(US, "c=IN IP4 0.0.0.0"), (US6, "c=IN IP6 ::")])
def test_a_null_address_stays_one_or_the_call_would_leave_hold(host: str, null: str) -> None:
    lines = rewrite(sdp("c=IN IP4 0.0.0.0", "m=audio 4000 RTP/AVP 0"), [20000], host)
    assert null in lines and "m=audio 20000 RTP/AVP 0" in lines


def test_missing_lines_are_added_where_they_belong() -> None:
    lines = rewrite("v=0\ns=-\nm=audio 4000 RTP/AVP 0\na=ptime:20\n", [20000])
    assert lines == [
        "v=0",
        f"o=- 7 1 IN IP4 {US}",
        "s=-",
        "m=audio 20000 RTP/AVP 0",
        f"c=IN IP4 {US}",
        "a=ptime:20",
        "",
    ]


def test_the_version_stays_while_the_peer_repeats_itself_and_ports_do() -> None:
    description = parse(sdp("c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0").encode())
    origin = OriginKeeper(7, US)
    first = rewritten(description, Rewrite(US, [20000], origin))
    other_o = parse(sdp("c=IN IP4 10.0.0.8", "m=audio 5000 RTP/AVP 0").replace("o=x 1 1", "o=y 9 9").encode())
    assert rewritten(other_o, Rewrite(US, [20000], origin)) == first
    assert b"o=- 7 2 " in rewritten(other_o, Rewrite(US, [20002], origin))


def test_the_description_given_is_not_changed() -> None:
    body = sdp("c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0").encode()
    description = parse(body)
    rewritten(description, Rewrite(US, [20000], OriginKeeper(7, US)))
    assert description.encode() == body


LINES = ["c=IN IP4 10.0.0.9", "m=audio 4000 RTP/AVP 0", "m=video 0 RTP/AVP 9", "a=rtcp:9 IN IP4 10.0.0.9", "i=x"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*LINES, *ICE, "o=x 1 1 IN IP4 10.0.0.9", "", "a=inactive"]), max_size=12))
def test_whatever_is_read_is_written_without_the_peers_address(lines: list[str]) -> None:
    try:
        description = parse("\r\n".join(["v=0", *lines, ""]).encode())
    except MessageError:
        return
    ports = list(range(20000, 20000 + 2 * len(description.medias), 2))
    text = rewritten(description, Rewrite(US, ports, OriginKeeper(7, US)))
    assert b"10.0.0." not in text
    again = parse(text)
    assert [(media.kind, media.rejected) for media in again.medias] == [
        (media.kind, media.rejected) for media in description.medias
    ]
    assert all(media.rejected or media.host == US for media in again.medias)
