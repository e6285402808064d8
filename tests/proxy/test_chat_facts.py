"""What is told of chat sessions reads as a sentence and says who, where and why."""

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.proxy.chat_facts import (
    ChatEnded,
    ChatFact,
    ChatFailover,
    ChatLeft,
    ChatLoginRefused,
    ChatRefused,
    ChatResumed,
    ChatStarted,
    DeepProbeFailed,
)

FLOW = Flow(Transport.TLS, Address("192.0.2.1", 5223), Address("203.0.113.7", 40_000), 1)
JID = "1001@voip.example/phone"


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (
            ChatRefused(FLOW, "", "not-well-formed"),
            "chat client unknown from 203.0.113.7:40000 refused: not-well-formed",
        ),
        (ChatStarted(JID, "alpha", FLOW), f"{JID} chats over alpha from tls:203.0.113.7:40000"),
        (ChatLeft(JID, "reset", 300.0), f"{JID} lost its connection (reset) and may come back within 300 s"),
        (ChatResumed(JID, 2.34, FLOW), f"{JID} came back after 2.3 s from tls:203.0.113.7:40000"),
        (ChatEnded(JID, "logged out"), f"{JID} no longer chats: logged out"),
        (ChatLoginRefused("beta", JID, "not-authorized"), f"beta does not log in {JID}: not-authorized"),
        (DeepProbeFailed("beta", "no answer"), "deep probe of beta failed: no answer"),
        (
            ChatFailover("alpha", None, "canary closed", 0.0021, 10, 0.05, 3, {"no backend": 2}),
            "chat failover alpha -> nobody on canary closed, detected after 2 ms; 10 sessions, back after 50 ms; "
            "stanzas sent again: 3; sessions ended: 2 no backend",
        ),
    ],
)
def test_a_fact_of_chat_reads_as_a_sentence(fact: ChatFact, text: str) -> None:
    assert str(fact) == text
