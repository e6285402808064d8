"""What a dead server was given and did not pass on."""

from haproxy_voip.rtp.undelivered import KEPT, LATE_SECONDS, latest, undelivered


def test_what_was_said_after_the_server_last_spoke_and_nothing_before() -> None:
    said = latest()
    for at in (10.00, 10.02, 10.04):
        said.append((at, bytearray(b"said at %.2f" % at)))
    assert undelivered(said, 10.01, 10.05) == [(10.02, b"said at 10.02"), (10.04, b"said at 10.04")]
    assert undelivered(said, 10.02, 10.05) == [(10.04, b"said at 10.04")]
    assert undelivered(said, 10.04, 10.05) == []


def test_no_later_than_a_phone_has_room_for() -> None:
    said = latest()
    for at in (10.00, 10.02, 10.04):
        said.append((at, bytearray()))
    assert [at for at, _ in undelivered(said, 9.0, 10.03 + LATE_SECONDS)] == [10.04]
    assert undelivered(said, 9.0, 10.04 + LATE_SECONDS) == []


def test_no_more_than_are_kept() -> None:
    said = latest()
    for number in range(100):
        said.append((10.0 + number / 1000, bytearray(b"%d" % number)))
    assert [packet for _, packet in undelivered(said, 10.0, 10.1)] == [b"%d" % n for n in range(100 - KEPT, 100)]
