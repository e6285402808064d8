"""Tables: our own, and those that FreePBX's bulk handler writes."""

from pathlib import Path

import pytest

from haproxy_voip.configuration.accounts import tables
from haproxy_voip.configuration.accounts.found import Findings, Secret
from tests.configuration.accounts.conf import passwords, told

FILE = Path("users.csv")
# The columns of an export of FreePBX, shortened; `password` is that of the user portal.
FREEPBX = """\
extension,password,name,voicemail,id,tech,dial,devicetype,user,description,secret,sipdriver
1001,1234,"Doe, Jane",default,1001,pjsip,PJSIP/1001,fixed,1001,Jane,s3cret,chan_pjsip
1002,,Bob,novm,1002,sip,SIP/1002,fixed,1002,Bob,"a,""b",chan_sip
1003,,Fax,novm,1003,dahdi,DAHDI/1,fixed,1003,Fax,,
1004,,Virtual,novm,,,,,,,,
1005,,Eve,novm,1005,pjsip,PJSIP/1005,fixed,1005,Eve,,chan_pjsip
"""


def find(text: str, *, freepbx: bool | None = None) -> Findings:
    return tables.find(FILE, text, freepbx=freepbx)


@pytest.mark.parametrize(
    "text",
    [
        "user,password\n1001,one\n1002,two\n",
        "\ufeffUser;Password;Room\r\n1001;one;12\r\n\r\n1002;two;\r\n",
        'name\tsecret\n1001\tone\n"1002"\ttwo',
        "password , extension\none,1001\n two, 1002 \n",
    ],
)
def test_columns_are_found_by_their_names(text: str) -> None:
    assert passwords(find(text)) == {"1001": "one", "1002": "two"} and told(find(text)) == []


def test_a_hash_may_stand_in_place_of_a_password() -> None:
    found = find("user,password,ha1\na,pw,\nb,,0123\n")
    assert [account.secret for account in found.accounts] == [Secret(password="pw"), Secret(ha1="0123")]


def test_freepbx_s_secret_is_taken_and_not_the_portal_s_password() -> None:
    assert tables.is_freepbx(FREEPBX) and not tables.is_freepbx("user,password\n")
    found = find(FREEPBX)
    assert passwords(found) == {"1001": "s3cret", "1002": 'a,"b'}
    assert told(found) == [
        "users.csv:4: 1003: is no SIP phone but dahdi",
        "users.csv:5: 1004: is no SIP phone but nothing",
        "users.csv:6: 1005: has no secret",
    ]


def test_it_can_be_said_whose_columns_they_are() -> None:
    assert passwords(find(FREEPBX, freepbx=False)) == {
        "1001": "1234",
        "1002": 'a,"b',
    }
    assert "extension, tech and secret" in told(find("user,password\n", freepbx=True))[0]


def test_what_is_wrong_is_told_with_its_line() -> None:
    found = find('user,password\na,pw\nb\nc,\n"multi\nline",pw,3\nd,pw,x\n')
    assert passwords(found) == {"a": "pw"}
    assert told(found) == [
        "users.csv:3: has 1 columns, the first line has 2; quote what holds the delimiter",
        "users.csv:4: c: has no password",
        "users.csv:5: has 3 columns, the first line has 2; quote what holds the delimiter",
        "users.csv:7: has 3 columns, the first line has 2; quote what holds the delimiter",
    ]
    assert "from here on" in told(find('user,password\na,"pw" x\n'))[0]
    assert "the first line must name columns" in told(find("1001,one\n"))[0]
    assert "the first line must name columns" in told(find(""))[0]


def test_what_looks_like_a_table() -> None:
    assert tables.looks_like_one("user,password\n") and not tables.looks_like_one("[1001]\nsecret=x\n")
    assert not tables.looks_like_one("x" * 200_000)


def test_every_prefix_is_read_or_told() -> None:
    for length in range(len(FREEPBX)):
        find(FREEPBX[:length])
