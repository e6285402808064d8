"""What a packet's payload type becomes on its way from one party to another (RFC 3264 section 5.1, RFC 3551 section 3).

Each party says in its own SDP which number it wants for which codec. Two parties that were never told of each other
use different numbers, and may have agreed on different laws of G.711, the one pair of codecs converted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from haproxy_voip.rtp.flow import Party, PayloadTypes, StreamPlan
from haproxy_voip.rtp.g711 import A_TO_MU, MU_TO_A

FIRST_DYNAMIC = 96  # RFC 3551 section 6: below it a number means the same to everybody
TYPES = 128
PCMU, PCMA = "pcmu/8000", "pcma/8000"
OTHER_LAW: Final = {PCMU: (PCMA, MU_TO_A), PCMA: (PCMU, A_TO_MU)}
# Pairs of offers and answers: there are as many as there are models of phones, squared. Hundreds of calls are joined at
# once when a server dies, and each would take 0.1 ms.
KNOWN_CONVERSIONS = 1024
# Formats that accompany audio and are none themselves.
HINTS = ("telephone-event/", "cn/", "red/")


@dataclass(frozen=True, slots=True)
class Becomes:
    """One payload type at its destination."""

    payload_type: int
    table: bytes | None = None  # for `bytes.translate`; None: the payload stays as it is


# By the payload type that arrives; None: the other party has no such codec, drop it.
Conversion = Sequence[Becomes | None]


def conversion(sender: Party, agreed: PayloadTypes, receiver: Party) -> Conversion | None:
    """How packets of `sender` become packets for `receiver`; None when they are the same.

    `agreed` is what the sender was told to send by whoever it was connected to first; `sender.sends` goes before it.
    """
    return _conversion(sender.sends or agreed, receiver.payload_types)


@lru_cache(maxsize=KNOWN_CONVERSIONS)
def _conversion(sent: PayloadTypes, wanted: PayloadTypes) -> Conversion | None:
    if not sent or not wanted:
        return None
    numbers = {codec: number for number, codec in reversed(wanted)}  # the first of several is the preferred one
    result = [_unnamed(number, wanted) for number in range(TYPES)]
    for number, codec in sent:
        result[number] = _becomes(codec, numbers)
    same = all(becomes == Becomes(number) for (number, _), becomes in zip(sent, _picked(result, sent), strict=True))
    return None if same else tuple(result)


def _picked(result: Conversion, sent: PayloadTypes) -> list[Becomes | None]:
    return [result[number] for number, _ in sent]


def _becomes(codec: str, numbers: dict[str, int]) -> Becomes | None:
    if codec in numbers:
        return Becomes(numbers[codec])
    other, table = OTHER_LAW.get(codec, ("", b""))
    return Becomes(numbers[other], table) if other in numbers else None


def _unnamed(number: int, wanted: PayloadTypes) -> Becomes | None:
    """A payload type that the sender was never told of: its own choice, understood where it means the same."""
    static = number < FIRST_DYNAMIC and any(number == known for known, _ in wanted)
    return Becomes(number) if static else None


def speech(types: PayloadTypes) -> tuple[int, str] | None:
    """The preferred codec that carries sound; None when nothing is known."""
    return next(((number, codec) for number, codec in types if codec and not codec.startswith(HINTS)), None)


def can_be_joined(first: StreamPlan, second: StreamPlan) -> bool:
    """Whether what each client prefers to send can be made audible to the other. Where nothing is known: no."""
    if first.kind != "rtp" or second.kind != "rtp" or first.encrypted or second.encrypted:
        return False
    return first.clock_hz == second.clock_hz and _hears(first, second) and _hears(second, first)


def _hears(receiver: StreamPlan, sender: StreamPlan) -> bool:
    numbers = {codec: number for number, codec in receiver.client.payload_types}
    spoken = speech(sender.client.sends or sender.backend.payload_types)
    return spoken is not None and _becomes(spoken[1], numbers) is not None
