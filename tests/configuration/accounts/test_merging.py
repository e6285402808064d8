"""Who is added, who stays and who changes."""

from pathlib import Path

from haproxy_voip.configuration import users
from haproxy_voip.configuration.accounts.found import Account, Place, Secret
from haproxy_voip.configuration.accounts.merging import How, Verdict, plan, same_secret
from haproxy_voip.core.credential import Credential

REALM = "voip.example"
KNOWN = users.Users(
    realm=REALM,
    credentials={
        "1001": Credential("1001", REALM, password="one"),
        "1002": users.hashed("1002", REALM, "two"),
    },
)


def account(user: str, password: str, line: int = 1) -> Account:
    return Account(user, Secret(password=password), Place(Path("f"), line))


def test_new_users_are_added_and_known_ones_stay_as_they_are() -> None:
    made = plan(KNOWN, [account("1001", "one"), account("1002", "two"), account("1003", "three")], How())
    assert [(row.verdict, row.user) for row in made.rows] == [
        (Verdict.KEPT, "1001"),
        (Verdict.KEPT, "1002"),
        (Verdict.ADDED, "1003"),
    ]
    assert made.credentials == [Credential("1003", REALM, password="three")] and made.bad == []
    assert made.count(Verdict.KEPT) == 2


def test_another_secret_is_taken_only_when_told_so() -> None:
    found = [account("1001", "new")]
    assert plan(KNOWN, found, How()).credentials == []
    assert plan(KNOWN, found, How()).rows[0].why == "has another secret; --replace takes this one"
    made = plan(KNOWN, found, How(replace=True))
    assert made.rows[0].verdict is Verdict.CHANGED
    assert made.credentials == [Credential("1001", REALM, password="new")]


def test_hashes_alone_are_kept_when_wanted() -> None:
    assert plan(KNOWN, [account("1003", "three")], How(hashed=True)).credentials == [
        users.hashed("1003", REALM, "three")
    ]


def test_a_user_who_is_found_twice_counts_once_and_may_not_differ() -> None:
    made = plan(KNOWN, [account("1003", "a", 1), account("1003", "a", 2), account("1003", "b", 3)], How())
    assert len(made.rows) == 1
    assert [str(note) for note in made.bad] == ["f:3: 1003: has another secret at f:1"]


def test_what_the_file_could_not_hold_is_told_without_its_secret() -> None:
    place = Place(Path("f"), 1)
    found = [
        account("two words", "x"),
        account("1003", "hunter2\x07"),
        account("1004", "caf\udce9"),
        Account("1005", Secret(ha1="hunter2"), place),
        Account("1006", Secret(ha1="0" * 32, realm="asterisk"), place),
    ]
    made = plan(KNOWN, found, How())
    assert made.credentials == [] and "hunter2" not in str(made)
    said = [note.why for note in made.bad]
    assert "is no user name" in said[0]
    assert said[1] == said[2] == "a password has 1 to 256 printable characters"
    assert said[3] == "ha1 is not 32 hexadecimal digits"
    assert "good for the realm 'asterisk' only" in said[4]


def test_secrets_are_compared_across_forms() -> None:
    password, other = Credential("u", REALM, password="x"), Credential("u", REALM, password="y")
    hashes = users.hashed("u", REALM, "x")
    md5 = Credential("u", REALM, ha1=hashes.ha1)
    chat = Credential("u", REALM, scram_sha_1="...")
    assert same_secret(password, hashes) and same_secret(md5, hashes) and same_secret(md5, password)
    assert not same_secret(password, other) and not same_secret(md5, other) and not same_secret(chat, password)
    assert not same_secret(md5, Credential("u", REALM, ha1_sha256=hashes.ha1_sha256))
