"""Numbers and laws between parties that were never told of each other."""

from dataclasses import replace

from haproxy_voip.core.address import Address
from haproxy_voip.rtp.flow import Party, PayloadTypes, StreamPlan
from haproxy_voip.rtp.g711 import A_TO_MU, MU_TO_A
from haproxy_voip.rtp.payload_types import Becomes, can_be_joined, conversion, speech

BOTH: PayloadTypes = ((0, "pcmu/8000"), (8, "pcma/8000"), (101, "telephone-event/8000"))
ONLY_A: PayloadTypes = ((8, "pcma/8000"), (96, "telephone-event/8000"))
ONLY_MU: PayloadTypes = ((0, "pcmu/8000"),)
WIDE: PayloadTypes = ((111, "opus/48000/2"), (9, "g722/8000"))


def party(types: PayloadTypes = (), sends: PayloadTypes = ()) -> Party:
    return Party(Address("127.0.0.1", 4000), None, payload_types=types, sends=sends)


def plan(client: PayloadTypes, backend: PayloadTypes) -> StreamPlan:
    return StreamPlan(1, "rtp", party(client), party(backend))


def test_nothing_is_done_where_nothing_is_known_or_all_is_the_same():
    assert conversion(party(), (), party(BOTH)) is None
    assert conversion(party(BOTH), BOTH, party()) is None
    assert conversion(party(BOTH), BOTH, party(BOTH)) is None
    assert conversion(party(BOTH), ONLY_MU, party(BOTH)) is None


def test_the_same_codec_gets_the_receivers_number_and_the_other_law_is_converted():
    table = conversion(party(BOTH), BOTH, party(ONLY_A))
    assert table is not None
    assert (table[0], table[8], table[101]) == (Becomes(8, MU_TO_A), Becomes(8), Becomes(96))
    back = conversion(party(ONLY_A), ONLY_A, party(ONLY_MU))
    assert back is not None
    assert (back[8], back[96]) == (Becomes(0, A_TO_MU), None)


def test_what_the_receiver_does_not_know_is_dropped_even_under_a_number_it_uses_otherwise():
    table = conversion(party(), ((96, "opus/48000/2"), (0, "pcmu/8000")), party(ONLY_A))
    assert table is not None
    assert table[96] is None and table[0] == Becomes(8, MU_TO_A)


def test_a_static_number_nobody_named_passes_only_if_the_receiver_named_it():
    table = conversion(party(), ((96, "telephone-event/8000"), (8, "pcma/8000")), party((*BOTH, (13, "cn/8000"))))
    assert table is not None
    assert table[13] == Becomes(13) and table[0] == Becomes(0) and table[18] is None and table[110] is None


def test_what_a_party_was_told_first_goes_before_what_the_other_party_asks_for_now():
    """A phone that was never told of the next server goes on sending the first one's numbers."""
    table = conversion(party(BOTH, sends=((101, "telephone-event/8000"),)), BOTH, party(ONLY_A))
    assert table is not None and table[101] == Becomes(96)
    assert table[8] == Becomes(8)


def test_the_preferred_of_two_numbers_for_one_codec_is_taken():
    table = conversion(party(), ((97, "opus/48000/2"),), party(((111, "opus/48000/2"), (112, "opus/48000/2"))))
    assert table is not None and table[97] == Becomes(111)


def test_the_first_format_that_carries_sound_is_what_is_spoken():
    assert speech(((101, "telephone-event/8000"), (13, "cn/8000"), (8, "pcma/8000"))) == (8, "pcma/8000")
    assert speech(((13, "cn/8000"),)) is None
    assert speech(((97, ""),)) is None


def test_calls_can_be_joined_when_both_will_hear_something():
    assert can_be_joined(plan(BOTH, BOTH), plan(ONLY_A, ONLY_A))
    assert can_be_joined(plan(ONLY_MU, ONLY_MU), plan(ONLY_A, ONLY_A))
    assert not can_be_joined(plan(WIDE, WIDE), plan(BOTH, BOTH))
    assert not can_be_joined(plan((), ()), plan((), ()))
    assert not can_be_joined(replace(plan(BOTH, BOTH), encrypted=True), plan(BOTH, BOTH))
    assert not can_be_joined(replace(plan(BOTH, BOTH), kind="udptl"), plan(BOTH, BOTH))
    assert not can_be_joined(replace(plan(BOTH, BOTH), clock_hz=16000), plan(BOTH, BOTH))
