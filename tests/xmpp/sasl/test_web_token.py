"""Tokens signed with a shared key."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode

from haproxy_voip.xmpp.sasl.web_token import signed_token

# The key of the example in RFC 7515 appendix A.1.
KEY = urlsafe_b64decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==")


def part(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_token_says_what_it_claims_and_is_signed_by_hs256() -> None:
    """RFC 7515 section 5.1: the signature is over both parts as they are written."""
    token = signed_token(KEY, {"jid": "alice@chat.test", "exp": 1300819380})
    head, body, signature = token.split(".")
    assert json.loads(part(head)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(part(body)) == {"jid": "alice@chat.test", "exp": 1300819380}
    assert part(signature) == hmac.new(KEY, f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert "=" not in token and "+" not in token and "/" not in token


def test_another_key_signs_otherwise() -> None:
    assert signed_token(KEY, {"a": 1}).rpartition(".")[2] != signed_token(b"guess", {"a": 1}).rpartition(".")[2]
