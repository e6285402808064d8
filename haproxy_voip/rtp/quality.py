"""How a call sounds, from what was counted: the E-model (ITU-T G.107), with what a relay cannot know at its defaults.

    R = 93.2 - Id(delay) - Ie_eff(loss)

Id is the two-line fit of Cole and Rosenbluth (2001) to G.107's delay curve; Ie_eff is G.107 section 7.2 with
random loss.
"""

from __future__ import annotations

from dataclasses import dataclass

BASIC_RATING = 93.2  # G.107: every parameter at its default
DELAY_KNEE_MS = 177.3  # from here on people talk over each other
CODEC_DELAY_MS = 20.0  # one packet's worth of audio
# A receiver's jitter buffer settles near twice the interarrival jitter.
JITTER_BUFFERS = 2.0
MOS_BEST = 4.5  # G.107 annex B: R of 100 and more


@dataclass(frozen=True, slots=True)
class Codec:
    """How a codec takes loss (G.113 appendix I)."""

    impairment: float  # Ie, without loss
    robustness: float  # Bpl: percent of loss that costs half of what is left


G711 = Codec(0.0, 25.1)  # with packet loss concealment, as phones have
G729 = Codec(11.0, 19.0)


def rating(loss: float, jitter: float, delay: float, codec: Codec = G711) -> float:
    """R, 0-93.2. `loss` is a share (0-1); `jitter` and one-way network `delay` are seconds."""
    wait_ms = 1000.0 * (delay + JITTER_BUFFERS * jitter) + CODEC_DELAY_MS
    delay_impairment = 0.024 * wait_ms + 0.11 * max(0.0, wait_ms - DELAY_KNEE_MS)
    percent = 100.0 * min(max(loss, 0.0), 1.0)
    loss_impairment = codec.impairment + (95.0 - codec.impairment) * percent / (percent + codec.robustness)
    return max(0.0, BASIC_RATING - delay_impairment - loss_impairment)


def mos(loss: float, jitter: float, delay: float, codec: Codec = G711) -> float:
    """Mean opinion score, 1.0-4.5 (G.107 annex B), for the arguments of `rating`."""
    r = rating(loss, jitter, delay, codec)
    return min(MOS_BEST, max(1.0, 1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)))
