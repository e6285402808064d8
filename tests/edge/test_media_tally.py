"""What a party is reported to have sent."""

from haproxy_voip.edge.media_tally import Tally
from haproxy_voip.rtp.flow import Counters
from haproxy_voip.rtp.sequence import Reception


def test_nothing_came_yet_is_told_as_such():
    assert Tally(Reception(8000)).counters() == Counters()


def test_loss_and_jitter_come_from_the_reception_and_the_report_does_not_change_later():
    tally = Tally(Reception(8000), packets=2, bytes=344, rtcp=1, last_arrival=5.0, dropped=3, unsent=4, refused=5)
    tally.reception.arrived(1, 0, 1, 5.0)
    tally.reception.arrived(4, 0, 1, 5.0)
    report = tally.counters()
    tally.packets += 1
    assert report == Counters(2, 344, 1, 2, 0.0, 5.0, 3, 4, 5)
