"""Session descriptions as a B2BUA that anchors media needs them (RFC 8866, RFC 3264, RFC 6337).

`parse` reads what matters, `rewritten` writes our own addresses into it and leaves every other line as it came,
`OriginKeeper` keeps the o= line of one leg, `locate_sdp` and `replace_sdp` find it inside multipart bodies.
"""

from haproxy_voip.sip.sdp.body import locate_sdp, replace_sdp
from haproxy_voip.sip.sdp.comparison import answer_fits, codecs, codecs_cover, codecs_equal, encodings, keys_equal
from haproxy_voip.sip.sdp.description import Description, Direction, MediaSection
from haproxy_voip.sip.sdp.origin import OriginKeeper
from haproxy_voip.sip.sdp.reading import parse
from haproxy_voip.sip.sdp.rewrite import Rewrite, rewritten

__all__ = [
    "Description",
    "Direction",
    "MediaSection",
    "OriginKeeper",
    "Rewrite",
    "answer_fits",
    "codecs",
    "codecs_cover",
    "codecs_equal",
    "encodings",
    "keys_equal",
    "locate_sdp",
    "parse",
    "replace_sdp",
    "rewritten",
]
