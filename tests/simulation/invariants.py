"""What must be so in every history, at every event, and when all is calm again."""

from __future__ import annotations

import re
from functools import cache

from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.effects import InstallStream, RemoveStream
from tests.simulation.cluster import BACKENDS, Cluster


class Invariants:
    """Watches a cluster from its beginning. AssertionError when something is not as it must be."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.proxies = 0  # that were watched, one after the other
        self.believers: list[str] = []  # backends that nobody told of the end of their calls
        cluster.world.invariants.append(self._check_pool)
        self.watch()

    def watch(self) -> None:
        """Look at all that this proxy does; to be said of each that is started."""
        cluster = self._cluster
        self.proxies += 1
        handlers = cluster.world.processes["proxy"].handlers
        send, install, remove = handlers[Send], handlers[InstallStream], handlers[RemoveStream]

        def checked_send(effect: Send) -> None:
            self._check_topology(effect)
            send(effect)

        def checked_install(effect: InstallStream) -> None:
            install(effect)
            self._check_ports()

        def checked_remove(effect: RemoveStream) -> None:
            assert effect.stream in cluster.proxy.plans, "a stream is removed that is not there"
            remove(effect)

        cluster.world.on("proxy", Send, checked_send)
        cluster.world.on("proxy", InstallStream, checked_install)
        cluster.world.on("proxy", RemoveStream, checked_remove)

    def _check_topology(self, effect: Send) -> None:
        """No backend's address reaches a client, no client's a backend."""
        if effect.flow.remote.host in BACKENDS.values():
            hidden = [phone.settings.address.host for phone in self._cluster.phones.values()]
        else:
            hidden = list(BACKENDS.values())
        shown = [host for host in hidden if host.encode() in effect.data and _alone(host).search(effect.data)]
        assert shown == [], f"{effect.flow.remote} is shown {shown} in {effect.data!r}"

    def _check_ports(self) -> None:
        """Every port serves one stream."""
        edge = self._cluster.proxy
        plans = [*edge.plans.values(), *edge.inherited.values()]
        ports = [party.local for plan in plans for party in (plan.client, plan.backend)]
        assert len(ports) == len(set(ports)), "two streams share a port"

    def _check_pool(self) -> None:
        """Calls go only where somebody is up and ready."""
        pool = self._cluster.proxy.node.backends.pool
        # One that was removed goes on while no other can.
        good = pool.active is None or pool.members[pool.active].usable or pool.eligible == [pool.active]
        assert good, f"{pool.active} is active but not usable"

    def check_at_rest(self) -> None:
        """Nothing is left of calls that ended more than a minute ago."""
        status = self._cluster.proxy.command("status")
        for name in ("calls", "dialogs", "media_port_pairs"):
            assert status[name] == 0, f"{status[name]} {name} are left"
        assert not self._cluster.proxy.plans, "media streams are left"
        for name in BACKENDS:
            assert name in self.believers or self._cluster.pbx(name).calls == 0, f"{name} believes in a call"

    def check_registrations(self) -> None:
        """All backends are up again, and those who should know the phones do."""
        status = self._cluster.proxy.command("status")
        assert status["active"] is not None, "no backend is active though all are up"
        mirror = self._cluster.config.registration == "mirror"
        for row in status["backends"]:
            holds = mirror or row["active"]
            wanted = status["contacts"] if holds else 0
            assert row["health"] == "up", f"{row['name']} is {row['health']}"
            # One that took a call for the active one may hold its callee's registration yet: a loan.
            held = row["registrations"]
            assert held == wanted or not holds, f"{row['name']} holds {held}, not {wanted}"
            known = self._cluster.pbx(row["name"]).registrar.count() - self._cluster.residents
            # Contacts that an earlier proxy made stay until they expire.
            right = known == wanted if self.proxies == 1 else known >= wanted
            assert not holds or right, f"{row['name']} itself knows {known} contacts instead of {wanted}"


@cache
def _alone(host: str) -> re.Pattern[bytes]:
    """This host, and not as a part of another."""
    return re.compile(rf"(?<![\d.]){re.escape(host)}(?!\d)".encode())
