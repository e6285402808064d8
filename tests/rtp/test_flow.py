"""Who is latched, who is dropped, who displaces whom (RFC 7362)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.core.address import Address
from haproxy_voip.rtp.flow import PROBATION, SETTLE_SECONDS, Latch, Party, Verdict, rtcp_of, usable

SDP = Address("198.51.100.7", 4000)
OTHER_PORT = Address("198.51.100.7", 4444)  # same host as the SDP's
SIGNALLING = "203.0.113.9"
BEHIND_NAT = Address(SIGNALLING, 61000)
STRANGER = Address("192.0.2.66", 5000)
LOCAL = Address("192.0.2.1", 20000)


class Ear:
    """Feeds a latch with packets whose sequence numbers run on, source by source."""

    def __init__(self, remote: Address | None = SDP, signalling_host: str = SIGNALLING) -> None:
        self.latch = Latch(remote, signalling_host, 0.0)
        self.now = 0.0
        self.sequences: dict[Address, int] = {}

    def hear(self, source: Address, count: int = 1) -> Verdict:
        """The last verdict on `count` packets, 20 ms apart."""
        verdict = Verdict.DROP
        for _ in range(count):
            self.now += 0.02
            sequence = self.sequences[source] = (self.sequences.get(source, 65533) + 1) & 0xFFFF
            verdict = self.latch.accept(source, hash(source.port), sequence, self.now)
        return verdict

    def renew(self, remote: Address | None = SDP, signalling_host: str = SIGNALLING) -> None:
        self.latch.renew(remote, signalling_host, self.now)


def test_until_it_is_heard_a_party_is_where_its_sdp_says():
    assert Ear().latch.target == SDP
    assert Ear(None).latch.target is None
    assert Ear().latch.peer is None


@pytest.mark.parametrize("source", [SDP, OTHER_PORT, BEHIND_NAT])
def test_a_source_that_signalling_vouches_for_is_latched_by_its_first_packet(source: Address):
    ear = Ear()
    assert ear.hear(source) is Verdict.LATCH
    assert ear.latch.target == source
    assert ear.hear(source) is Verdict.RELAY


def test_a_stranger_is_latched_after_four_packets_in_a_row():
    ear = Ear()
    assert ear.hear(STRANGER, PROBATION - 1) is Verdict.DROP
    assert ear.latch.target == SDP
    assert ear.hear(STRANGER) is Verdict.LATCH


def test_a_scan_from_many_ports_latches_nothing():
    ear = Ear()
    for port in range(1024, 3000):
        assert ear.hear(Address(STRANGER.host, port)) is Verdict.DROP
    assert ear.latch.target == SDP


def test_a_gap_or_another_ssrc_begins_the_probation_anew():
    latch = Latch(SDP, SIGNALLING, 0.0)
    for ssrc, sequence in [(1, 1), (1, 2), (1, 3), (1, 5), (1, 6), (1, 7), (2, 8), (2, 9), (2, 10)]:
        assert latch.accept(STRANGER, ssrc, sequence, 0.0) is Verdict.DROP
    assert latch.accept(STRANGER, 2, 11, 0.0) is Verdict.LATCH


def test_packets_without_a_sequence_number_count_only_from_one_source():
    latch = Latch(SDP, SIGNALLING, 0.0)
    for _ in range(3):
        assert latch.accept(STRANGER, -1, -1, 0.0) is Verdict.DROP
        assert latch.accept(Address(STRANGER.host, 9), -1, -1, 0.0) is Verdict.DROP
    verdicts = [latch.accept(STRANGER, -1, -1, 0.0) for _ in range(PROBATION)]
    assert verdicts[-1] is Verdict.LATCH


def test_a_better_source_displaces_a_worse_one_and_never_the_other_way():
    ear = Ear()
    ear.hear(STRANGER, PROBATION)
    assert ear.hear(BEHIND_NAT) is Verdict.LATCH
    assert ear.hear(STRANGER, 10) is Verdict.DROP
    assert ear.hear(SDP) is Verdict.LATCH
    assert ear.hear(BEHIND_NAT, 10) is Verdict.DROP
    assert ear.latch.target == SDP


@pytest.mark.parametrize("source", [OTHER_PORT, BEHIND_NAT])
def test_a_source_of_equal_rank_displaces_nobody(source: Address):
    ear = Ear()
    ear.hear(source)
    assert ear.hear(Address(source.host, 7777), 20) is Verdict.DROP
    assert ear.latch.target == source


def test_a_latch_settles_at_once_where_the_sdp_says_later_for_a_vouched_host_never_for_a_stranger():
    exact, vouched, stranger = Ear(), Ear(), Ear()
    exact.hear(SDP)
    vouched.hear(BEHIND_NAT)
    stranger.hear(STRANGER, PROBATION)
    later = 1.0 + SETTLE_SECONDS
    assert exact.latch.settled(exact.now)
    assert not vouched.latch.settled(vouched.now) and vouched.latch.settled(later)
    assert not stranger.latch.settled(stranger.now + 1e6)
    assert not Ear().latch.settled(later)


def test_a_new_generation_lets_a_rebound_nat_latch_anew_and_keeps_the_old_one_until_then():
    ear = Ear()
    ear.hear(BEHIND_NAT)
    ear.renew()
    assert ear.latch.target == BEHIND_NAT and not ear.latch.settled(1e9)
    assert ear.hear(BEHIND_NAT) is Verdict.RELAY
    assert ear.hear(Address(SIGNALLING, 61002)) is Verdict.LATCH
    assert ear.hear(BEHIND_NAT) is Verdict.DROP


def test_in_a_new_generation_who_goes_on_speaking_is_frozen_again_after_two_seconds():
    ear = Ear()
    ear.hear(BEHIND_NAT)
    ear.renew()
    ear.hear(BEHIND_NAT, round(SETTLE_SECONDS / 0.02) + 1)
    assert ear.hear(Address(SIGNALLING, 61002)) is Verdict.DROP
    assert ear.latch.settled(ear.now)


def test_a_new_generation_opens_nothing_to_a_lower_rank():
    ear = Ear()
    ear.hear(BEHIND_NAT)
    ear.renew()
    assert ear.hear(STRANGER, 50) is Verdict.DROP
    ear = Ear()
    ear.hear(SDP)
    ear.renew()
    assert ear.hear(BEHIND_NAT) is Verdict.DROP
    assert ear.latch.settled(ear.now)


def test_after_failover_the_old_backend_is_fenced_and_the_new_one_is_sent_to_at_once():
    alpha, beta = Address("10.0.0.11", 12000), Address("10.0.0.12", 14000)
    ear = Ear(alpha, alpha.host)
    ear.hear(alpha)
    ear.renew(None, beta.host)  # asked, has not answered
    assert ear.latch.target is None
    assert ear.hear(alpha, 10) is Verdict.DROP
    ear.renew(beta, beta.host)
    assert ear.latch.target == beta
    assert ear.hear(alpha, 10) is Verdict.DROP
    assert ear.hear(beta) is Verdict.LATCH


def test_the_old_backend_is_fenced_also_when_both_are_on_one_host():
    alpha, beta = Address("10.0.0.11", 12000), Address("10.0.0.11", 14000)
    ear = Ear(alpha, alpha.host)
    ear.hear(alpha)
    ear.renew(beta, beta.host)
    assert ear.hear(alpha, 10) is Verdict.DROP
    assert ear.latch.target == beta
    ear.renew(alpha, alpha.host)  # and back
    assert ear.hear(alpha) is Verdict.LATCH


def test_behind_nat_another_address_in_the_sdp_does_not_stop_the_audio():
    ear = Ear(Address("192.168.1.5", 4000))
    ear.hear(BEHIND_NAT)
    ear.renew(Address("192.168.1.5", 4002))
    assert ear.latch.target == BEHIND_NAT
    assert ear.hear(BEHIND_NAT) is Verdict.RELAY
    assert ear.hear(Address(SIGNALLING, 61002)) is Verdict.LATCH


def test_a_client_that_changed_networks_is_no_longer_sent_to_where_it_was():
    ear = Ear(Address("192.168.1.5", 4000))
    ear.hear(BEHIND_NAT)
    ear.renew(Address("10.7.7.7", 4000), "198.51.100.99")
    assert ear.latch.target == Address("10.7.7.7", 4000)
    assert ear.hear(BEHIND_NAT, 10) is Verdict.DROP
    assert ear.hear(Address("198.51.100.99", 5555)) is Verdict.LATCH


def test_hold_without_an_address_is_no_news():
    """RFC 3264 8.4: c=0.0.0.0, which the caller hands on as no address."""
    ear = Ear()
    ear.hear(SDP)
    ear.renew(None)
    assert ear.latch.target == SDP
    assert ear.hear(SDP) is Verdict.RELAY


RANKS = {SDP: 3, OTHER_PORT: 2, BEHIND_NAT: 2, STRANGER: 1}


@settings(max_examples=60)
@given(st.lists(st.sampled_from(list(RANKS)), max_size=60))
def test_within_a_generation_rank_never_falls_and_who_is_dropped_is_never_sent_to(sources: list[Address]):
    ear, rank = Ear(), 0
    for source in sources:
        before = ear.latch.target
        verdict = ear.hear(source)
        if verdict is Verdict.LATCH:
            assert RANKS[source] > rank
            rank = RANKS[source]
        assert ear.latch.target == (before if verdict is Verdict.DROP else source)


@pytest.mark.parametrize(
    "remote",
    [
        Address("0.0.0.0", 4000),
        Address("198.51.100.7", 0),
        Address("224.0.0.1", 4000),
        Address("255.255.255.255", 4000),
        Address("phone.example", 4000),
        Address("2001:db8::1", 4000),
        Address("198.51.100.7", 70000),
        Address("", 4000),
        LOCAL,
        None,
    ],
)
def test_what_must_not_be_sent_to_is_no_address(remote: Address | None):
    assert usable(LOCAL, remote) is None


def test_hosts_are_compared_as_the_kernel_writes_them():
    assert usable(Address("::1", 20000), Address("2001:DB8:0:0::01", 4000)) == Address("2001:db8::1", 4000)
    assert usable(LOCAL, SDP) == SDP


def test_rtcp_goes_one_port_up_unless_the_sdp_names_another():
    assert rtcp_of(Party(LOCAL, SDP)) == Address(SDP.host, 4001)
    assert rtcp_of(Party(LOCAL, SDP, remote_rtcp=BEHIND_NAT)) == BEHIND_NAT
    assert rtcp_of(Party(LOCAL, None)) is None
