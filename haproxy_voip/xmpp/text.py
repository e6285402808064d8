"""Text as XML carries it."""

from __future__ import annotations

import re
from typing import Final

_MARKUP: Final = re.compile("[&<>\"'\t\n\r]")
_ESCAPES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\t": "&#9;",  # XML 1.0 section 3.3.3 makes spaces of these in attribute values
    "\n": "&#10;",
    "\r": "&#13;",
}
# XML 1.0 section 2.2: Char ::= #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """For character data and for attribute values in either quote. What XML cannot carry becomes U+FFFD."""
    if _FORBIDDEN.search(text):
        text = _FORBIDDEN.sub("\ufffd", text)
    return _MARKUP.sub(lambda found: _ESCAPES[found[0]], text)
