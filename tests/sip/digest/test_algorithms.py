"""haproxy_voip.sip.digest.algorithms against the RFCs' own vectors."""

import hashlib

import pytest

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest.algorithms import canonical, common_algorithms, hash_a1, md5, request_digest, sha256

RFC7616 = {
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "uri": "/dir/index.html",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    "qop": "auth",
}
MUFASA = Credential("Mufasa", "http-auth@example.org", password="Circle of Life")


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_section_3_9_1(algorithm: str, response: str) -> None:
    a1 = hash_a1(MUFASA, algorithm, "http-auth@example.org")
    assert a1 is not None
    assert request_digest(algorithm, a1, "GET", RFC7616) == response


def test_rfc2617_section_3_5() -> None:
    fields = {"nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093", "uri": "/dir/index.html"}
    fields |= {"nc": "00000001", "cnonce": "0a4f113b", "qop": "auth"}
    a1 = md5("Mufasa:testrealm@host.com:Circle Of Life")
    assert a1 == "939e7578ed9e3c518a452acee763bce9"
    assert request_digest("MD5", a1, "GET", fields) == "6629fae49393a05397450978507c4ef1"


def test_without_qop_the_response_is_that_of_rfc2069() -> None:
    fields = {"nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093", "uri": "/dir/index.html"}
    a1 = md5("Mufasa:testrealm@host.com:Circle Of Life")
    assert request_digest("MD5", a1, "GET", fields) == "670fd8c2df070c60b045671b8b24ff02"


def test_a_hash_serves_its_own_realm_only_and_a_password_any() -> None:
    hashed = Credential("u", "here", ha1="A" * 32, ha1_sha256="b" * 64)
    assert hash_a1(hashed, "MD5", "here") == "a" * 32
    assert hash_a1(hashed, "SHA-256", "here") == "b" * 64
    assert hash_a1(hashed, "MD5", "elsewhere") is None
    assert hash_a1(Credential("u", "here", password="p"), "MD5", "elsewhere") == md5("u:elsewhere:p")


def test_a_missing_hash_does_not_suffice() -> None:
    assert hash_a1(Credential("u", "here", ha1="a" * 32), "SHA-256", "here") is None


def test_algorithm_tokens_have_no_case_and_default_to_md5() -> None:
    assert [canonical(token) for token in ("md5", "Sha-256", None)] == ["MD5", "SHA-256", "MD5"]
    assert canonical("MD5-sess") is None
    assert canonical("SHA-512-256") is None


def test_names_are_hashed_as_utf8_and_undecodable_bytes_as_they_came() -> None:
    latin1 = b"J\xe4s\xf8n".decode("utf-8", "surrogateescape")
    assert sha256("Jäsøn") == hashlib.sha256("Jäsøn".encode()).hexdigest()
    assert md5(latin1) == hashlib.md5(b"J\xe4s\xf8n").hexdigest()


def test_only_what_every_user_can_be_verified_by_is_common() -> None:
    anybody = Credential("a", "here", password="p")
    old = Credential("b", "here", ha1="0" * 32)
    assert common_algorithms([anybody], "here") == ("SHA-256", "MD5")
    assert common_algorithms([anybody, old], "here") == ("MD5",)
    assert common_algorithms([anybody, Credential("c", "other", ha1="0" * 32)], "here") == ("SHA-256", "MD5")
    assert common_algorithms([], "here") == ("SHA-256", "MD5")
