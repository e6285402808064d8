"""Who exists is told neither by an answer nor by the work it takes: a wrong password is an unknown user."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from haproxy_voip.core.credential import Credential
from haproxy_voip.core.events import Datagram
from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, Peer, Stage
from tests.proxy.talk import calm

KNOWN, HASHED, UNKNOWN = "1001", "1002", "1999"  # a password, only its hash, nobody
Work = list[str]


def stage_of_both_kinds() -> Stage:
    stage = calm()
    ha1 = hashlib.md5(f"{HASHED}:{DOMAIN}:secret".encode()).hexdigest()
    sha = hashlib.sha256(f"{HASHED}:{DOMAIN}:secret".encode()).hexdigest()
    hashed = Credential(HASHED, DOMAIN, ha1=ha1, ha1_sha256=sha)
    stage.node.replace_users(DOMAIN, {**stage.credentials, HASHED: hashed})
    return stage


def guess(stage: Stage, user: str, method: str) -> tuple[Request, Peer]:
    """A request with wrong credentials that is ready to be sent: every user's differs in the name only."""
    guesser = stage.client(user, "198.51.100.7")
    guesser.count = int(user)
    request = guesser.new(method, f"sip:1003@{DOMAIN}", to=f"<sip:{user}@{DOMAIN}>")
    guesser.send(request)
    challenge = guesser.inbox.pop()
    assert isinstance(challenge, Response) and challenge.status in (401, 407)
    stage.credentials[user] = Credential(user, DOMAIN, password="wrong")
    return guesser.authorized(request, challenge), guesser


def answered(stage: Stage, request: Request, guesser: Peer) -> tuple[str, Work]:
    """The answer without what differs each time, and every function that was called for it, of Python or C."""
    work: Work = []

    def called(frame: FrameType, event: str, function: Callable[..., object]) -> None:
        if event == "call":
            work.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
        elif event == "c_call":
            work.append(getattr(function, "__qualname__", str(function)))

    event = Datagram(request.encode(), guesser.flow)
    stage.now += 0.001
    sys.setprofile(called)
    try:
        outputs = stage.node.receive(event, stage.now)
    finally:
        sys.setprofile(None)
    stage.carry_out(outputs)
    answer = guesser.inbox.pop().encode().decode()
    own = re.sub(r'nonce="[^"]*"|tag=\w+|branch=[^;]*|cseq:.*|call-id:.*', "", answer, flags=re.IGNORECASE)
    return own.replace(guesser.user, "USER"), work


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "SUBSCRIBE"])
def test_an_unknown_user_gets_the_answer_of_a_wrong_password_for_the_same_work(method: str) -> None:
    stage = stage_of_both_kinds()
    answered(stage, *guess(stage, "1998", method))  # fills what is kept from the first time on
    answer, work = answered(stage, *guess(stage, UNKNOWN, method))
    assert len(work) > 100 and sum("request_digest" in one for one in work) == 1
    for user in (KNOWN, HASHED):
        same, as_much = answered(stage, *guess(stage, user, method))
        assert same == answer
        assert digests(as_much) == digests(work)
        # Timers are kept in a heap, which takes a few steps more or less.
        assert len(as_much) == pytest.approx(len(work), rel=0.03)


def test_without_credentials_everybody_is_asked_the_same() -> None:
    stage = stage_of_both_kinds()
    answers = set()
    for user in (KNOWN, HASHED, UNKNOWN):
        asker = stage.client(user, "198.51.100.7")
        asker.count = int(user)
        for method in ("REGISTER", "INVITE"):
            request = asker.new(method, f"sip:{DOMAIN}", to=f"<sip:{user}@{DOMAIN}>")
            answers.add((method, answered(stage, request, asker)[0]))
    assert len(answers) == 2


def test_right_credentials_cost_less_than_wrong_ones_only_where_the_answer_says_so() -> None:
    """The comparison can fail: who is let in does other work."""
    stage = stage_of_both_kinds()
    wrong = answered(stage, *guess(stage, UNKNOWN, "REGISTER"))[1]
    stage.credentials[KNOWN] = dataclasses.replace(stage.credentials[KNOWN], password=f"secret{KNOWN}")
    asker = stage.client(KNOWN, "198.51.100.8")
    request = asker.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:{KNOWN}@{DOMAIN}>")
    asker.send(request)
    challenge = asker.take_response(401)
    assert len(answered(stage, asker.authorized(request, challenge), asker)[1]) != len(wrong)


def digests(work: Work) -> Work:
    """What of it costs much."""
    return [one for one in work if "md5" in one or "sha256" in one or "blake2" in one or "digest" in one.lower()]
