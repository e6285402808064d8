"""What the transaction layer tells, handed to whoever asked."""

from __future__ import annotations

from typing import cast

from haproxy_voip.proxy.isolation import ended
from haproxy_voip.proxy.shared import Output, Owner
from haproxy_voip.sip.transactions import ClientTransaction, ResponseReceived, TimedOut, TransportFailed


def timed_out(item: TimedOut, now: float) -> list[Output]:
    """Nobody answered."""
    return owner_of(item.transaction).failed(item.transaction, "no answer", now)


def transport_failed(item: TransportFailed, now: float) -> list[Output]:
    """It cannot have arrived, or its answer cannot."""
    return owner_of(item.transaction).failed(item.transaction, "connection failed", now)


def owner_ended(item: ResponseReceived | TimedOut | TransportFailed, now: float) -> list[Output]:
    """A mistake of ours met whoever asked."""
    return ended(owner_of(item.transaction), now)


def owner_of(transaction: ClientTransaction) -> Owner:
    """Every client transaction of ours has one (`Shared.ask`)."""
    return cast("Owner", transaction.owner)
