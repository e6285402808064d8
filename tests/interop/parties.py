"""What tests ask SIPp for, in words: register this user, call that number, answer."""

from tests.interop.audio import Ear
from tests.interop.servers import REALM
from tests.interop.sipp import Run

CALLER = "127.0.0.21"
CALLEE = "127.0.0.22"
THIRD = "127.0.0.23"


def register(user: str, local: str, target: str, *, contact: str | None = None, expires: int = 300) -> Run:
    """A user registers one contact: by default, itself at `local`."""
    keys = {"contact": contact or f"sip:{user}@{local}:5060", "expires": str(expires), "domain": REALM}
    return Run(scenario="register", local=local, target=target, user=user, keys=keys)


def register_refused(user: str, local: str, target: str, password: str) -> Run:
    """A user tries with a password that is wrong."""
    keys = {"contact": f"sip:{user}@{local}:5060", "expires": "300", "domain": REALM}
    return Run(scenario="register_refused", local=local, target=target, user=user, password=password, keys=keys)


def call(callee: str, target: str, ear: Ear, *, user: str = "1001", talk_ms: int = 1500) -> Run:
    """A user calls a number from where its ear is, and hangs up after a while."""
    return Run(
        scenario="call", local=ear.local[0], target=target, user=user, keys=_call_keys(callee, ear), pause_ms=talk_ms
    )


def call_refused(callee: str, target: str, ear: Ear, status: int) -> Run:
    """A user calls a number that must answer with `status`."""
    return Run(scenario="call_refused", local=ear.local[0], target=target, keys=_call_keys(callee, ear), status=status)


def answer(ear: Ear, *, calls: int = 1, ring_ms: int = 200) -> Run:
    """A phone where its ear is rings and answers; the caller hangs up."""
    return Run(scenario="answer", local=ear.local[0], keys=_audio_keys(ear), calls=calls, pause_ms=ring_ms)


def refuse(local: str, *, calls: int = 1, ring_ms: int = 200) -> Run:
    """A phone rings and is busy then."""
    return Run(scenario="refuse", local=local, calls=calls, pause_ms=ring_ms)


def _audio_keys(ear: Ear) -> dict[str, str]:
    return {"audio_address": ear.local[0], "audio_port": str(ear.local[1])}


def _call_keys(callee: str, ear: Ear) -> dict[str, str]:
    return {"callee": callee, "domain": REALM, **_audio_keys(ear)}
