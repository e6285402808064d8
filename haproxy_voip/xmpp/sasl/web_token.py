"""JSON web tokens, signed with a shared key (RFC 7519; HS256 of RFC 7518 section 3.2)."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping


def signed_token(key: bytes, claims: Mapping[str, str | int]) -> str:
    """The compact form (RFC 7515 section 3.1). Whoever has it is what it claims until its `exp`."""
    head = _part({"alg": "HS256", "typ": "JWT"})
    body = _part(claims)
    signature = hmac.digest(key, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{_encoded(signature)}"


def _part(content: Mapping[str, str | int]) -> str:
    return _encoded(json.dumps(content, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
