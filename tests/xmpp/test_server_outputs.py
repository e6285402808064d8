"""What the owner of a client's stream is asked."""

from haproxy_voip.xmpp.server_outputs import Authenticate
from tests.xmpp.clients import CLIENT_KEY


def test_secrets_are_not_shown() -> None:
    shown = repr(Authenticate("juliet", "im.example.com", "PLAIN", "r0m30", CLIENT_KEY))
    assert "juliet" in shown and "r0m30" not in shown and "key" not in shown.lower()
