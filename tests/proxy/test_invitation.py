"""How the INVITE of ours begins: who is called, in which words."""

from __future__ import annotations

import pytest

from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import BOTH, calm, leave_nothing, outgoing

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])


@pytest.mark.parametrize("dialled", ["*72#", "%2372", "+4930123", "1002;isub=1", "o'hara", "a.b%20c"])
def test_what_was_dialled_reaches_the_backend_as_it_was_dialled(dialled: str) -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:{dialled}@{DOMAIN}", body=alice.offer())
    assert stage.alpha.take_request("INVITE").uri == f"sip:{dialled}@127.0.0.11:5060"


def test_a_tel_uri_is_called_by_its_number() -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", "tel:+49-30-123;phone-context=x", to="<tel:+49-30-123>", body=alice.offer())
    invite = stage.alpha.take_request("INVITE")
    assert invite.uri == "sip:+49-30-123@127.0.0.11:5060;user=phone"
    assert invite.get("to") == "<tel:+49-30-123>"


def test_a_display_name_with_quotes_survives() -> None:
    stage = calm()
    alice = stage.phone("1001")
    name = '"Ann \\"A\\", Smith"'
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer(), from_=f"{name} <sip:1001@{DOMAIN}>;tag=1")
    assert (stage.alpha.take_request("INVITE").get("from") or "").startswith(f"{name} <sip:1001@{DOMAIN}>;tag=")


def test_the_address_of_a_phone_is_hidden_wherever_it_writes_it() -> None:
    stage: Stage = calm()
    talk = outgoing(stage, call_info="<http://127.0.1.1:80/me.png>;purpose=icon", subject="from 127.0.1.1")
    assert talk.invited.get("call-info") == f"<http://{DOMAIN}/me.png>;purpose=icon"
    assert talk.invited.get("subject") == f"from {DOMAIN}"
    talk.established().hang_up()
    leave_nothing(stage)
