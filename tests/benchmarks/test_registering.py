"""The phones and backends whose registrations are weighed."""

import pytest

from benchmarks.parts.registering import World, flow_of
from haproxy_voip.configuration.model import RegistrationMode
from haproxy_voip.core.address import Transport


@pytest.mark.parametrize(("mode", "held"), [("mirror", [2, 2, 2]), ("active", [2, 0, 0])])
@pytest.mark.parametrize("way", [Transport.UDP, Transport.TCP])
def test_phones_are_registered_where_they_shall_be_and_nothing_else_stays(
    mode: RegistrationMode, held: list[int], way: Transport
) -> None:
    world = World(mode, ["1001", "1002"])
    for number, user in enumerate(("1001", "1002")):
        world.register(user, flow_of(number, way))
    world.pass_time(40.0)
    assert world.held() == held
    assert len(world.node.bindings) == 2
    assert len(world.node._shared.transactions) == 0
    [binding] = world.node.bindings.of("1001")
    assert (binding.reg_id, bool(binding.flow.connection)) == ((None, False) if way is Transport.UDP else (1, True))
