"""Who hears whom, and every way we know to be deceived about it."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.rtp import fingerprint
from haproxy_voip.rtp.fingerprint import (
    MATCHES_EACH_WAY,
    MEMORY_SECONDS,
    PRINT_BYTES,
    RIPE_SECONDS,
    WINDOW_SECONDS,
    hash_of,
    sampled,
    sampled_by_hash,
)
from haproxy_voip.rtp.g711 import A_TO_MU, MU_TO_A
from tests.rtp.exchange import PACKET, Exchange


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


# -- what must be recognised ----------------------------------------------------------------------------


def test_a_conversation_is_a_pair_after_a_few_words(exchange: Exchange):
    exchange.converse(1, 2, words=MATCHES_EACH_WAY - 1)
    assert exchange.rest().pairs == []
    exchange.converse(1, 2, words=1)
    assert exchange.rest().pairs == [(1, 2)]
    assert (exchange.prints.partner_of(1), exchange.prints.partner_of(2)) == (2, 1)


def test_nothing_is_believed_before_it_has_stood_for_a_while(exchange: Exchange):
    exchange.converse(1, 2)
    assert exchange.pairs == []
    exchange.prints.advance(exchange.now + RIPE_SECONDS)
    assert exchange.pairs == [(1, 2)]


def test_loss_and_reordering_cost_time_and_nothing_else(exchange: Exchange):
    exchange.loss = 0.2
    payloads = [exchange.voice() for _ in range(60)]
    for index, payload in enumerate(payloads):
        talker, listener = (1, 2) if index % 7 < 4 else (2, 1)
        exchange.says(talker, payload)
        exchange.hears(listener, payload, 0.25 if index % 3 == 0 else 0.001)
        exchange.wait(PACKET)
    assert exchange.rest().pairs == [(1, 2)]


def test_many_conversations_at_once_are_all_told_apart(exchange: Exchange):
    for _ in range(12):
        for first in range(0, 200, 2):
            for talker, listener in ((first, first + 1), (first + 1, first)):
                said = exchange.voice()
                exchange.says(talker, said)
                exchange.hears(listener, said, exchange.random.uniform(0.001, 0.2))
        exchange.wait(PACKET)
    assert exchange.rest().pairs == [(first, first + 1) for first in range(0, 200, 2)]


def test_hold_transfer_and_return_are_followed(exchange: Exchange):
    exchange.converse(1, 2)
    assert exchange.rest().pairs == [(1, 2)]
    exchange.wait(300.0)
    assert exchange.pairs == [(1, 2)]  # nobody spoke, and nothing speaks against it
    exchange.talk(1, 3)
    assert exchange.rest().pairs == []  # at the first word to somebody else
    exchange.converse(1, 3, words=14)
    assert exchange.rest().pairs == [(1, 3)]


def test_who_was_left_by_a_transfer_has_no_partner(exchange: Exchange):
    exchange.converse(1, 2, words=10)
    exchange.converse(3, 2, words=16)
    assert exchange.rest().pairs == [(2, 3)]
    assert exchange.prints.partner_of(1) is None


def test_signalling_may_make_us_forget(exchange: Exchange):
    exchange.converse(1, 2)
    exchange.prints.forget(2)
    assert exchange.rest().pairs == []
    assert exchange.prints.partner_of(1) is None
    exchange.converse(2, 1, words=16)
    assert exchange.rest().pairs == [(1, 2)]


# -- what proves nothing --------------------------------------------------------------------------------


def test_tones_and_silence_repeat_themselves(exchange: Exchange):
    tone = [exchange.voice() for _ in range(28)]  # as measured: 28 different payloads in 251
    for turn in range(400):
        exchange.talk(1, 2, payload=tone[turn % 28])
    assert exchange.rest().pairs == []


def test_a_tone_so_long_that_it_seems_voice_takes_back_what_it_proved(exchange: Exchange):
    tone = [exchange.voice() for _ in range(20)]
    exchange.talk(2, 1, packets=MATCHES_EACH_WAY)
    for payload in tone:
        exchange.talk(1, 2, payload=payload)
    assert exchange.rest().pairs == [(1, 2)]
    for payload in tone[:18]:
        exchange.talk(1, 2, payload=payload)
    assert exchange.rest().pairs == []


def test_silence_on_many_calls_is_common_however_long_it_lasts(exchange: Exchange):
    silence = exchange.voice()
    for _ in range(600):
        for talker in (1, 2, 3, 4):
            exchange.says(talker, silence)
            exchange.hears(5 - talker, silence)
        exchange.wait(PACKET)
    assert exchange.pairs == []
    assert not any(exchange.prints.is_echo(stream) for stream in range(1, 5))


def test_music_on_hold_and_announcements_to_many_come_from_servers_alone(exchange: Exchange):
    for _ in range(200):
        note = exchange.voice()
        for listener in range(1, 8):
            exchange.hears(listener, note, exchange.random.uniform(0.0, 0.3))
        exchange.wait(PACKET)
    assert exchange.rest().pairs == []


def test_an_announcement_that_starts_for_each_caller_at_another_time_is_common(exchange: Exchange):
    words = [exchange.voice() for _ in range(60)]
    for turn in range(100):
        for caller in range(4):
            if 0 <= turn - 11 * caller < len(words):
                exchange.hears(caller, words[turn - 11 * caller])
        exchange.wait(PACKET)
    assert exchange.rest().pairs == []


def test_phones_that_play_the_same_music_to_whom_they_hold_are_not_mixed_up(exchange: Exchange):
    """Phone 1 holds 2 and phone 3 holds 4, with the same file from the maker, nearly in step."""
    notes = [exchange.voice() for _ in range(200)]
    for turn in range(190):
        for phone, held, offset in ((1, 2, 0), (3, 4, 1)):
            exchange.says(phone, notes[turn + offset])
            exchange.hears(held, notes[turn + offset], 0.002)
        exchange.wait(PACKET)
    assert all(pair in ([1, 2], [3, 4]) for pair in map(list, exchange.rest().pairs))
    assert exchange.pairs == []  # common to two clients: not even the right ones


def test_a_recording_is_heard_too_late(exchange: Exchange):
    """Voicemail listened to after it was spoken, parking announcements, delayed playback."""
    for _ in range(40):
        said = exchange.voice()
        exchange.says(1, said)
        exchange.hears(2, said, WINDOW_SECONDS + 0.05)
        exchange.wait(PACKET)
    assert exchange.rest().pairs == []


def test_a_message_played_back_again_and_again_never_pairs(exchange: Exchange):
    message = [exchange.voice() for _ in range(50)]
    for payload in message:
        exchange.talk(1, payload=payload)
    for start in (10.0, MEMORY_SECONDS, 2 * MEMORY_SECONDS):
        exchange.wait(start)
        for payload in message:
            exchange.hears(2, payload)
            exchange.wait(PACKET)
    assert exchange.rest().pairs == []


def test_an_echo_test_is_an_echo_and_nobodys_partner(exchange: Exchange):
    exchange.talk(1, 1, packets=20)
    exchange.rest()
    assert exchange.pairs == [] and exchange.prints.partner_of(1) is None
    assert exchange.prints.is_echo(1) and not exchange.prints.is_echo(2)


def test_two_calls_between_the_same_people_with_the_same_words_stay_undecided(exchange: Exchange):
    """A phone that sends one microphone into two calls: which of them is meant?"""
    for _ in range(50):
        said = exchange.voice()
        for talker, listener in ((1, 2), (3, 4)):
            exchange.says(talker, said)
            exchange.hears(listener, said)
        exchange.wait(PACKET)
    assert exchange.rest().pairs == []


def test_two_calls_between_the_same_people_are_two_pairs_when_one_is_held(exchange: Exchange):
    exchange.converse(1, 2)
    exchange.converse(3, 4)
    assert exchange.rest().pairs == [(1, 2), (3, 4)]


@pytest.mark.parametrize("members", [3, 4, 7])
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.2, 0.7])
def test_members_of_a_conference_are_never_a_pair(members: int, loss: float):
    """Whoever speaks alone is sent unchanged to all others; losses make it look as if to one of them only."""
    for seed in range(4):
        exchange = Exchange(random=Random(seed), loss=loss)
        for _ in range(60):
            talker = exchange.random.randrange(members)
            others = [member for member in range(members) if member != talker]
            exchange.talk(talker, *others, packets=exchange.random.randrange(1, 12))
            assert exchange.pairs == [], (seed, exchange.now)


def test_a_third_who_joins_makes_two_no_longer_a_pair(exchange: Exchange):
    exchange.converse(1, 2)
    assert exchange.rest().pairs == [(1, 2)]
    exchange.talk(1, 2, 3)
    assert exchange.pairs == []
    exchange.talk(1, 2, 3, packets=30)
    assert exchange.rest().pairs == []


def test_a_supervisor_who_listens_is_a_reason_for_doubt_and_never_a_partner(exchange: Exchange):
    for _ in range(40):
        exchange.talk(1, 2, 9)
        exchange.talk(2, 1, 9)
    assert exchange.rest().pairs == []


def test_one_word_heard_elsewhere_is_a_reason_against_any_other_pair(exchange: Exchange):
    assert not exchange.prints.denies(1, 2)
    exchange.talk(1, 3)
    exchange.rest()
    assert exchange.prints.denies(1, 2) and exchange.prints.denies(2, 1) and exchange.prints.denies(3, 4)
    assert not exchange.prints.denies(1, 3) and not exchange.prints.denies(2, 4)
    exchange.prints.forget(1)
    assert not exchange.prints.denies(1, 2)


# -- malice ---------------------------------------------------------------------------------------------


def test_who_repeats_what_it_hears_becomes_nobodys_partner(exchange: Exchange):
    """A member of a conference echoes another's packets, to be taken for it."""
    for delay in (0.0, 0.001, 0.03):
        for _ in range(30):
            said = exchange.voice()
            exchange.says(1, said)
            exchange.hears(2, said, 0.002)
            exchange.passing.append((exchange.now + delay, 9, "client", said))
            exchange.wait(PACKET)
        assert exchange.rest().pairs == []


def test_a_client_first_heard_from_a_server_proves_nothing(exchange: Exchange):
    """A hairpin, an acoustic echo, a gateway that loops: the client only sends back what it was sent."""
    for _ in range(60):
        said = exchange.voice()
        exchange.hears(1, said, 0.0)
        exchange.passing.append((exchange.now + 0.01, 1, "client", said))
        exchange.hears(2, said, 0.02)
        exchange.wait(PACKET)
    assert exchange.rest().pairs == []


def test_a_few_collisions_pair_nobody_and_do_not_outweigh_the_truth(exchange: Exchange):
    for turn in range(60):
        exchange.converse(1, 2, words=1)
        exchange.converse(3, 4, words=1)
        if turn % 20 == 10:
            collision = exchange.voice()
            exchange.says(1, collision)
            exchange.hears(4, collision)
        assert set(exchange.pairs) <= {(1, 2), (3, 4)}
    assert exchange.rest().pairs == [(1, 2), (3, 4)]


def test_a_hash_of_few_bits_pairs_nobody_wrongly():
    """Were the hash as bad as 10 bits, everything would be common."""
    exchange = Exchange()
    for _ in range(300):
        for talker, listener in ((1, 2), (2, 1), (3, 4), (4, 3)):
            said = exchange.random.getrandbits(10)
            exchange.says(talker, said)
            exchange.hears(listener, said, 0.01)
        exchange.wait(PACKET)
        assert set(exchange.pairs) <= {(1, 2), (3, 4)}


def test_when_payloads_were_missed_nothing_heard_until_then_counts(exchange: Exchange):
    exchange.converse(1, 2)
    exchange.prints.missed()
    assert exchange.rest().pairs == []


def test_memory_is_bounded_and_the_oldest_give_way(exchange: Exchange, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fingerprint, "MAX_PAYLOADS", 500)
    monkeypatch.setattr(fingerprint, "MAX_STREAMS", 40)
    for first in range(0, 400, 2):
        exchange.converse(first, first + 1)
        exchange.prints.forget(first + 100_000)
    exchange.rest()
    assert len(exchange.prints._payloads) <= 500
    assert len(exchange.prints._evidence) <= 40 and len(exchange.prints._anew_at) <= 40
    assert len(exchange.prints._said) <= 40 and len(exchange.prints._told) <= 40
    assert exchange.pairs[-1] == (398, 399)
    exchange.wait(MEMORY_SECONDS)
    assert exchange.prints._payloads == {}


def test_about_one_payload_in_eight_is_looked_at_and_the_same_for_all():
    random = Random(3)
    payloads = [random.randbytes(160) for _ in range(4000)]
    assert 400 < sum(map(sampled, payloads)) < 600
    assert all(sampled(memoryview(payload)) == sampled(payload) for payload in payloads)


def test_speech_is_sampled_as_often_and_alike_in_both_laws():
    """Neighbouring samples have the same sign more often than not."""
    random, level, looked_at, count = Random(4), 0.0, 0, 4000
    for _ in range(count):
        speech = bytearray()
        for _ in range(160):
            level = 0.95 * level + random.gauss(0.0, 1.0)
            speech.append((0x80 if level >= 0 else 0) | min(127, int(abs(level) * 9)))
        looked_at += sampled(speech)
        assert sampled(speech) == sampled(speech.translate(A_TO_MU)) == sampled(speech.translate(MU_TO_A))
    assert 0.06 < looked_at / count < 0.20  # the key is each process's own


def test_what_is_looked_at_by_its_hash_is_one_in_eight_as_well_and_alike_in_both_laws():
    random = Random(5)
    payloads = [random.randbytes(PRINT_BYTES) for _ in range(4000)]
    assert 400 < sum(sampled_by_hash(hash_of(8, payload)) for payload in payloads) < 600
    for payload in payloads:
        assert sampled_by_hash(hash_of(8, payload)) == sampled_by_hash(hash_of(0, payload.translate(A_TO_MU)))


# -- everything at once ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 0.6))
def test_no_two_are_ever_paired_who_do_not_talk_with_each_other_alone(seed: int, loss: float):
    """Calls, conferences, echoes, announcements, tones and transfers, in any mixture."""
    exchange = Exchange(random=Random(seed), loss=loss)
    random, tone = exchange.random, [Random(seed).getrandbits(64) for _ in range(9)]
    streams = list(range(24))
    random.shuffle(streams)
    friends = dict(zip(streams[:10:2], streams[1:10:2], strict=True))
    friends |= {b: a for a, b in friends.items()}
    room, echo, listeners = streams[10:14], streams[14], streams[15:20]
    for turn in range(80):
        if turn == 40:  # a transfer: two couples change partners
            (a, b), (c, d) = (streams[0], streams[1]), (streams[2], streams[3])
            friends |= {a: c, c: a, b: d, d: b}
        for talker, listener in friends.items():
            if random.random() < 0.5:
                said = random.choice(tone) if random.random() < 0.3 else exchange.voice()
                exchange.says(talker, said)
                exchange.hears(listener, said, random.uniform(0.0, 0.2))
        said = exchange.voice()
        talker = random.choice(room)
        exchange.says(talker, said)
        for member in room:
            if member != talker:
                exchange.hears(member, said, random.uniform(0.0, 0.1))
        said, note = exchange.voice(), random.choice(tone) if turn % 2 else exchange.voice()
        exchange.says(echo, said)
        exchange.hears(echo, said)
        for listener in listeners:
            exchange.hears(listener, note, random.uniform(0.0, 0.1))
        exchange.wait(PACKET)
        known = dict(friends)
        for one, other in exchange.pairs:
            assert known.get(one) == other or turn in range(40, 60)  # until they spoke again
    for one, other in exchange.rest().pairs:
        assert friends[one] == other
