"""Tones in mu-law, recognised by content."""

from __future__ import annotations

from random import Random

import pytest

from haproxy_voip.embedded.tone import DECODED, FRAME_SAMPLES, decode, encode, frame, has_tone


def test_mu_law_gives_back_what_it_can_hold() -> None:
    """ITU-T G.711: decoding and encoding again changes nothing, and known values are right."""
    assert [encode(decode(byte)) for byte in range(256) if byte != 0x7F] == [b for b in range(256) if b != 0x7F]
    assert (encode(0), encode(32767), encode(-32768)) == (0xFF, 0x80, 0x00)
    assert (DECODED[0xFF], DECODED[0x80], DECODED[0x00]) == (0, 32124, -32124)


def test_mu_law_errs_by_a_few_percent_only() -> None:
    assert all(
        abs(decode(encode(sample)) - sample) <= max(8, abs(sample) * 0.04) for sample in range(-32000, 32000, 37)
    )


@pytest.mark.parametrize("hz", [400, 450, 800, 1000, 1950])
def test_a_tone_is_recognised_and_no_other_is(hz: int) -> None:
    payload = frame(hz)
    assert len(payload) == FRAME_SAMPLES and has_tone(payload, hz)
    assert not has_tone(payload, hz + 50) and not has_tone(payload, hz - 100)


def test_silence_noise_and_emptiness_hold_no_tone() -> None:
    noise = bytes(Random(1).randrange(256) for _ in range(FRAME_SAMPLES))
    assert not any(has_tone(payload, 450) for payload in (b"", b"\xff" * FRAME_SAMPLES, noise))


def test_a_tone_survives_a_shift_by_some_samples() -> None:
    payload = frame(450)
    assert has_tone(payload[37:] + payload[:37], 450)
