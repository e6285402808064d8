"""Fingerprints of speech: conversations are recognised soon, and whoever tries to be taken for a partner is not."""

from collections import deque
from collections.abc import Callable
from random import Random

import pytest

from haproxy_voip.rtp import fingerprint
from haproxy_voip.rtp.fingerprint import PRINT_BYTES, Evidence, Fingerprints, hash_of, sampled
from haproxy_voip.rtp.g711 import A_LAW, A_TO_MU, MU_LAW, MU_TO_A, Law
from tests.rtp.office import FRAME, PAYLOAD_TYPE, SERVERS_TABLE, SPEECH, Office, Phone, history, voice

SPEECH_FRAMES = [speech[at : at + FRAME] for speech in SPEECH for at in range(0, len(speech) - FRAME, FRAME)]


@pytest.fixture
def office() -> Office:
    return Office(Random(1))


def never(office: Office, seconds: float, *pairs: tuple[int, int]) -> None:
    """Nobody is paired meanwhile, but for these."""

    def watch() -> None:
        assert set(office.prints.pairs()) <= set(pairs), office.now

    office.run(seconds, watch)


def in_time(office: Office, *pairs: tuple[int, int]) -> None:
    """These and no others are paired; how soon depends on which payloads this process looks at."""
    for _ in range(60):
        if office.prints.pairs() == list(pairs):
            return
        office.run(1.0)
        assert set(office.prints.pairs()) <= set(pairs), office.now
    raise AssertionError(office.prints.pairs())


# -- what is sampled ------------------------------------------------------------------------------------


def test_of_speech_about_one_payload_in_eight_is_looked_at():
    assert 1 / 12 < sum(map(sampled, SPEECH_FRAMES)) / len(SPEECH_FRAMES) < 1 / 5


@pytest.mark.parametrize("table", [MU_TO_A, SERVERS_TABLE[MU_LAW, A_LAW]])
def test_the_same_payloads_of_either_law_are_looked_at(table: bytes):
    """A zero below zero becomes one above: now and then one is missed."""
    alike = [sampled(frame) == sampled(frame.translate(table)) for frame in SPEECH_FRAMES]
    assert sum(alike) > 0.97 * len(alike)


def test_speech_is_rare_as_it_is_looked_at():
    """Nearly all of it differs in its first part, in one law for both."""
    loud = [frame for frame in SPEECH_FRAMES if len(set(frame)) > 40]
    assert len({hash_of(0, frame[:PRINT_BYTES]) for frame in loud}) > 0.98 * len(loud) > 0.7 * len(SPEECH_FRAMES)


# -- what must be recognised ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_most_of_many_calls_are_paired_within_seconds_and_none_wrongly(seed: int):
    times = history(seed, calls=40, seconds=12.0)
    found = sorted(at for at in times if at is not None)
    assert len(found) > 0.85 * len(times)
    assert found[len(found) // 2] < 6.0


@pytest.mark.parametrize(("one", "other"), [(MU_LAW, A_LAW), (A_LAW, MU_LAW), (A_LAW, A_LAW)])
def test_a_server_that_puts_one_law_into_the_other_changes_nothing(office: Office, one: Law, other: Law):
    office.converse(Phone(1, law=one), Phone(2, law=other))
    office.run(12.0)
    assert office.prints.pairs() == [(1, 2)]


# -- what proves nothing --------------------------------------------------------------------------------


def forwarding(office: Office, change: Callable[[bytes], list[bytes]], talker: Phone, listener: Phone) -> None:
    """The talker speaks all the time; the server makes something else of it before the listener gets it."""
    frames = voice(office.random)

    def frame() -> None:
        for made in change(office.say(talker, next(frames))):
            office.hear(listener, talker, made)

    office.activities.append(frame)


def test_packets_of_another_length_are_not_recognised_and_end_in_doubt(office: Office):
    """20 ms in, 30 ms out."""

    def repacked() -> Callable[[bytes], list[bytes]]:
        kept: deque[bytes] = deque()

        def change(payload: bytes) -> list[bytes]:
            kept.append(payload)
            if len(kept) < 3:
                return []
            joined = b"".join(kept)
            kept.clear()
            return [joined[: FRAME * 3 // 2], joined[FRAME * 3 // 2 :]]

        return change

    one, other = Phone(1), Phone(2)
    forwarding(office, repacked(), one, other)
    forwarding(office, repacked(), other, one)
    never(office, 20.0)


def test_a_server_that_changes_the_volume_ends_in_doubt(office: Office):
    one, other = Phone(1), Phone(2)
    table = bytes(byte & 0x80 | max(0, (byte & 0x7F) - 5) for byte in range(256))
    forwarding(office, lambda payload: [payload.translate(table)], one, other)
    forwarding(office, lambda payload: [payload.translate(table)], other, one)
    never(office, 20.0)


def test_who_only_listens_is_nobodys_partner(office: Office):
    """A supervisor hears an agent, whose customer is not on this relay: joined to the agent, it would be heard."""
    forwarding(office, lambda payload: [payload], Phone(1), Phone(2, silent="dtx"))
    never(office, 20.0)
    assert not office.prints.denies(1, 2) and office.prints.denies(1, 3)


def test_a_supervisor_of_two_is_no_partner_and_makes_both_doubtful(office: Office):
    agent, customer, supervisor = Phone(1), Phone(2), Phone(3, silent="dtx")
    for talker, listener in ((agent, customer), (customer, agent)):
        frames = voice(office.random)

        def frame(talker: Phone = talker, listener: Phone = listener, frames=frames) -> None:  # type: ignore[no-untyped-def]
            said = office.say(talker, next(frames))
            office.hear(listener, talker, said)
            office.hear(supervisor, talker, said, 0.02)

        office.activities.append(frame)
    never(office, 20.0)


@pytest.mark.parametrize("apart", [0.0, 0.001, 0.02, 0.1, 0.4])
def test_announcements_and_music_on_hold_for_many_pair_nobody(office: Office, apart: float):
    office.broadcast([Phone(stream) for stream in range(12)], apart)
    office.broadcast([Phone(stream, law=A_LAW) for stream in range(12, 16)], apart)
    never(office, 10.0)


@pytest.mark.parametrize("silent", ["noise", "zeros", "dtx"])
@pytest.mark.parametrize("members", [3, 5])
def test_members_of_a_conference_are_no_pair_however_they_are_silent(office: Office, silent: str, members: int):
    phones = [Phone(stream, silent=silent, loss=0.05) for stream in range(members)]
    office.converse(*phones, mixes=members == 5)
    never(office, 30.0)


def test_two_of_three_are_in_doubt_as_soon_as_the_third_is_heard_whom_the_server_transcodes(office: Office):
    """To the two it looks as if they were alone; but some of what they hear they have not said."""
    one, other, third = Phone(1), Phone(2), Phone(3)
    office.converse(one, other)
    office.run(10.0)
    frames = voice(office.random)

    def frame() -> None:
        said = office.say(third, next(frames))
        for listener in (one, other):
            office.play(listener, said[1:] + said[:1])

    office.activities[:] = [frame]
    office.run(3.0)
    assert office.prints.pairs() == []


# -- what changes in the middle -------------------------------------------------------------------------


def test_a_transfer_in_the_middle_of_the_evidence_leaves_no_pair_that_is_not_one_any_more(office: Office):
    one, other, third = Phone(1), Phone(2), Phone(3)
    for seconds in (0.6, 0.9, 1.2, 1.8, 2.4):
        office.activities[:] = []
        office.converse(one, other)
        office.run(seconds)
        office.activities[:] = []
        office.converse(one, third)
        office.run(1.0)  # what both said first has been heard and is ripe
        never(office, 5.0, (1, 3))


def test_two_calls_between_the_same_people_that_are_swapped_are_followed(office: Office):
    phones = [Phone(stream, silent="dtx") for stream in range(4)]
    office.converse(*phones[:2])
    office.converse(*phones[2:])
    in_time(office, (0, 1), (2, 3))
    office.activities[:] = []
    office.converse(phones[0], phones[3])
    office.converse(phones[2], phones[1])
    office.run(2.5)
    in_time(office, (0, 3), (1, 2))


def test_two_who_were_led_apart_are_no_pair_as_soon_as_either_speaks_to_somebody_unseen(office: Office):
    """One goes on with somebody for whom the server transcodes, the other hears music: no payload says where to."""
    one, other = Phone(1), Phone(2)
    office.converse(one, other)
    office.run(10.0)
    assert office.prints.pairs() == [(1, 2)]
    frames = voice(office.random)
    office.activities[:] = [lambda: (office.say(one, next(frames)), None)[1]]
    office.run(3.0)
    assert office.prints.pairs() == []


def test_two_who_were_led_apart_are_no_pair_as_soon_as_either_hears_something_else(office: Office):
    one, other = Phone(1), Phone(2)
    office.converse(one, other)
    office.run(10.0)
    assert office.prints.pairs() == [(1, 2)]
    office.activities[:] = []
    office.broadcast([other])
    office.run(3.0)
    assert office.prints.pairs() == []


# -- malice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 1, 5, 30, 100])
def test_who_sends_everything_it_hears_into_another_call_joins_nobody_to_anybody(office: Office, delay: int):
    """1 talks to 2, 3 to 4; 2 and 3 are one attacker, who passes on what he hears, so many frames later."""
    victims, attacker = (Phone(1), Phone(4)), (Phone(2), Phone(3))
    for index in (0, 1):
        frames = voice(office.random)
        copies = deque([b"\xff" * FRAME] * (delay + 1))

        def frame(index: int = index, frames=frames, copies: deque[bytes] = copies) -> None:  # type: ignore[no-untyped-def]
            said = office.say(victims[index], next(frames))
            office.hear(attacker[index], victims[index], said)
            copies.append(said)
            copy = office.say(attacker[1 - index], copies.popleft())
            office.hear(victims[1 - index], attacker[1 - index], copy)

        office.activities.append(frame)
    never(office, 15.0, (1, 2), (3, 4))


@pytest.mark.parametrize("ahead", [0.0, 0.005, 0.02])
def test_who_copies_somebody_in_a_call_with_a_third_is_nobodys_partner(office: Office, ahead: float):
    """An attacker on the victim's network sends the victim's own packets, as soon as or before the victim does."""
    victim, partner, attacker, third = (Phone(stream) for stream in range(1, 5))
    office.converse(victim, partner)
    frames = voice(office.random)

    def frame() -> None:
        said = next(frames)
        office.now -= ahead
        copy = office.say(attacker, said)
        office.now += ahead
        office.hear(third, attacker, copy)
        office.hear(partner, victim, office.say(victim, said))

    office.activities.append(frame)
    never(office, 15.0, (1, 2))


def test_who_is_heard_by_the_attacker_over_an_outside_line_is_not_taken_for_its_partner(office: Office):
    """The victim talks to the attacker on a trunk, who plays it all into another call from there to himself."""
    forwarding(office, lambda payload: [payload], Phone(1), Phone(9, silent="dtx"))
    office.converse(Phone(7), Phone(8))
    never(office, 20.0, (7, 8))


@pytest.mark.parametrize("step", [0, 1, 7])
def test_phones_that_hold_with_the_same_music_are_not_mixed_up(office: Office, step: int):
    """Phone 1 holds 2 and phone 3 holds 4, with the maker's file, in step or so many frames apart."""
    music = [frame for frame in SPEECH_FRAMES if len(set(frame)) > 20] * 2
    position = 0
    holders, held = (Phone(1), Phone(3)), (Phone(2), Phone(4))

    def frame() -> None:
        nonlocal position
        for index in (0, 1):
            said = office.say(holders[index], music[position + index * step])
            office.hear(held[index], holders[index], said)
        position += 1

    office.activities.append(frame)
    never(office, 12.0)


def test_an_echo_test_is_nobodys_partner_even_if_two_speak_the_same(office: Office):
    frames = [next(voice(office.random)) for _ in range(700)]
    position = 0
    phones = Phone(1), Phone(2)

    def frame() -> None:
        nonlocal position
        for phone in phones:
            office.hear(phone, phone, office.say(phone, frames[position]))
        position += 1

    office.activities.append(frame)
    never(office, 12.0)


def test_the_two_laws_make_no_one_an_echo_of_another(office: Office):
    """What one says in mu-law and another in A-law at once is common, and nothing follows."""
    one, same, listeners = Phone(1), Phone(2, law=A_LAW), (Phone(3), Phone(4, law=A_LAW))
    frames = voice(office.random)

    def frame() -> None:
        said = next(frames)
        for talker, listener in zip((one, same), listeners, strict=True):
            office.hear(listener, talker, office.say(talker, said))

    office.activities.append(frame)
    never(office, 12.0)


# -- whether these tests would notice ------------------------------------------------------------------


def test_a_table_of_the_wrong_direction_would_be_noticed():
    frame = max(SPEECH_FRAMES, key=lambda each: len(set(each)))
    right, wrong = frame.translate(SERVERS_TABLE[MU_LAW, A_LAW]), frame.translate(A_TO_MU)
    known = hash_of(PAYLOAD_TYPE[MU_LAW], frame)
    assert hash_of(PAYLOAD_TYPE[A_LAW], right) == known != hash_of(PAYLOAD_TYPE[A_LAW], wrong)


def _one_way_is_enough(self: Evidence) -> bool:
    return any(len(matches) >= 8 for matches in self.standing())


def _once_proven_for_ever(self: Fingerprints, one: int, other: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("owner", "rule", "broken", "trial"),
    [
        (Evidence, "suffices", _one_way_is_enough, test_who_only_listens_is_nobodys_partner),
        (Fingerprints, "_mostly", _once_proven_for_ever,
         test_two_who_were_led_apart_are_no_pair_as_soon_as_either_speaks_to_somebody_unseen),
        (Fingerprints, "_mostly", _once_proven_for_ever,
         test_two_who_were_led_apart_are_no_pair_as_soon_as_either_hears_something_else),
    ],
)  # fmt: skip
def test_without_one_of_the_rules_there_is_a_wrong_pair(
    office: Office, monkeypatch: pytest.MonkeyPatch, owner: type, rule: str, broken: object,
    trial: Callable[[Office], None],
):  # fmt: skip
    monkeypatch.setattr(owner, rule, broken)
    with pytest.raises(AssertionError):
        trial(office)


def test_without_any_rule_histories_have_wrong_pairs(monkeypatch: pytest.MonkeyPatch):
    """One match is enough, nothing speaks against it, and nothing is waited for."""
    monkeypatch.setattr(Evidence, "suffices", lambda self: bool(self.standing()))
    monkeypatch.setattr(Fingerprints, "_mostly", _once_proven_for_ever)
    monkeypatch.setattr(Fingerprints, "_contradict", lambda self, at, *streams: None)
    monkeypatch.setattr(fingerprint, "RIPE_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="are taken for a pair"):
        history(3, calls=20)
