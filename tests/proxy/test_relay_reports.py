"""What the relay tells: ports that fail, streams that end."""

from haproxy_voip.configuration.kinds import PortRange
from haproxy_voip.configuration.model import MediaConfig
from haproxy_voip.core.address import Address
from haproxy_voip.proxy.events import MediaFailed, MediaLatched, MediaReport, PortsFree, PortsTaken
from haproxy_voip.proxy.facts import MediaCarried, MediaTrouble
from haproxy_voip.rtp.flow import Counters
from tests.proxy.stage import Stage
from tests.proxy.talk import calm, outgoing
from tests.proxy.test_media import plans
from tests.proxy.test_node import told


def test_media_events_end_in_the_node() -> None:
    stage = Stage()
    assert told(stage, MediaLatched(7, "client", Address("127.0.1.1", 7000))) == []
    outputs = told(stage, MediaFailed(7, "address in use"))
    assert any(isinstance(output, MediaTrouble) for output in outputs)


def test_what_a_stream_carried_is_told_when_it_ends() -> None:
    report = MediaReport(7, Counters(packets=500, lost=3, jitter=0.0021), Counters(packets=498))
    [fact] = told(Stage(), report)
    assert isinstance(fact, MediaCarried)
    assert str(fact) == (
        "media stream 7 ended: from the client 500 packets, 3 lost, jitter 2.1 ms; "
        "from the backend 498 packets, 0 lost, jitter 0.0 ms"
    )


def test_ports_of_an_earlier_process_are_no_calls_until_they_are_free() -> None:
    stage = calm(media=MediaConfig(ports=PortRange(20000, 20007), quarantine=1.0))
    assert told(stage, PortsTaken((20000, 20004, 40_000))) == []
    assert stage.command("status")["media_port_pairs"] == 2
    talk = outgoing(stage).established()
    [plan] = plans(stage)
    assert {plan.client.local.port, plan.backend.local.port} == {20002, 20006}
    assert told(stage, PortsFree((20004, 40_000))) == []
    assert stage.command("status")["media_port_pairs"] == 3
    assert told(stage, PortsFree((20000, 20000))) == []
    talk.hang_up()
