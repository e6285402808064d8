"""What a transaction tells its user."""

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.sip.invite_client import InviteClient
from haproxy_voip.sip.message import Request
from haproxy_voip.sip.non_invite_server import NonInviteServer
from haproxy_voip.sip.timers import RFC_3261
from haproxy_voip.sip.transaction import ClientTransaction, ServerTransaction

FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5060))


def test_a_client_transaction_is_answered_by_a_final_response_or_by_its_end() -> None:
    machine = InviteClient(False, RFC_3261)
    transaction = ClientTransaction(Request("INVITE", "sip:a@b"), FLOW, None, ("b", "INVITE"), machine, b"")
    assert transaction.is_invite
    machine.receive(180, 0.0)
    assert (transaction.state, transaction.answered) == ("proceeding", False)
    machine.receive(200, 0.0)
    assert (transaction.state, transaction.answered) == ("accepted", True)


def test_an_abandoned_client_transaction_counts_as_answered() -> None:
    machine = InviteClient(False, RFC_3261)
    transaction = ClientTransaction(Request("INVITE", "sip:a@b"), FLOW, None, ("b", "INVITE"), machine, b"")
    transaction.ended = True
    assert transaction.answered


def test_transactions_are_told_apart_by_identity_not_by_content() -> None:
    first, second = (
        ServerTransaction(Request("BYE", "sip:a@b"), FLOW, ("k",), NonInviteServer(False, RFC_3261), None)
        for _ in range(2)
    )
    assert first != second
    assert not first.is_invite
    assert first.state == "trying"
