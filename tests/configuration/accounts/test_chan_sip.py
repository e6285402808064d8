"""Users of chan_sip, in the forms in which people and FreePBX write them."""

from haproxy_voip.configuration.accounts import chan_sip
from haproxy_voip.configuration.accounts.found import Findings, Secret
from tests.configuration.accounts.conf import passwords, sections, told

HA1 = "f520e168eaa4588992f022afb0779ee4"


def find(text: str) -> Findings:
    return chan_sip.find(sections(text))


def test_friends_peers_and_users_who_register() -> None:
    found = find(
        """
[general]
context = default
register => me:secret@carrier.example/1234
[authentication]
auth = me:secret@carrier.example
[office-phone](!)
type = friend
host = dynamic
[1001](office-phone)
secret = one
[1002]
type=peer
secret=>two
host=Dynamic ; This device registers with us
[1003]
type=user
secret=three
"""
    )
    assert passwords(found) == {"1001": "one", "1002": "two", "1003": "three"} and told(found) == []


def test_freepbx_s_sip_additional_conf() -> None:
    found = find(
        "[1001]\ndeny=0.0.0.0/0.0.0.0\nsecret=abc123\ndtmfmode=rfc2833\nhost=dynamic\ntype=friend\nport=5060\n"
        "dial=SIP/1001\npermit=0.0.0.0/0.0.0.0\ncallerid=Front desk <1001>\n\n"
        "[carrier]\nusername=me\ntype=peer\nsecret=x\nhost=sip.carrier.example\n"
    )
    assert passwords(found) == {"1001": "abc123"}
    assert told(found) == [
        "x.conf:12: [carrier]: has a fixed host, sip.carrier.example: a trunk, or a phone that does not register"
    ]


def test_md5secret_is_a_hash_of_the_general_realm_and_counts_more_than_a_secret() -> None:
    peer = f"[1001]\ntype=peer\nhost=dynamic\nsecret=old\nmd5secret={HA1}   ;password: never\n"
    assert find(peer).accounts[0].secret == Secret(ha1=HA1, realm="asterisk")
    assert find(f"[general]\nrealm=voip.example\n{peer}").accounts[0].secret.realm == "voip.example"


def test_what_is_no_phone_is_told() -> None:
    found = find("[a]\nsecret=x\n[b]\ntype=friend\nhost=dynamic\n[c]\ntype=endpoint\n")
    assert told(found) == [
        "x.conf:1: [a]: has no type; Asterisk passes it over as well",
        "x.conf:3: [b]: has no secret",
        "x.conf:6: [c]: type 'endpoint' is no phone",
    ]
