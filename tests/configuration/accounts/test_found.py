from pathlib import Path

import pytest

from haproxy_voip.configuration.accounts.found import Account, Findings, Note, Place, Secret, printable
from haproxy_voip.core.credential import Credential

PLACE = Place(Path("pjsip.conf"), 7)
HA1 = "0123456789ABCDEF0123456789abcdef"


def test_a_password_is_good_for_any_realm() -> None:
    account = Account("1001", Secret(password="pw"), PLACE)
    assert account.credential("voip.example") == Credential("1001", "voip.example", password="pw")


def test_a_hash_is_good_for_its_own_realm_only() -> None:
    account = Account("1001", Secret(ha1=HA1, realm="asterisk"), PLACE)
    assert account.credential("asterisk") == Credential("1001", "asterisk", ha1=HA1.lower())
    with pytest.raises(ValueError) as refused:
        account.credential("voip.example")
    assert "good for the realm 'asterisk' only, and the users' file has 'voip.example'" in str(refused.value)


def test_a_hash_without_a_realm_is_taken_for_the_file_s() -> None:
    assert Account("1001", Secret(ha1_sha256="A" * 64), PLACE).credential("r").ha1_sha256 == "a" * 64


def test_a_secret_is_not_shown() -> None:
    assert "pw" not in repr(Account("1001", Secret(password="pw", ha1="pw", ha1_sha256="pw"), PLACE))


def test_a_note_says_where_what_and_why() -> None:
    assert str(Note(PLACE, "[trunk]", "has no secret")) == "pjsip.conf:7: [trunk]: has no secret"
    assert str(Note(PLACE, "", "stands in no section")) == "pjsip.conf:7: stands in no section"


def test_findings_of_several_files_are_put_together() -> None:
    one, other = Findings(bad=[Note(PLACE, "", "a")]), Findings(bad=[Note(PLACE, "", "b")])
    one.add(other)
    assert [note.why for note in one.bad] == ["a", "b"]


def test_what_a_terminal_must_not_see_is_escaped() -> None:
    assert printable("Käthe") == "Käthe" and printable("\x1b[2J\udce9\n") == "\\x1b[2J\\udce9\\n"
    assert str(Note(PLACE, "[\x1b[2J]", "caf\udce9")) == "pjsip.conf:7: [\\x1b[2J]: caf\\udce9"
