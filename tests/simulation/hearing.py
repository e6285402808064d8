"""Who hears whom, listened to all the time: strangers never, and nobody another conversation than their own.

A backend leads a call somewhere, and what it does is right. Whatever dies since then, the two calls that were one
conversation may stay one or be parted; a call may be made anew for either of the two people; two calls that both had
another conversation before are never joined. What people themselves do, a transfer, changes that.
"""

from __future__ import annotations

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.proxy.effects import InstallStream
from haproxy_voip.rtp.flow import StreamPlan
from tests.simulation.cluster import Cluster
from tests.simulation.proxy_edge import reaches

# How long the other phone may believe in a call that one has ended: while no backend carries it, and while a BYE that
# is lost is sent again (64*T1).
PARTING_SECONDS, LOST_BYE_SECONDS = 8.0, 40.0


class Hearing:
    """See the module. `transferred` are the calls whose other end somebody has changed, `orphans` those whose relay is
    gone: what they send is for nobody, whoever has its port (latching, haproxy_voip/rtp/flow.py)."""

    def __init__(self, cluster: Cluster, rough: bool) -> None:
        self._cluster = cluster
        self.late = LOST_BYE_SECONDS if rough else PARTING_SECONDS
        self._together: list[tuple[str, str, PhoneCall]] = []  # who may hear each other, until that call ends
        self._parted: dict[PhoneCall, float] = {}  # when these ended
        self._owners: dict[Address, tuple[str, PhoneCall]] = {}  # of each port that audio was ever taken at
        self.conversations: dict[PhoneCall, dict[PhoneCall, str]] = {}  # with which calls, and whose
        self.transferred: dict[PhoneCall, None] = {}
        self.orphans: dict[PhoneCall, None] = {}
        self.watch()

    def watch(self) -> None:
        """Look at all that this proxy joins; to be said of each that is started."""
        cluster = self._cluster
        install = cluster.world.processes["proxy"].handlers[InstallStream]

        def checked(effect: InstallStream) -> None:
            install(effect)
            self._check_bridge(effect.plan)

        cluster.world.on("proxy", InstallStream, checked)

    def expect(self, one: str, other: str, call: PhoneCall) -> None:
        """These two people may hear each other until some time after this call."""
        self._together.append((one, other, call))

    def listen(self) -> list[tuple[PhoneCall, PhoneCall]]:
        """Check it all; who is heard by whom now."""
        now = self._cluster.world.now
        for _, _, call in self._together:
            if call.over:
                self._parted.setdefault(call, now)
        self._together = [entry for entry in self._together if self._parted.get(entry[2], now) > now - self.late]
        for user, phone in self._cluster.phones.items():
            self._owners |= {call.media.local: (user, call) for call in phone.calls.values()}
        heard = []
        for user, phone in self._cluster.phones.items():
            for call in [call for call in phone.calls.values() if call.up and call not in self.orphans]:
                owner = self._owners.get(reaches(self._cluster.proxy, call) or call.media.local)
                if owner is not None and owner[1] is not call:
                    self._check(user, call, *owner)
                    heard.append((call, owner[1]))
        return heard

    def _check(self, user: str, call: PhoneCall, listener: str, other: PhoneCall) -> None:
        known = {name for pair in self._together if user in pair[:2] for name in pair[:2]}
        assert listener in known - {user}, f"{user} is heard by {listener}, a stranger"
        ours, theirs = self.conversations.setdefault(call, {}), self.conversations.setdefault(other, {})
        if other not in ours and not {call, other} & self.transferred.keys():
            assert not (ours and theirs), (
                f"{user}'s call {call.number} is heard in {listener}'s call {other.number}; both were others'"
            )
            assert not ours or listener in ours.values(), f"{user}'s call {call.number} is heard by {listener} now"
            assert not theirs or user in theirs.values(), f"{listener}'s call {other.number} hears {user} now"
        ours[other], theirs[call] = listener, user

    def _check_bridge(self, plan: StreamPlan) -> None:
        """Whom the relay joins have been in one conversation, if they were in any."""
        other = None if plan.bridge is None else self._cluster.proxy.plans.get(plan.bridge)
        if other is None or other.bridge != plan.stream or plan.client.remote is None or other.client.remote is None:
            return
        ends = self._owners.get(plan.client.remote), self._owners.get(other.client.remote)
        if ends[0] is None or ends[1] is None or {ends[0][1], ends[1][1]} & self.transferred.keys():
            return
        (user, call), (listener, partner) = ends
        known = self.conversations.get(call, {}), self.conversations.get(partner, {})
        assert partner in known[0] or not (known[0] or known[1]), (
            f"{user}'s call {call.number} and {listener}'s call {partner.number} are joined and never were one"
        )
