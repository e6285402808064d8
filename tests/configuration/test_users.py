"""The users' file: read with every mistake named, written without losing anything."""

import contextlib
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.core.credential import Credential
from tests.configuration.samples import loaded
from tests.configuration.samples import mistakes as mistakes_in_all

REALM = "voip.example"
HA1 = users.hashed("1002", REALM, "secret").ha1
SHA = users.hashed("1003", REALM, "secret").ha1_sha256
TEXT = f"""\
# Ours.
realm: {REALM}

users:
    # the front desk
    "1001": {{password: "s3cret: #1"}}   # until May
    1002:
        ha1: {HA1.upper() if HA1 else ""}
    0042: {{ha1_sha256: {SHA}}}

# the end
"""


def file_with(folder: Path, text: str) -> Path:
    file = folder / "users.yaml"
    file.write_text(text)
    return file


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        users.load(file_with(folder, text))
    return [str(error).replace(f"{folder}/", "") for error in caught.value.errors]


def test_every_form_of_secret_is_read(tmp_path: Path) -> None:
    found = users.load(file_with(tmp_path, TEXT))
    assert found.realm == REALM
    assert found.credentials == {
        "1001": Credential("1001", REALM, password="s3cret: #1"),
        "1002": Credential("1002", REALM, ha1=HA1),
        "0042": Credential("0042", REALM, ha1_sha256=SHA),
    }


def test_nobody_is_a_valid_number_of_users(tmp_path: Path) -> None:
    assert users.load(file_with(tmp_path, "realm: r\nusers:\n")) == users.Users(realm="r")
    assert users.load(file_with(tmp_path, "realm: r\n")) == users.Users(realm="r")


def test_the_hashes_are_those_of_rfc_7616() -> None:
    """Section 3.9.1: Mufasa's A1, as MD5 and as SHA-256."""
    credential = users.hashed("Mufasa", "http-auth@example.org", "Circle of Life")
    assert credential.ha1 == "3d78807defe7de2157e2b0b6573a855f"
    assert credential.ha1_sha256 == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
    assert credential.password is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("users: {}\n", "users.yaml:1: realm: missing"),
        ("realm: 'a\"b'\n", "users.yaml:1: realm: 'a\"b' is no realm"),
        ("realm: r\nusers: [a]\n", "users.yaml:2: users: no mapping"),
        ("realm: r\nuser: {}\n", "users.yaml:2: user: unknown key 'user'"),
        ("- a\n", "users.yaml:1: no mapping"),
        ("realm: r\nusers:\n  a: {}\n", "users.yaml:3: users.a: has no secret; write one of password, ha1, ha1_sha256"),
        ("realm: r\nusers:\n  a: secret\n", "users.yaml:3: users.a: has no secret"),
        ("realm: r\nusers:\n  a: {passwd: x}\n", "users.yaml:3: users.a.passwd: unknown key 'passwd'"),
        ("realm: r\nusers:\n  a: {password: }\n", "users.yaml:3: users.a.password: has no value"),
        ("realm: r\nusers:\n  a: {ha1: xyz}\n", "users.yaml:3: users.a.ha1: ha1 is not 32 hexadecimal digits"),
        ("realm: r\nusers:\n  a: {password: 'x\ty'}\n", "a password has 1 to 256 printable characters"),
        ("realm: r\nusers:\n  'a:b': {password: x}\n", "users.yaml:3: users.a:b: 'a:b' is no user name"),
        ("realm: r\nusers:\n  a: {password: x}\n  a: {password: y}\n", "users.yaml:4: users.a: this key stands twice"),
        (f"realm: r\nusers:\n  a: {{password: x, ha1: {HA1}}}\n", "ha1 is not that of the password in this realm"),
    ],
)
def test_a_mistake_names_line_and_user(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in mistake for mistake in mistakes(tmp_path, text)), mistakes(tmp_path, text)


def test_no_mistake_shows_a_secret(tmp_path: Path) -> None:
    assert "hunter2" not in "".join(mistakes(tmp_path, "realm: r\nusers:\n  a: {ha1: hunter2}\n"))


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, "colour: x\nusers:\n  a: {}\n  b: {ha1: 1}\n")) == 4


def test_a_user_is_added_below_the_others_and_all_else_stays(tmp_path: Path) -> None:
    file = file_with(tmp_path, TEXT)
    users.add(file, Credential("1004", REALM, password="x"))
    added = '    "1004": {password: "x"}\n'
    assert file.read_text() == TEXT.replace("\n\n# the end", f"\n{added}\n# the end")


def test_the_first_user_makes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    users.add(file, Credential("1001", REALM, password="x"))
    users.add(file, users.hashed("1002", REALM, "y"))
    found = users.load(file)
    assert list(found.credentials) == ["1001", "1002"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_whose_last_line_has_no_end_gets_one(tmp_path: Path) -> None:
    file = file_with(tmp_path, "realm: voip.example\nusers:\n  a: {password: x}")
    users.add(file, Credential("b", REALM, password="y"))
    assert list(users.load(file).credentials) == ["a", "b"]


def test_users_on_one_line_are_written_one_below_the_other(tmp_path: Path) -> None:
    file = file_with(tmp_path, "# Ours.\nrealm: voip.example\nusers: {a: {password: x}}\n")
    users.add(file, Credential("b", REALM, password="y"))
    assert file.read_text().startswith("# Ours.\nrealm:")
    assert list(users.load(file).credentials) == ["a", "b"]


def test_a_known_user_is_kept_unless_told_to_replace(tmp_path: Path) -> None:
    file = file_with(tmp_path, TEXT)
    with pytest.raises(users.UserExists):
        users.add(file, Credential("1001", REALM, password="new"))
    assert file.read_text() == TEXT
    users.add(file, Credential("1001", REALM, password="new"), replace=True)
    found = users.load(file)
    assert found.credentials["1001"].password == "new"
    assert list(found.credentials) == ["1001", "1002", "0042"]


@pytest.mark.parametrize(
    "credential",
    [
        Credential("a b", REALM, password="x"),
        Credential("", REALM, password="x"),
        Credential("a", REALM),
        Credential("a", REALM, password=""),
        Credential("a", REALM, password="line\nbreak"),
        Credential("a", REALM, ha1="123"),
        Credential("a", "other.example", password="x"),
        Credential("a", 'quo"ted', password="x"),
    ],
    ids=lambda credential: f"{credential.user} {credential.realm}",
)
def test_a_malformed_credential_is_not_written(tmp_path: Path, credential: Credential) -> None:
    file = file_with(tmp_path, TEXT)
    with pytest.raises(ValueError):
        users.add(file, credential)
    assert file.read_text() == TEXT


def test_a_file_with_mistakes_is_not_touched(tmp_path: Path) -> None:
    file = file_with(tmp_path, "realm: voip.example\nusers:\n  a: {}\n")
    with pytest.raises(ConfigErrors):
        users.add(file, Credential("b", REALM, password="y"))
    assert file.read_text().endswith("a: {}\n")


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    file, link = file_with(tmp_path, TEXT), tmp_path / "link.yaml"
    link.symlink_to(file)
    users.add(link, Credential("b", REALM, password="y"))
    assert link.is_symlink()
    assert "b" in users.load(file).credentials


def test_users_are_changed_where_they_stand_and_added_below_and_comments_stay(tmp_path: Path) -> None:
    file = file_with(tmp_path, TEXT)
    new = [Credential(user, REALM, password="new }#") for user in ("1001", "1002", "1005")]
    assert users.merge(file, REALM, lambda known: new) is True
    assert (
        file.read_text()
        == f"""\
# Ours.
realm: {REALM}

users:
    # the front desk
    "1001": {{password: "new }}#"}}   # until May
    "1002": {{password: "new }}#"}}
    0042: {{ha1_sha256: {SHA}}}
    "1005": {{password: "new }}#"}}

# the end
"""
    )


def test_whoever_decides_is_given_those_who_are_there(tmp_path: Path) -> None:
    file = file_with(tmp_path, TEXT)
    seen = []

    def decide(known: users.Users) -> list[Credential]:
        seen.extend(known.credentials)
        return []

    before = file.stat()
    assert users.merge(file, REALM, decide) is True
    assert seen == ["1001", "1002", "0042"] and file.stat() == before


def test_it_is_told_when_comments_could_not_stay(tmp_path: Path) -> None:
    file = file_with(tmp_path, "# Ours.\nrealm: voip.example\nusers: {a: {password: x}}  # all of them\n")
    assert users.merge(file, REALM, lambda known: [Credential("a", REALM, password="y")]) is False
    assert "# Ours." in file.read_text() and "# all" not in file.read_text()
    assert users.load(file).credentials["a"].password == "y"


def answered(wanted: list[Credential], known: users.Users) -> list[Credential]:
    """Whoever is there, these are to be."""
    return wanted


def test_a_thousand_users_are_changed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    names = [str(user) for user in range(1_000)]
    for password in ("one", "two"):
        wanted = [Credential(name, REALM, password=password) for name in names]
        assert users.merge(file, REALM, partial(answered, wanted))
    assert users.load(file).credentials["999"].password == "two"


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)


@settings(max_examples=40)
@given(password=PRINTABLE, name=st.from_regex(users.USER_NAME, fullmatch=True))
def test_any_password_reads_back_the_same(password: str, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("users") / "users.yaml"
    credential = Credential(name, REALM, password=password)
    users.add(file, credential)
    assert users.load(file).credentials == {name: credential}


def test_every_prefix_is_read_or_refused(tmp_path: Path) -> None:
    for length in range(len(TEXT)):
        with contextlib.suppress(ConfigErrors):
            users.load(file_with(tmp_path, TEXT[:length]))


def test_keys_for_chat_are_kept_as_they_are_and_read_to_be_right(tmp_path: Path) -> None:
    keys = "SCRAM-SHA-1$4096:c2FsdA==$" + "A" * 27 + "=:" + "B" * 27 + "="
    path = tmp_path / "users.yaml"
    path.write_text(f"realm: r\nusers:\n  a: {{scram_sha_1: '{keys}'}}\n")
    assert users.load(path).credentials["a"].scram_sha_1 == keys
    path.write_text(f"realm: r\nusers:\n  a: {{scram_sha_256: '{keys}'}}\n  b: {{scram_sha_1: x}}\n")
    with pytest.raises(ConfigErrors) as wrong:
        users.load(path)
    assert "scram_sha_256 holds keys for another hash" in str(wrong.value)
    assert "no SCRAM keys as RFC 5803 writes them" in str(wrong.value) and "AAAA" not in str(wrong.value)


def test_the_users_of_every_domain_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("realm: w\nusers:\n  alice: {password: two}\n")
    chat = "xmpp: {listen: ['tcp:192.0.2.10:5222'], starttls: optional, domains: {v: {}, w.example: {users: w.yaml}}}"
    backends = "backends: {alpha: {xmpp: 'tcp:192.0.2.11:5222'}}\n"
    config = loaded(tmp_path, f"proxy: {{domain: v, {chat}}}\nusers: users.yaml\n{backends}")
    known = users.everybody(config)
    assert known.realm == "voip.example" and list(known.credentials) == ["1001", "alice@w.example"]
    only_there = users.everybody(loaded(tmp_path, f"proxy: {{domain: v, {chat}}}\n{backends}"))
    assert (only_there.realm, list(only_there.credentials)) == ("v", ["alice@w.example"])


HAS_NONE = "write one of password, ha1, ha1_sha256, scram_sha_1, scram_sha_256"


def test_a_mistake_in_a_domains_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("realm: w\nusers:\n  alice: {}\n")
    chat = "xmpp: {listen: ['tcp:192.0.2.10:5222'], starttls: optional, domains: {w.example: {users: w.yaml}}}"
    text = f"proxy: {{domain: v, {chat}}}\nbackends: {{alpha: {{xmpp: 'tcp:192.0.2.11:5222'}}}}\n"
    assert mistakes_in_all(tmp_path, text) == ["w.yaml:3: users.alice: has no secret; " + HAS_NONE]
