"""Session descriptions: reading, our addresses written into them, and those inside multipart bodies.

1. MessageError with 400, 415 or 488 is all that is raised.
2. What is read and written again reads the same.
3. What leaves names our address wherever one is named, at the ports we chose; m-lines stay as many and in order.
4. What is narrowed to an answer is a description that fits it.
"""

from __future__ import annotations

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp import (
    Description,
    OriginKeeper,
    Rewrite,
    answer_fits,
    codecs_cover,
    codecs_equal,
    keys_equal,
    locate_sdp,
    parse,
    replace_sdp,
    rewritten,
)
from haproxy_voip.sip.sdp.description import NULL_HOSTS
from haproxy_voip.sip.sdp.narrowing import answering, narrowed
from haproxy_voip.sip.sdp.reading import MAX_MEDIA, MAX_SDP_BYTES

US = "198.51.100.1"
STATUSES = (400, 415, 488)
MULTIPART = "multipart/mixed;boundary=b"
SMALLEST = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def check(data: bytes) -> None:
    in_a_body(data)
    try:
        description = parse(data)
    except MessageError as error:
        return refused(error)
    assert len(data) <= MAX_SDP_BYTES and len(description.medias) <= MAX_MEDIA
    again = parse(description.encode())
    assert again == description
    assert codecs_equal(description, again) and codecs_cover(description, again) and keys_equal(description, again)
    with_our_addresses(description)
    narrowed_to_itself(description)
    return None


def in_a_body(data: bytes) -> None:
    """The same bytes as a multipart body. Only what was read is ever replaced."""
    try:
        found = locate_sdp(MULTIPART, data)
        if found is not None:
            parse(data[found])
    except MessageError as error:
        return refused(error)
    if found is not None:
        replaced = replace_sdp(MULTIPART, data, SMALLEST)
        again = locate_sdp(MULTIPART, replaced)
        assert again is not None and replaced[again] == SMALLEST
    return None


def refused(error: MessageError) -> None:
    assert error.status in STATUSES


def with_our_addresses(description: Description) -> None:
    ports = [20_000 + 2 * number for number in range(len(description.medias))]
    sent = rewritten(description, Rewrite(US, ports, OriginKeeper(7, US)))
    ours = parse(sent)
    assert [(one.kind, one.proto, one.formats) for one in ours.medias] == [
        (one.kind, one.proto, one.formats) for one in description.medias
    ]
    for section, before, port in zip(ours.medias, description.medias, ports, strict=True):
        assert section.port == (0 if before.rejected else port)
        assert section.direction == before.direction
        if not before.rejected:
            assert section.host in (US, "0.0.0.0") and (section.host == US) == (before.host not in NULL_HOSTS)
            assert section.rtcp in (None, (port + 1, None))
    lines = [line for line in ours.lines if line.startswith(("c=", "o=", "a=candidate:"))]
    assert all(line.endswith((US, "IN IP4 0.0.0.0")) for line in lines), lines


def narrowed_to_itself(description: Description) -> None:
    same = parse(narrowed(description, description))
    assert answer_fits(description, same) and codecs_equal(description, same)
    answer = parse(answering(description, description))
    assert answer_fits(description, answer)
    for ours, theirs in zip(answer.medias, description.medias, strict=True):
        assert theirs.direction.receives or not ours.direction.sends
