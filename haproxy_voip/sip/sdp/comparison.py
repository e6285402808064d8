"""Whether two descriptions speak of the same streams (RFC 3264 section 6.1, RFC 3551 section 6).

A phone that already rings answers one offer; to pass its answer on to another backend, that one's offer must
mean the same by every payload type.
"""

from __future__ import annotations

from haproxy_voip.sip.sdp.description import Description, MediaSection

# Static payload types (RFC 3551 tables 4 and 5) as rtpmap would name them.
STATIC_CODECS: dict[str, str] = {
    "0": "pcmu/8000", "3": "gsm/8000", "4": "g723/8000", "5": "dvi4/8000", "6": "dvi4/16000", "7": "lpc/8000",
    "8": "pcma/8000", "9": "g722/8000", "10": "l16/44100/2", "11": "l16/44100", "12": "qcelp/8000", "13": "cn/8000",
    "14": "mpa/90000", "15": "g728/8000", "16": "dvi4/11025", "17": "dvi4/22050", "18": "g729/8000",
    "25": "celb/90000", "26": "jpeg/90000", "28": "nv/90000", "31": "h261/90000", "32": "mpv/90000",
    "33": "mp2t/90000", "34": "h263/90000",
}  # fmt: skip
# What an answer to one offer answers for that offer alone.
KEYS = ("crypto", "fingerprint")
KEYING = (*KEYS, "setup", "ice-ufrag")
RTPMAP = "a=rtpmap:"
# Which events a telephone-event stream may carry is a hint; all agree on 0-15.
EVENTS = "telephone-event/"


def encodings(description: Description, section: MediaSection) -> dict[str, str]:
    """Payload type -> encoding/clock[/channels] in lower case, "" when unknown, for the formats of the m-line."""
    names: dict[str, str] = {}
    for line in description.lines[section.start + 1 : section.end]:
        if line.startswith(RTPMAP):
            payload_type, _, codec = line[len(RTPMAP) :].partition(" ")
            names[payload_type] = codec.strip().lower().removesuffix("/1")
    return {name: names.get(name) or STATIC_CODECS.get(name, "") for name in section.formats}


def codecs(description: Description, section: MediaSection) -> dict[str, tuple[str, frozenset[str]]]:
    """Payload type -> (as `encodings` says, format parameters), for the formats of the m-line."""
    parameters: dict[str, frozenset[str]] = {}
    for name, value in description.attributes(section):
        if name == "fmtp":
            payload_type, _, text = value.partition(" ")
            parameters[payload_type] = frozenset(part.strip().lower() for part in text.split(";") if part.strip())
    mapping = {}
    for payload_type, codec in encodings(description, section).items():
        hints = codec.startswith(EVENTS)
        mapping[payload_type] = (codec, frozenset() if hints else parameters.get(payload_type, frozenset()))
    return mapping


def codecs_equal(first: Description, second: Description) -> bool:
    """Whether an answer to one offer is also an answer to the other.

    True when they have the same m-lines in the same order, each with the same protocol, formats, meaning of
    each payload type, and keys. Addresses, ports, order of preference and direction may differ.
    """
    if len(first.medias) != len(second.medias):
        return False
    return all(
        _same_media(first, section, second, other) for section, other in zip(first.medias, second.medias, strict=True)
    )


def codecs_cover(offer: Description, agreed: Description) -> bool:
    """The same for who talks already, in the terms of `agreed`: the offer may have more formats, but not other ones."""
    if len(offer.medias) != len(agreed.medias):
        return False
    return all(
        _same_kind(offer, section, agreed, other) and codecs(agreed, other).items() <= codecs(offer, section).items()
        for section, other in zip(offer.medias, agreed.medias, strict=True)
    )


def _same_media(first: Description, section: MediaSection, second: Description, other: MediaSection) -> bool:
    return _same_kind(first, section, second, other) and codecs(first, section) == codecs(second, other)


def _same_kind(first: Description, section: MediaSection, second: Description, other: MediaSection) -> bool:
    return (
        section.kind == other.kind
        and section.proto.upper() == other.proto.upper()
        and section.rejected == other.rejected
        and _keying(first, section) == _keying(second, other)
    )


def keys_equal(first: Description, second: Description) -> bool:
    """Whether who has the keys in the one description understands what is sent with those in the other (RFC 4568,
    RFC 5763). Streams that are in use in one of them only do not matter."""
    return all(
        section.rejected or other.rejected or _keys(first, section) == _keys(second, other)
        for section, other in zip(first.medias, second.medias, strict=False)
    )


def _keys(description: Description, section: MediaSection) -> list[tuple[str, str]]:
    return [pair for pair in description.attributes(section) if pair[0] in KEYS]


def _keying(description: Description, section: MediaSection) -> list[tuple[str, str]]:
    return [pair for pair in description.attributes(section) if pair[0] in KEYING]


def answer_fits(offer: Description, answer: Description) -> bool:
    """Whether the answer has the offer's m-lines (RFC 3264 section 6: "exactly the same number", in order)."""
    return [section.kind for section in offer.medias] == [section.kind for section in answer.medias]
