"""Who asks with which status, and where the answer goes: RFC 3261 section 22.1."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.digest.roles import PROXY, REGISTRAR, role_for, role_of


@pytest.mark.parametrize("method", ["INVITE", "BYE", "SUBSCRIBE", "MESSAGE", "OPTIONS", "UPDATE"])
def test_all_but_register_is_challenged_as_by_a_proxy(method: str) -> None:
    role = role_for(method)
    assert (role.status, role.challenge, role.authorization) == (407, "proxy-authenticate", "proxy-authorization")


def test_register_is_challenged_as_by_the_registrar_we_are_to_the_client() -> None:
    role = role_for("REGISTER")
    assert (role.status, role.challenge, role.authorization) == (401, "www-authenticate", "authorization")


def test_a_backend_may_challenge_anything_in_either_role() -> None:
    """Asterisk asks for INVITE with 401, a proxy before it with 407: its status says where our answer goes."""
    assert role_of(401) is REGISTRAR
    assert role_of(407) is PROXY


@pytest.mark.parametrize("status", [100, 200, 400, 403, 423, 494, 500])
def test_no_other_status_is_a_challenge(status: int) -> None:
    assert role_of(status) is None
