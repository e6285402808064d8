"""The server's side of one SCRAM exchange (RFC 5802 section 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.sasl.scram import (
    CHANNEL_BINDING_TYPE,
    ClientKey,
    attributes,
    digest,
    expect,
    from_base64,
    from_saslname,
    malformed,
    sign,
    to_base64,
    to_text,
    xor,
)

# RFC 5802 section 7: gs2-header = gs2-cbind-flag "," [ authzid ] ","
_GS2_HEADER: Final = re.compile(r"(?P<flag>n|y|p=(?P<type>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,\x00]+))?,")


@dataclass(frozen=True, slots=True)
class Binding:
    """What is known of channel binding when the exchange begins."""

    plus: bool = False  # the client chose the -PLUS mechanism
    offered: bool = False  # -PLUS was among the mechanisms offered
    endpoint_hash: bytes | None = None  # of our certificate (RFC 5929 section 4.1)


class ScramServer:
    """client_first, challenge, client_final. Every failure is a SaslFailure."""

    __slots__ = (
        "_bare",
        "_binding",
        "_challenge",
        "_gs2_header",
        "_keys",
        "_nonce",
        "algorithm",
        "authzid",
        "username",
    )

    def __init__(self, algorithm: str, binding: Binding) -> None:
        self.algorithm = algorithm
        self.username = ""  # as the client wrote it; known after client_first
        self.authzid = ""  # "" when none
        self._binding = binding
        self._gs2_header = ""
        self._bare = ""
        self._nonce = ""
        self._challenge = ""
        self._keys: ScramKeys | None = None

    def client_first(self, message: bytes) -> None:
        """Read it: `username` and `authzid` are known now. Raises SaslFailure."""
        text = to_text(message)
        header = _GS2_HEADER.match(text)
        if header is None:
            raise malformed("no GS2 header")
        self._check_flag(header["flag"][0], header["type"])
        self._gs2_header, self._bare = header[0], text[header.end() :]
        # Section 5.1: a mandatory extension we do not know, "m=", makes authentication fail; it would come first.
        name, self._nonce = expect(self._bare, "n", "r")
        self.username = from_saslname(name)
        self.authzid = from_saslname(header["authzid"] or "")

    def _check_flag(self, flag: str, type: str | None) -> None:
        """Section 6: how the client's view of channel binding must fit what was offered."""
        if self._binding.plus != (flag == "p"):
            raise malformed("the GS2 flag does not fit the mechanism")
        if flag == "p" and type != CHANNEL_BINDING_TYPE:
            raise malformed(f"channel binding {type} is not supported")
        # "If the flag is set to 'y' and the server supports channel binding, the server MUST fail authentication":
        # somebody between took -PLUS out of what we offered.
        if flag == "y" and self._binding.offered:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "channel binding was offered and did not arrive")

    def challenge(self, keys: ScramKeys, nonce: str) -> bytes:
        """The server-first-message; `nonce` is our unguessable part, printable and without a comma."""
        self._keys = keys
        self._nonce += nonce
        self._challenge = f"r={self._nonce},s={to_base64(keys.salt)},i={keys.iterations}"
        return self._challenge.encode()

    def client_final(self, message: bytes) -> tuple[bytes, ClientKey]:
        """The server-final-message for `<success/>`, and the client's key, recovered from its proof.

        Raises SaslFailure, not-authorized when the proof is wrong.
        """
        assert self._keys is not None
        keys, algorithm, text = self._keys, self.algorithm, to_text(message)
        bound_to, nonce = expect(text, "c", "r")
        (last, proof), without_proof = attributes(text)[-1], text.rpartition(",")[0]
        if last != "p" or not compare_digest(nonce.encode(), self._nonce.encode()):
            raise malformed("not the answer to this challenge")
        if not compare_digest(from_base64(bound_to), self._gs2_header.encode() + self._bound_to()):
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "channel bindings do not match")
        auth_message = f"{self._bare},{self._challenge},{without_proof}".encode()
        signature = sign(algorithm, keys.stored_key, auth_message)
        claimed = from_base64(proof)
        if len(claimed) != len(signature):
            raise malformed("a proof of the wrong length")
        client_key = xor(claimed, signature)
        if not compare_digest(digest(algorithm, client_key), keys.stored_key):
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED)
        verifier = to_base64(sign(algorithm, keys.server_key, auth_message))
        return f"v={verifier}".encode(), ClientKey(algorithm, keys.salt, keys.iterations, client_key, keys.server_key)

    def _bound_to(self) -> bytes:
        return (self._binding.endpoint_hash or b"") if self._binding.plus else b""
