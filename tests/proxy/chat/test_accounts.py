"""Who chat users are."""

from __future__ import annotations

import base64

import pytest

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.chat.accounts import Account, Accounts, WrongPassword
from haproxy_voip.xmpp.sasl.ladder import ByClientKey, ByImpersonation, ByPassword
from haproxy_voip.xmpp.sasl.scram import ClientKey, derive_keys
from haproxy_voip.xmpp.server_stream import Authenticate

DOMAIN = "chat.test"
KEY = ClientKey("SHA-256", b"salt", 4096, b"client", b"server")


def accounts(**users: Credential) -> Accounts:
    return Accounts(DOMAIN, users, Chance.seeded(1))


def stored(password: str) -> str:
    keys = derive_keys(password, "SHA-256", b"salt of the file", 4096)[1]
    salt, one, other = (base64.b64encode(part).decode() for part in (keys.salt, keys.stored_key, keys.server_key))
    return f"SCRAM-SHA-256$4096:{salt}${one}:{other}"


def test_keys_made_of_a_password_are_the_same_at_every_question() -> None:
    known = accounts(Alice=Credential("Alice", DOMAIN, password="secret"))
    keys = known.keys("alice", DOMAIN, "SHA-256")
    assert keys is not None and keys == known.keys("alice", DOMAIN, "SHA-256")
    assert keys == derive_keys("secret", "SHA-256", keys.salt, 4096)[1]
    other = known.keys("alice", DOMAIN, "SHA-1")
    assert other is not None and other.salt != keys.salt


def test_keys_in_the_file_are_used_as_they_are() -> None:
    known = accounts(bob=Credential("bob", DOMAIN, scram_sha_256=stored("secret")))
    keys = known.keys("bob", DOMAIN, "SHA-256")
    assert keys is not None and keys.salt == b"salt of the file"
    assert known.keys("bob", DOMAIN, "SHA-1") is None
    account = known.account(Authenticate("bob", DOMAIN, "PLAIN", password="secret"))
    assert account.ours and account.password == "secret"  # known while the session lives
    with pytest.raises(WrongPassword):
        known.account(Authenticate("bob", DOMAIN, "PLAIN", password="guess"))


def test_a_password_is_compared_as_it_is_prepared_and_no_keys_are_made_of_it() -> None:
    """RFC 4013 section 3: a soft hyphen is mapped to nothing."""
    known = accounts(erin=Credential("erin", DOMAIN, password="IX"))
    assert known.account(Authenticate("erin", DOMAIN, "PLAIN", password="I\u00adX")).password == "IX"
    for wrong in ("ix", "", "\u0007"):  # the last cannot be a password at all
        with pytest.raises(WrongPassword):
            known.account(Authenticate("erin", DOMAIN, "PLAIN", password=wrong))
    assert known._derived == {}


def test_strangers_other_domains_and_users_of_telephony_only_are_for_the_backend_to_judge() -> None:
    known = accounts(carol=Credential("carol", DOMAIN, ha1="0" * 32), dave=Credential("dave", DOMAIN, password="x"))
    for user, domain in (("carol", DOMAIN), ("nobody", DOMAIN), ("dave", "other.test")):
        assert known.keys(user, domain, "SHA-1") is None
        account = known.account(Authenticate(user, domain, "PLAIN", password="anything"))
        assert not account.ours and account.password == "anything"


def test_each_domain_has_users_of_its_own() -> None:
    known = accounts(
        **{
            "alice": Credential("alice", DOMAIN, password="one"),
            "Alice@other.test": Credential("x", "", password="two"),
        }
    )
    for domain, right, wrong in ((DOMAIN, "one", "two"), ("other.test", "two", "one")):
        account = known.account(Authenticate("alice", domain, "PLAIN", password=right))
        assert account.ours and (account.domain, account.password) == (domain, right)
        account.kept["alpha"] = ClientKey("SHA-1", domain.encode(), 4096, b"c", b"v")
        with pytest.raises(WrongPassword):
            known.account(Authenticate("alice", domain, "PLAIN", password=wrong))
    first, second = (known.keys("alice", domain, "SHA-1") for domain in (DOMAIN, "other.test"))
    assert first is not None and second is not None and first.stored_key != second.stored_key
    again = known.account(Authenticate("alice", DOMAIN, "PLAIN", password="one"))
    assert again.kept["alpha"].salt == DOMAIN.encode()
    assert known.keys("alice", "third.test", "SHA-1") is None


def test_the_ladder_is_climbed_in_the_configured_order() -> None:
    account = Account("alice", DOMAIN, password="secret", proved=KEY)
    account.kept["alpha"] = kept = ClientKey("SHA-1", b"s", 4096, b"c", b"v")
    assert account.ways("alpha", ("key", "password")) == (ByClientKey(kept), ByPassword("secret"))
    assert account.ways("alpha", ("password", "key")) == (ByPassword("secret"), ByClientKey(kept))
    [by_password] = account.ways("beta", ("password",))
    assert by_password == ByPassword("secret")
    assert isinstance(by_password, ByPassword) and by_password.known == (kept,)  # good there if the salt is the same
    assert Account("alice", DOMAIN, proved=KEY).ways("beta", ("key", "password")) == (ByClientKey(KEY),)


def test_impersonation_has_its_place_in_the_ladder() -> None:
    account, admin = Account("alice", DOMAIN, password="secret"), ByImpersonation("proxy", "topsecret")
    assert account.ways("alpha", ("impersonation", "password"), admin) == (admin, ByPassword("secret"))
    assert account.ways("alpha", ("password", "impersonation"), None) == (ByPassword("secret"),)
    assert account.ways("alpha", ("password",), admin) == (ByPassword("secret"),)


def test_what_a_backend_took_once_is_kept_for_all_sessions_of_the_user() -> None:
    known = accounts(alice=Credential("alice", DOMAIN, password="secret"))
    attempt = Authenticate("alice", DOMAIN, "SCRAM-SHA-256", client_key=KEY)
    known.account(attempt).kept["alpha"] = KEY
    assert known.account(attempt).ways("alpha", ("key",)) == (ByClientKey(KEY),)
    stranger = Authenticate("nobody", DOMAIN, "PLAIN", password="x")
    known.account(stranger).kept["alpha"] = KEY
    assert known.account(stranger).ways("alpha", ("key",)) == ()


def test_the_ladder_ends_where_nothing_is_known() -> None:
    assert Account("alice", DOMAIN).ways("beta", ("key", "password")) == ()


def test_the_same_user_is_told_by_the_same_secret_where_nobody_checked_it() -> None:
    mine = Account("alice", DOMAIN, password="secret")
    assert mine.same_secret(Account("alice", DOMAIN, password="secret"))
    assert not mine.same_secret(Account("alice", DOMAIN, password="guess"))
    assert not mine.same_secret(Account("alice", DOMAIN))
    assert Account("a", DOMAIN, ours=True).same_secret(Account("a", DOMAIN, ours=True))


def test_no_secret_is_ever_shown() -> None:
    assert "secret" not in repr(Account("alice", DOMAIN, password="secret", proved=KEY))


def test_after_a_reload_the_old_passwords_are_forgotten() -> None:
    known = accounts(alice=Credential("alice", DOMAIN, password="old"))
    before = known.keys("alice", DOMAIN, "SHA-1")
    known.replace({"alice": Credential("alice", DOMAIN, password="new")})
    assert known.keys("alice", DOMAIN, "SHA-1") != before
