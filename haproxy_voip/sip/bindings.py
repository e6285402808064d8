"""The bindings of addresses of record to contacts (RFC 3261 section 10.3, RFC 5626 section 6, RFC 3327).

A REGISTER is applied whole or not at all. Times are seconds on the caller's monotonic clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import header
from haproxy_voip.sip.registration import ContactUpdate, Registration, RegistrationRules
from haproxy_voip.sip.uri import Uri

RETRY_AFTER = 30
# Alarms of bindings that are gone are cleared out when they are the most; below this it is not worth doing.
COMPACT_ABOVE = 1024


@dataclass(slots=True, eq=False)
class Binding:
    """One contact of one user, and how it is reached."""

    key: str  # names it for good and cannot be guessed: fit for the user part of a contact of ours
    aor: str
    uri: str  # the contact's URI as registered
    parameters: str  # of the Contact, with their semicolons, without expires
    instance: str | None  # with reg_id: identifies the binding wherever its contact is
    reg_id: int | None
    call_id: str
    cseq: int
    expires_at: float
    flow: Flow  # what the last REGISTER came by; requests to the contact go there
    path: tuple[str, ...]  # Route values for requests to the contact, first to visit first
    alarm_at: float  # when its expiry is looked at next; never after expires_at

    def contact(self, now: float) -> str:
        """The Contact value that answers a REGISTER (10.3 step 8)."""
        return f"<{self.uri}>{self.parameters};expires={max(math.ceil(round(self.expires_at - now, 3)), 0)}"


@dataclass(slots=True)
class BindingChange:
    """What a REGISTER did, and what there is now."""

    added: list[Binding] = field(default_factory=list)
    refreshed: list[Binding] = field(default_factory=list)  # with new expiry and flow, perhaps a new URI
    removed: list[Binding] = field(default_factory=list)  # asked for, or the oldest to make room
    current: list[Binding] = field(default_factory=list)  # all of the address of record, oldest first


class Bindings:
    """Every binding of a registrar, `most` at the same time."""

    __slots__ = ("_alarms", "_by_aor", "_by_key", "_chance", "_most", "rules")

    def __init__(self, rules: RegistrationRules, chance: Chance, most: int) -> None:
        self.rules = rules
        self._chance = chance
        self._most = most
        self._by_key: dict[str, Binding] = {}
        self._by_aor: dict[str, tuple[Binding, ...]] = {}
        self._alarms: list[tuple[float, str]] = []  # with the binding's key

    def limit(self, rules: RegistrationRules, most: int) -> None:
        """Take these from the next REGISTER on; what is there already stays."""
        self.rules, self._most = rules, most

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Binding]:
        return iter(self._by_key.values())

    # --- looking up ---------------------------------------------------------------------------------------------

    def of(self, aor: str) -> tuple[Binding, ...]:
        """The bindings of this address of record, oldest first."""
        return self._by_aor.get(aor, ())

    def get(self, key: str) -> Binding | None:
        """The binding of this name."""
        return self._by_key.get(key)

    def about(self, aor: str, update: ContactUpdate) -> Binding | None:
        """The binding that this contact would refresh or remove."""
        return _match(self.of(aor), update)

    # --- registering --------------------------------------------------------------------------------------------

    def register(self, registration: Registration, now: float) -> BindingChange:
        """Apply a REGISTER.

        Raises MessageError and changes nothing: 500 when it is older than what a binding knows, 400 when it
        names one twice, 503 when there are too many bindings altogether.
        """
        known = self.of(registration.aor)
        change = BindingChange()
        if registration.remove_all:
            for binding in known:
                _require_newer(binding, registration)
            change.removed = list(known)
        else:
            plan = self._plan(registration, known)
            if len(self) + sum(binding is None for binding, _ in plan) > self._most:
                retry = header("retry-after", str(RETRY_AFTER))
                raise MessageError(f"{self._most} contacts, the most there may be", status=503, headers=(retry,))
            self._carry_out(plan, registration, change, now)
        for binding in change.removed:
            self.remove(binding)
        change.current = list(self.of(registration.aor))
        return change

    def _plan(self, registration: Registration, known: Sequence[Binding]) -> list[tuple[Binding | None, ContactUpdate]]:
        """Which binding each contact is about; None for one that is to be made."""
        plan: list[tuple[Binding | None, ContactUpdate]] = []
        for update in registration.contacts:
            binding = _match(known, update)
            if binding is not None:
                _require_newer(binding, registration)
            elif update.expires == 0:
                continue
            if any(other is binding if binding is not None else earlier.uri == update.uri for other, earlier in plan):
                raise MessageError("one contact twice in a REGISTER")
            plan.append((binding, update))
        return plan

    def _carry_out(
        self,
        plan: list[tuple[Binding | None, ContactUpdate]],
        registration: Registration,
        change: BindingChange,
        now: float,
    ) -> None:
        for binding, update in plan:
            if binding is None:
                change.added.append(self._add(registration, update, now))
            elif update.expires == 0:
                change.removed.append(binding)
            else:
                self._refresh(binding, registration, update, now)
                change.refreshed.append(binding)
        touched = [*change.added, *change.refreshed, *change.removed]
        idle = [binding for binding in self.of(registration.aor) if binding not in touched]
        idle.sort(key=lambda binding: binding.expires_at)
        # A phone that restarts behind NAT comes with a new contact each time. To refuse it for what it left
        # behind would cut its user off until that expires, so what was refreshed longest ago makes room.
        surplus = len(idle) + len(change.added) + len(change.refreshed) - self.rules.max_contacts
        change.removed += idle[: max(surplus, 0)]

    def _add(self, registration: Registration, update: ContactUpdate, now: float) -> Binding:
        siblings = self.of(registration.aor)
        expires_at = now + update.expires
        binding = Binding(
            key=update.key or self._chance.token(),
            aor=siblings[0].aor if siblings else registration.aor,  # one string for all
            uri=update.uri,
            parameters=update.parameters,
            instance=update.instance,
            reg_id=update.reg_id,
            call_id=registration.call_id,
            cseq=registration.cseq,
            expires_at=expires_at,
            flow=registration.flow,
            path=registration.path,
            alarm_at=expires_at,
        )
        self._by_aor[binding.aor] = (*siblings, binding)
        self._by_key[binding.key] = binding
        heapq.heappush(self._alarms, (expires_at, binding.key))
        return binding

    def _refresh(self, binding: Binding, registration: Registration, update: ContactUpdate, now: float) -> None:
        binding.uri, binding.parameters = update.uri, update.parameters
        binding.instance, binding.reg_id = update.instance, update.reg_id
        binding.call_id, binding.cseq = registration.call_id, registration.cseq
        binding.flow, binding.path = registration.flow, registration.path
        binding.expires_at = now + update.expires
        # An alarm that rings early is set again then, so a refresh costs none; only an earlier end needs one now.
        if binding.expires_at < binding.alarm_at:
            self._set_alarm(binding)

    # --- removing -----------------------------------------------------------------------------------------------

    def remove(self, binding: Binding) -> None:
        """Forget a binding: its user took it back, or nothing can reach it any more."""
        if self._by_key.pop(binding.key, None) is None:
            return
        siblings = tuple(one for one in self.of(binding.aor) if one is not binding)
        if siblings:
            self._by_aor[binding.aor] = siblings
        else:
            del self._by_aor[binding.aor]
        if len(self._alarms) > COMPACT_ABOVE and len(self._alarms) > 4 * len(self):
            self._alarms = [(one.alarm_at, one.key) for one in self]
            heapq.heapify(self._alarms)

    def expire(self, now: float) -> list[Binding]:
        """Remove and return what has expired, earliest first."""
        expired = []
        while self._alarms and self._alarms[0][0] <= now:
            at, key = heapq.heappop(self._alarms)
            binding = self._by_key.get(key)
            if binding is None or at != binding.alarm_at:
                continue
            if binding.expires_at > now:
                self._set_alarm(binding)
            else:
                self.remove(binding)
                expired.append(binding)
        return expired

    @property
    def deadline(self) -> float | None:
        """When `expire` is next due, monotonic seconds; it may then find that all were refreshed."""
        return self._alarms[0][0] if self._alarms else None

    def _set_alarm(self, binding: Binding) -> None:
        binding.alarm_at = binding.expires_at
        heapq.heappush(self._alarms, (binding.alarm_at, binding.key))


def _match(known: Sequence[Binding], update: ContactUpdate) -> Binding | None:
    """The binding this contact is about: same instance and reg-id (RFC 5626 section 6), else same URI (10.3 step 7).

    Two flows of one instance may well have one URI, so a contact with a reg-id never takes another reg-id's place.
    """
    outbound = update.outbound
    if outbound is not None:
        for binding in known:
            if (binding.instance, binding.reg_id) == outbound:
                return binding
        known = [binding for binding in known if binding.reg_id is None]
    for binding in known:
        if binding.uri == update.uri:
            return binding
    if known:
        uri = Uri.parse(update.uri)
        for binding in known:
            if uri.same_as(Uri.parse(binding.uri)):
                return binding
    return None


def _require_newer(binding: Binding, registration: Registration) -> None:
    """10.3 step 7: within one Call-ID a lower or equal CSeq must not undo what came later."""
    if binding.call_id == registration.call_id and registration.cseq <= binding.cseq:
        raise MessageError(f"CSeq {registration.cseq} after {binding.cseq}", status=500)
