"""What a presence says, in eight bytes: to tell whether a new server says something new."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.namespaces import DELAY

BYTES = 8
# Of the status codes of rooms those that concern the moment of joining only (XEP-0045 section 15.6.2): not anonymous,
# self, logged, room created, nick assigned.
MOMENTARY = frozenset({"100", "110", "170", "201", "210"})
# Some servers add it to every presence, others do not; without a hash it says that there is no picture (XEP-0153).
AVATAR = "vcard-temp:x:update"


def digest(element: Element, without: Collection[str] = (DELAY,)) -> bytes:
    """The same for two that say the same to one recipient, whatever server wrote them."""
    children = sorted(
        _canonical(child)
        for child in element.children
        if child.namespace not in without and not (child.namespace == AVATAR and _no_picture(child))
    )
    told = repr((element.get("type"), children)).encode()
    return hashlib.blake2b(told, digest_size=BYTES).digest()


def _no_picture(update: Element) -> bool:
    photo = update.find("photo")
    return photo is None or not photo.text.strip()


def _canonical(element: Element) -> str:
    """Order of children and attributes left out of account."""
    children = sorted(_canonical(child) for child in element.children if child.get("code") not in MOMENTARY)
    return repr((element.namespace, element.name, sorted(element.attributes.items()), element.text.strip(), children))
