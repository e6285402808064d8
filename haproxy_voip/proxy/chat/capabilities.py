"""What the client can (XEP-0115), for a new server that asks for it.

After a failover a server asks each client once for every contact that it tells of its presence. The client has said it
before, to another server, and the question names the very answer, so we give it; and not at once, because messages
that wait have the better claim to the server's time.
"""

from __future__ import annotations

from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import DISCO_INFO
from haproxy_voip.xmpp.stanza import result_reply

# The longest answer that is remembered; common clients say 2,000 bytes.
MAX_BYTES = 8192
# Long enough for ten sessions' messages to arrive first. Nobody waits for it but news of contacts (XEP-0163).
LATER_SECONDS = 1.0
# Questions that wait; further ones are the client's to answer.
MAX_OWED = 200


class Capabilities:
    """Of one client: what it answered last."""

    __slots__ = ("_answer", "_node", "_owed", "due_at")

    def __init__(self) -> None:
        self._node = ""
        self._answer = b""
        self._owed: list[bytes] = []
        self.due_at: float | None = None  # when questions are to be answered

    def told(self, answer: Stanza) -> None:
        """The client answered something."""
        if answer.type != "result" or DISCO_INFO.encode() not in answer.raw or len(answer.raw) > MAX_BYTES:
            return
        query = answer.element().find("query", DISCO_INFO)
        node = "" if query is None else query.get("node") or ""
        if query is not None and "#" in node:  # what it can, by its hash (XEP-0115 section 6.2)
            self._node, self._answer = node, query.encode()

    def answer(self, question: Stanza) -> bytes | None:
        """What the client would answer, if that is known."""
        if question.type != "get" or not self._node or DISCO_INFO.encode() not in question.raw:
            return None
        query = question.element().find("query", DISCO_INFO)
        known = query is not None and query.get("node") == self._node
        return result_reply(question, self._answer) if known else None

    def asked(self, question: Stanza, now: float) -> bool:
        """A new server wants to know something: whether it will be answered without the client."""
        answer = self.answer(question)
        if answer is None or len(self._owed) >= MAX_OWED:
            return False
        self._owed.append(answer)
        if self.due_at is None:
            self.due_at = now + LATER_SECONDS
        return True

    def due(self, now: float) -> list[bytes]:
        """The answers, when it is time."""
        if self.due_at is None or now < self.due_at:
            return []
        answers = self._owed.copy()
        self.forget()
        return answers

    def forget(self) -> None:
        """Whoever asked is gone."""
        self._owed.clear()
        self.due_at = None
