"""Each kind of value reads what it should, writes it back, and says what would be right."""

import contextlib
import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.configuration.kinds import (
    Choice,
    Domain,
    Duration,
    File,
    Flag,
    Host,
    Kind,
    Listener,
    Localpart,
    Network,
    NewFile,
    Place,
    PortRange,
    Ports,
    SecretFile,
    Socket,
    Text,
    Whole,
    Wrong,
    written_duration,
)
from haproxy_voip.core.address import Address, Endpoint, Transport

SECONDS = Duration(0.001, 3600.0)
KINDS: list[Kind] = [
    SECONDS,
    Duration(1.0, 60.0, never="manual"),
    Whole(1, 100),
    Flag(),
    Choice(("mirror", "active")),
    Domain(),
    Host(),
    Host(wildcard=True),
    Listener(),
    Place(),
    Ports(),
    File(),
    SecretFile(),
    Localpart(),
    NewFile(),
    Socket(),
    Network(),
    Text(),
]
GOOD = [
    (SECONDS, "100ms", 0.1),
    (SECONDS, "1.5s", 1.5),
    (SECONDS, "2m", 120.0),
    (SECONDS, "1h", 3600.0),
    (Duration(1.0, 60.0, never="manual"), "manual", None),
    (Whole(1, 100), "100", 100),
    (Flag(), "true", True),
    (Flag(), "false", False),
    (Choice(("mirror", "active")), "active", "active"),
    (Domain(), "Voip.Example", "voip.example"),
    (Domain(), "2001:DB8::1", "2001:db8::1"),
    (Host(), "2001:db8:0::1", "2001:db8::1"),
    (Host(wildcard=True), "::", "::"),
    (Network(), "198.51.100.0/24", ip_network("198.51.100.0/24")),
    (Network(), "2001:DB8::1", ip_network("2001:db8::1/128")),
    (Text(), "s3cret: no quotes", "s3cret: no quotes"),
    (Listener(), "udp:[::1]:5060", Endpoint.parse("udp:[::1]:5060")),
    (Place(), "udp:[::1]:5060", Endpoint.parse("udp:[::1]:5060")),
    (Place(), "tls:PBX1.example:5071", Endpoint(Transport.TLS, Address("pbx1.example", 5071))),
    (Place(), "udp:pbx1", Endpoint(Transport.UDP, Address("pbx1", 0))),
    (Ports(), "20000 - 29999", PortRange(20000, 29999)),
    (File(), "users.yaml", Path("users.yaml")),
    (SecretFile(), "proxy.secret", Path("proxy.secret")),
    (Localpart(), "Proxy", "proxy"),
    (NewFile(), "calls.jsonl", Path("calls.jsonl")),
    (Socket(), "/run/x.sock", Path("/run/x.sock")),
]
BAD = [
    (SECONDS, "5", "5' is no duration"),
    (SECONDS, "5 s", "no duration"),
    (SECONDS, "-1s", "no duration"),
    (SECONDS, "1d", "no duration"),
    (SECONDS, "nans", "no duration"),
    (SECONDS, "0s", "too short; write at least 1ms"),
    (SECONDS, "61m", "too long; write at most 1h"),
    (Duration(1.0, 60.0, never="manual"), "automatic", "write manual, or a number and its unit"),
    (Whole(1, 100), "0", "out of range"),
    (Whole(1, 100), "1e2", "no whole number"),
    (Whole(1, 100), "²", "no whole number"),
    (Whole(1, 100), "9" * 5000, "no whole number"),
    (Flag(), "yes", "write true or false"),
    (Choice(("failover",), later=("hash",)), "hash", "not supported yet"),
    (Choice(("failover",), later=("hash",)), "fallover", "write failover"),
    (Domain(), "voip_example", "no domain name"),
    (Domain(), "a" * 64 + ".example", "no domain name"),
    (Domain(), "sip:voip.example", "no domain name"),
    (Host(), "pbx.example", "no IP address"),
    (Host(), "0.0.0.0", "nobody can send to 0.0.0.0"),
    (Host(), "[::1]", "no IP address"),
    (Network(), "carrier.example", "no network"),
    (Network(), "198.51.100.0/33", "no network"),
    (Network(), "198.51.100.5/24", "bits behind its prefix; write 198.51.100.0/24, or the address alone"),
    (Network(), "0.0.0.0/0", "is everybody"),
    (Text(), "", "empty"),
    (Text(), "a\r\nb", "cannot be printed"),
    (Text(), "a" * 256, "too long"),
    (Listener(), "5060", "no transport"),
    (Place(), "udp:192.0.2.300:5060", "no IP address"),
    (Place(), "udp:pbx.example:0", "has no port"),
    (Place(), "udp:pbx.example:", "has no port"),
    (Place(), "sctp:pbx.example", "no transport"),
    (Place(), "udp:", "no address"),
    (Place(), "udp:pbx_1.example!:5060", "no IP address"),
    (Listener(), "sctp:192.0.2.1:5060", "no transport"),
    (Listener(), "udp:pbx.example:5060", "no IP address"),
    (Listener(), "udp:192.0.2.1:0", "port 0"),
    (Listener(), "udp:192.0.2.1:65536", "no address"),
    (Listener(), "udp:::1:5060", "needs brackets"),
    (Ports(), "20000", "no port range"),
    (Ports(), "20001-29999", "write 20002-29999"),
    (Ports(), "20000-20002", "too small"),
    (Ports(), "29998-20000", "too small"),
    (Ports(), "1000-2000", "within 1024-65535"),
    (Ports(), "60000-65536", "within 1024-65535"),
    (File(), "", "empty"),
    (SecretFile(), "", "empty"),
    (Localpart(), "proxy@voip.example", "write what stands before the @"),
    (Localpart(), "a" * 65, "no user name"),
    (NewFile(), "calls\0", "NUL"),
    (Socket(), "/run/" + "x" * 103, "at most 107 bytes"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_a_right_value_is_read(kind: Kind, text: str, value: object) -> None:
    assert kind.read(text) == value


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_what_is_written_reads_back_the_same(kind: Kind, text: str, value: object) -> None:
    assert kind.read(kind.write(value)) == value


@pytest.mark.parametrize(("kind", "text", "says"), BAD)
def test_a_wrong_value_is_refused_with_what_would_be_right(kind: Kind, text: str, says: str) -> None:
    with pytest.raises(Wrong) as caught:
        kind.read(text)
    assert says in str(caught.value)
    assert caught.value.problem
    assert caught.value.remedy


@settings(max_examples=30)
@given(st.text(max_size=30))
def test_noise_is_read_or_refused_but_never_crashes(text: str) -> None:
    for kind in KINDS:
        with contextlib.suppress(Wrong):
            kind.read(text)


@pytest.mark.parametrize(("kind", "text", "value"), [case for case in GOOD if isinstance(case[2], str)])
def test_every_text_is_within_its_own_schema(kind: Kind, text: str, value: object) -> None:
    schema = kind.schema()
    assert text in schema.get("enum", [text])
    assert re.search(str(schema.get("pattern", "")), text)


@given(st.integers(1, 10**7))
def test_durations_are_written_without_loss(milliseconds: int) -> None:
    assert Duration(0.0, 1e9).read(written_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


def test_durations_are_written_short() -> None:
    assert [written_duration(seconds) for seconds in (0.1, 1.0, 90.0, 120.0, 3600.0, 0.0005)] == [
        "100ms",
        "1s",
        "90s",
        "2m",
        "1h",
        "0.5ms",
    ]


def test_every_kind_describes_itself() -> None:
    assert all(kind.describe() for kind in KINDS)
