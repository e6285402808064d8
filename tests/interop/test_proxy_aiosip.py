"""A client written on aiosip 0.2.0, the SIP library for asyncio, registers through the proxy.

Its last release is of 2017. What it expects of the Python of its day is put back here, for as long as it is imported.
"""

import asyncio
import collections
import importlib
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.conftest import StartProxy
from tests.interop.parties import CALLER
from tests.interop.servers import REALM, SIP_PORT, Asterisk, password

LOCAL = (CALLER, 5090)
USER = f"sip:1001@{REALM}"
ANSWER_SECONDS = 5.0


@pytest.fixture
def aiosip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, with generator-based coroutines (gone in Python 3.11) and collections' old names (gone in 3.10)."""
    monkeypatch.setattr(asyncio, "coroutine", types.coroutine, raising=False)
    monkeypatch.setattr(collections, "MutableMapping", collections.abc.MutableMapping, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions are no raw strings
        yield importlib.import_module("aiosip")


def register(aiosip: Any, server: str, secret: str) -> int:
    """The status of the last answer to its REGISTER."""

    class Dialog(aiosip.Dialog):  # type: ignore[misc]
        """Answers a challenge as RFC 3261 wants it; the library's own way no server needs to take."""

        def receive_message(self, message: Any) -> None:
            # It repeats qop without the cnonce that belongs to it. Without qop it answers as in RFC 2069.
            if challenge := message.headers.get("WWW-Authenticate"):
                message.headers["WWW-Authenticate"] = challenge.replace(', qop="auth"', "")
            super().receive_message(message)

        def send_message(self, method: str, headers: Any = None, **rest: Any) -> Any:
            # It sends the second request under the first one's branch (8.1.1.7).
            headers.pop("Via", None)
            return super().send_message(method, headers=headers, **rest)

    async def registering() -> int:
        application = aiosip.Application()
        dialog = await application.start_dialog(
            from_uri=USER,
            to_uri=USER,
            contact_uri=f"sip:1001@{LOCAL[0]}:{LOCAL[1]}",
            local_addr=LOCAL,
            remote_addr=(server, SIP_PORT),
            password=secret,
            dialog=Dialog,
        )
        try:
            answer = await asyncio.wait_for(dialog.register(expires=300), ANSWER_SECONDS)
        except aiosip.RegisterFailed:
            return 401
        finally:
            dialog.protocol.transport.close()
        return int(answer.status_code)

    return asyncio.run(registering())


def test_an_aiosip_client_registers_with_the_right_password_only(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, aiosip: Any
) -> None:
    proxy = start_proxy(alpha, beta)
    assert register(aiosip, proxy.address, "wrong") == 401
    assert proxy.status()["contacts"] == 0
    assert register(aiosip, proxy.address, password("1001")) == 200
    proxy.wait_registered(1)
