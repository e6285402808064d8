"""Users of chan_pjsip, in the forms in which people and FreePBX write them."""

import pytest

from haproxy_voip.configuration.accounts import pjsip
from haproxy_voip.configuration.accounts.found import Findings, Secret
from tests.configuration.accounts.conf import passwords, sections, told

HA1 = "f520e168eaa4588992f022afb0779ee4"


def find(text: str) -> Findings:
    return pjsip.find(sections(text))


def test_templates_for_endpoint_aor_and_auth_under_one_name() -> None:
    found = find(
        """
[phone](!)
type = endpoint
[contacts](!)
type = aor
max_contacts = 10
[login](!)
type = auth
auth_type = userpass
[1001](phone)
aors = 1001
auth = 1001
[1001](contacts)
[1001](login)
username = 1001
password = pw\\;1
"""
    )
    assert passwords(found) == {"1001": "pw;1"} and told(found) == []
    assert str(found.accounts[0].place) == "x.conf:14"


def test_a_user_is_who_logs_in_whatever_the_sections_are_called() -> None:
    found = find(
        "[1001-endpoint]\ntype=endpoint\naors=1001\nauth=1001-auth\n[1001-auth]\ntype=auth\nusername=1001\n"
        "password=pw\n[1001]\ntype=aor\nmax_contacts=5\n"
    )
    assert passwords(found) == {"1001": "pw"}


def test_a_section_s_name_stands_in_for_a_username() -> None:
    assert passwords(find("[1001]\ntype=auth\npassword=pw\n")) == {"1001": "pw"}


def test_freepbx_writes_endpoints_and_auths_into_two_files_and_trunks_beside_them() -> None:
    endpoints = "[1001]\ntype=endpoint\naors=1001\nauth=1001-auth\n[carrier]\ntype=endpoint\noutbound_auth=carrier\n"
    auths = "[1001-auth]\ntype=auth\nauth_type=userpass\npassword=pw\nusername=1001\n"
    trunk = "[carrier]\ntype=auth\nauth_type=userpass\npassword=other\nusername=me\n"
    found = find(endpoints + auths + trunk)
    assert passwords(found) == {"1001": "pw"}
    assert told(found) == [
        "x.conf:5: [carrier]: asks nobody for a password: a trunk, or known by its address",
        "x.conf:13: [carrier]: only for calling out: a trunk",
    ]
    assert passwords(find(auths)) == {"1001": "pw"}
    registration = "[carrier]\ntype=registration\noutbound_auth=carrier\n"
    assert passwords(find(auths + trunk + registration)) == {"1001": "pw"}
    assert told(find(endpoints)) == [
        "x.conf:5: [carrier]: asks nobody for a password: a trunk, or known by its address",
        "x.conf:1: [1001]: its auth section [1001-auth] is not there; give the file that has it as well",
    ]


def test_an_auth_that_nobody_uses_is_passed_over() -> None:
    found = find("[1000]\ntype=endpoint\nauth=1000\n[1000]\ntype=auth\npassword=a\n[9]\ntype=auth\npassword=b\n")
    assert passwords(found) == {"1000": "a"} and told(found) == ["x.conf:7: [9]: no endpoint uses it"]


def test_one_who_logs_in_by_another_name_than_he_is_called_by_is_told() -> None:
    found = find("[1000]\ntype=endpoint\naors=1000\nauth=a\n[a]\ntype=auth\nusername=acme\npassword=pw\n")
    assert found.accounts == []
    assert "log in as 'acme' but register as '1000'; the proxy takes one name for both" in told(found)[0]


def test_an_endpoint_with_a_fixed_contact_is_a_trunk() -> None:
    text = "[t]\ntype=endpoint\naors=t\nauth=t\n[t]\ntype=auth\npassword=pw\n[t]\ntype=aor\ncontact=sip:192.0.2.1\n"
    assert told(find(text)) == ["x.conf:1: [t]: has a fixed contact: a trunk, or a phone that does not register"]
    assert passwords(find(f"{text}max_contacts=1\n")) == {"t": "pw"}


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ("auth_type=md5\nmd5_cred=" + HA1, Secret(ha1=HA1, realm="asterisk")),
        ("auth_type=md5\nrealm=r\nmd5_cred=" + HA1, Secret(ha1=HA1, realm="r")),
        ("auth_type=digest\npassword=pw", Secret(password="pw")),
        (
            f"auth_type=digest\nrealm=r\npassword_digest=MD5:{HA1}\npassword_digest=SHA-256:{HA1}{HA1}",
            Secret(ha1=HA1, ha1_sha256=HA1 + HA1, realm="r"),
        ),
        ("password=pw\nmd5_cred=" + HA1, Secret(password="pw")),
    ],
)
def test_hashes_come_with_their_realm(settings: str, secret: Secret) -> None:
    [account] = find(f"[1001]\ntype=auth\n{settings}\n").accounts
    assert account.secret == secret


def test_the_realm_of_hashes_may_be_the_global_one() -> None:
    found = find(f"[global]\ntype=global\ndefault_realm=voip.example\n[1]\ntype=auth\nauth_type=md5\nmd5_cred={HA1}\n")
    assert found.accounts[0].secret.realm == "voip.example"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("username=1", "auth_type is userpass, but there is no password"),
        ("auth_type=md5\npassword=secret1", "auth_type is md5, but there is no md5_cred"),
        ("auth_type=digest\npassword_digest=SHA-512-256:00", "there is no password nor password_digest"),
        ("auth_type=google_oauth", "auth_type 'google_oauth' has no password"),
    ],
)
def test_an_auth_without_what_it_says_it_has_is_told(settings: str, says: str) -> None:
    found = find(f"[1]\ntype=auth\n{settings}\n")
    assert found.accounts == [] and says in told(found)[0] and "secret1" not in told(found)[0]


def test_two_auths_of_one_name_are_told() -> None:
    found = find("[1]\ntype=auth\npassword=a\n[1]\ntype=auth\npassword=b\n")
    assert told(found) == ["x.conf:4: [1]: stands twice as auth, first at x.conf:1; Asterisk refuses that"]


def test_the_wizard_is_endpoint_aor_and_auth_in_one() -> None:
    found = find(
        """
[defaults](!)
type = wizard
accepts_registrations = yes
[bob](defaults)
inbound_auth/username = bob
inbound_auth/password = pw
[carrier](defaults)
accepts_registrations = no
remote_hosts = sip.example
[eve](defaults)
[tom](defaults)
inbound_auth/username = thomas
inbound_auth/password = pw
"""
    )
    assert passwords(found) == {"bob": "pw"}
    assert told(found) == [
        "x.conf:8: [carrier]: does not register: a trunk",
        "x.conf:11: [eve]: accepts registrations, but has no inbound_auth/password",
        "x.conf:12: [tom]: its phones log in as 'thomas' but register as 'tom'; the proxy takes one name for both",
    ]
