"""What must hold between values that are each right by themselves."""

from pathlib import Path

import pytest

from haproxy_voip.configuration.rules import RULES
from tests.configuration.samples import BACKENDS, MINIMAL, PROXY, loaded, mistakes

USERS = "users: users.yaml\n"


def listening(*endpoints: str, more: str = "") -> str:
    listen = ", ".join(f"'{endpoint}'" for endpoint in endpoints)
    return f"proxy: {{domain: v.example, {more} sip: {{listen: [{listen}]}}}}\n{USERS}"


def to(*endpoints: str) -> str:
    return "backends:\n" + "".join(f"  b{n}: {{sip: '{endpoint}'}}\n" for n, endpoint in enumerate(endpoints))


ENTRUSTED = "authentication: backend\nregistration: active\n"
ONE = "udp:192.0.2.10:5060"
CHATS = "tcp:192.0.2.10:5222"


def chatting(*endpoints: str, more: str = "") -> str:
    """The proxy's chat alone."""
    listen = ", ".join(f"'{endpoint}'" for endpoint in endpoints)
    return f"proxy: {{domain: v.example, xmpp: {{listen: [{listen}], starttls: optional, {more}}}}}\n"


def chats_at(*endpoints: str) -> str:
    return "backends:\n" + "".join(f"  b{n}: {{xmpp: '{endpoint}'}}\n" for n, endpoint in enumerate(endpoints))


def over(address: str, more: str = "", name: str = "carrier") -> str:
    """A trunk."""
    return f"trunks:\n  {name}: {{address: '{address}', {more}}}\n"


CARRIER = "udp:203.0.113.5:5060"
ADVERTISED = "advertise: 203.0.113.10,"


def impersonating(chat: str) -> str:
    return chatting(CHATS) + f"backends: {{b0: {{xmpp: 'tcp:192.0.2.11:5222', chat: {{{chat}}}}}}}\n"


TWO = PROXY + USERS + "backends:\n  b0: {sip: 'udp:192.0.2.11:5060', weight: 3}\n"
TWO += "  b1: {sip: 'udp:192.0.2.12:5060', slowstart: 30s, max_calls: 100}\n"

REFUSED = [
    (TWO, "x.yaml:4: backends.b0.weight: balance is failover, which gives all calls to one backend; remove it"),
    (TWO, "x.yaml:5: backends.b1.slowstart: balance is failover, which gives all calls to one backend; remove it"),
    (TWO + "balance: hash\nregistration: active\n", "x.yaml:7: registration: active, but balance is hash: a backend"),
    (TWO + "balance: hash\nfailover: {together: true}\n", "x.yaml:7: failover.together: balance is hash: chat is at"),
    (TWO + "balance: hash\nauthentication: backend\n", "x.yaml:6: balance: hash, but authentication is backend"),
    (TWO + "balance: hash\npanic: 101\n", "x.yaml:7: panic: 101 is out of range"),
    (listening() + BACKENDS, "x.yaml:1: proxy.sip.listen: is empty"),
    (listening(ONE, ONE) + BACKENDS, "proxy.sip.listen[1]: udp:192.0.2.10:5060 takes the port of udp:192.0.2.10:5060"),
    (listening(ONE, "udp:0.0.0.0:5060", more=ADVERTISED) + BACKENDS, "listen[1]: udp:0.0.0.0:5060 takes the port"),
    (listening(ONE, "tcp:192.0.2.10:5061", "tls:192.0.2.10:5061") + BACKENDS, "listen[2]: tls:192.0.2.10:5061 takes"),
    (listening(ONE, "tls:192.0.2.10:5061") + BACKENDS, "listen[1]: tls:192.0.2.10:5061 needs a certificate"),
    (listening("udp:0.0.0.0:5060") + BACKENDS, "write the IPv4 address others reach as proxy.advertise"),
    (listening(ONE, "udp:[::]:5060", more=ADVERTISED) + BACKENDS, "write the IPv6 address others reach"),
    (PROXY + USERS + "backends: {}\n", "x.yaml:3: backends: is empty"),
    (listening(ONE) + to(ONE), "backends.b0.sip: udp:192.0.2.10:5060 is the proxy itself"),
    (listening("udp:0.0.0.0:5060", more=ADVERTISED) + to("udp:203.0.113.10:5060"), "is the proxy itself"),
    (listening("udp:10.0.0.5:5060", more=ADVERTISED) + to("udp:203.0.113.10:5060"), "is the proxy itself"),
    (listening("udp:0.0.0.0:5060", more=ADVERTISED) + to("udp:127.0.0.1:5060"), "is the proxy itself"),
    (listening(ONE) + to("udp:0.0.0.0:5070"), "is nobody's address"),
    (listening(ONE) + to("udp:192.0.2.11:5060", "udp:192.0.2.11:5060"), "backends.b1.sip: udp:192.0.2.11:5060 is b0"),
    (listening(ONE) + to("tcp:192.0.2.11:5060"), "no listener speaks tcp over IPv4"),
    (listening(ONE) + to("udp:[2001:db8::1]:5060"), "no listener speaks udp over IPv6"),
    (listening("udp:192.0.2.10:20500") + BACKENDS, "media.ports: 20000-29999 holds the port of udp:192.0.2.10:20500"),
    (MINIMAL + "health: {inter: 50ms}\n", "health.timeout: 60ms is longer than inter, 50ms; write at most 50ms"),
    (MINIMAL + "health: {fastinter: 1s}\n", "health.fastinter: 1s is longer than inter, 100ms"),
    (MINIMAL + "timers: {min_expires: 2h}\n", "timers.max_expires: 1h is less than min_expires; write at least 2h"),
    (MINIMAL + "timers: {max_expires: 10m}\n", "timers.default_expires: 1h lies outside min_expires to max_expires"),
    (MINIMAL + "limits: {max_registrations: 5}\n", "limits.max_contacts: 10 is more than max_registrations"),
    (PROXY + USERS + "backends: {alpha: {}}\n", "backends.alpha: speaks nothing; write sip: or xmpp:"),
    (chatting() + chats_at("tcp:192.0.2.11:5222"), "proxy.xmpp.listen: is empty"),
    (chatting("udp:192.0.2.10:5222") + chats_at("tcp:192.0.2.11:5222"), "xmpp.listen[0]: udp:192.0.2.10:5222 is UDP"),
    (chatting(CHATS, CHATS) + chats_at("tcp:192.0.2.11:5222"), "xmpp.listen[1]: tcp:192.0.2.10:5222 takes the port of"),
    (chatting("tls:192.0.2.10:5223") + chats_at("tcp:192.0.2.11:5222"), "clients use TLS, which needs a certificate"),
    (chatting(CHATS, more="domains: {V.example: {}}") + chats_at("tcp:192.0.2.11:5222"), "is no domain name in lower"),
    (chatting(CHATS) + chats_at("udp:192.0.2.11:5222"), "backends.b0.xmpp: udp:192.0.2.11:5222 is UDP"),
    (chatting(CHATS) + chats_at(CHATS), "backends.b0.xmpp: tcp:192.0.2.10:5222 is the proxy itself"),
    (chatting(CHATS) + chats_at("tcp:192.0.2.11:5222", "tcp:192.0.2.11:5222"), "b1.xmpp: tcp:192.0.2.11:5222 is b0"),
    (MINIMAL + over("udp:192.0.2.11:5060"), "trunks.carrier.address: udp:192.0.2.11:5060 is alpha already"),
    (MINIMAL + over(ONE), "trunks.carrier.address: udp:192.0.2.10:5060 is the proxy itself"),
    (MINIMAL + over("udp:0.0.0.0:5060"), "trunks.carrier.address: udp:0.0.0.0:5060 is nobody's address"),
    (MINIMAL + over("tls:203.0.113.5:5061"), "x.yaml:6: trunks.carrier.address: no listener speaks tls over IPv4"),
    (MINIMAL + over(CARRIER, "from: [203.0.113.0/24, 192.0.2.0/28]"), "carrier.from[1]: 192.0.2.0/28 holds alpha"),
    (MINIMAL + over("udp:192.0.2.11:5080"), "trunks.carrier.address: 192.0.2.11 is alpha's host; nobody could tell"),
    (MINIMAL + over(CARRIER, name="alpha"), "trunks.alpha: alpha is a backend's name; give it another"),
    (PROXY + BACKENDS, "x.yaml:1: users: missing, and the proxy challenges the phones; write users: users.yaml"),
    (MINIMAL + "authentication: backend\n", "backend, but registration is mirror: the proxy has no passwords"),
    (MINIMAL + ENTRUSTED + "balance: round_robin\n", "balance: round_robin, but authentication is backend"),
    (
        MINIMAL + ENTRUSTED + "timers: {relayed_expires: 30s}\n",
        "timers.relayed_expires: 30s is less than min_expires; write at least 1m",
    ),
    (
        impersonating("probe: {user: p, secret: users.yaml, inter: 2s}"),
        "chat.probe.timeout: 5s is longer than inter, 2s",
    ),
    (
        PROXY + USERS + "backends: {a: {sip: 'udp:192.0.2.9:5060', chat: {probe: {user: p, secret: users.yaml}}}}\n",
        "a.chat.probe: nobody chats there",
    ),
    (
        chatting(CHATS, more="domains: {v.example: {users: users.yaml}}") + chats_at("tcp:192.0.2.11:5222"),
        "proxy.xmpp.domains.v.example.users: users of proxy.domain have another place; write them at the top",
    ),
    (impersonating("login: [impersonation]"), "backends.b0.chat.login: impersonation needs its section"),
    (impersonating("impersonation: {secret: users.yaml, user: proxy}"), "impersonation: login does not have it"),
    (impersonating("login: [impersonation], impersonation: {secret: users.yaml}"), "impersonation.user: missing"),
]
ALLOWED = [
    PROXY + BACKENDS + ENTRUSTED,
    MINIMAL + "timers: {relayed_expires: 30s}\n",
    TWO + "balance: least_calls\n",
    MINIMAL + "balance: failover\nregistration: active\n",
    PROXY + USERS + "backends: {alpha: {sip: 'udp:192.0.2.11:5060', max_calls: 5}}\n",
    MINIMAL + over(CARRIER, "from: [203.0.113.0/24, 2001:db8::/32], register: {user: me, password: wire}"),
    listening(ONE, "tcp:192.0.2.10:5060") + BACKENDS,
    listening(ONE, "udp:192.0.2.9:5060") + BACKENDS,
    listening("udp:0.0.0.0:5060", more=ADVERTISED) + to("udp:127.0.0.11:5070"),
    listening("udp:0.0.0.0:5060", "udp:[2001:db8::10]:5060", more=ADVERTISED) + BACKENDS,
    listening("udp:127.0.0.1:5060") + to("udp:127.0.0.11:5060"),
    listening("tcp:192.0.2.10:20500", ONE) + BACKENDS,
    listening("udp:192.0.2.10:20500") + BACKENDS + "media: {listen: 192.0.2.9}\n",
    MINIMAL + "health: {inter: 50ms, timeout: 50ms}\n",
    chatting(CHATS) + chats_at("tcp:192.0.2.11:5222"),
    impersonating("login: [impersonation], impersonation: {by: token, secret: users.yaml}"),
    impersonating("probe: {user: p, secret: users.yaml}"),
    chatting(CHATS, more="domains: {v.example: {}, w.example: {}}") + chats_at("tls:192.0.2.11:5223"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_values_that_cannot_stand_together_are_refused(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in mistake for mistake in mistakes(tmp_path, text)), mistakes(tmp_path, text)


@pytest.mark.parametrize("text", ALLOWED)
def test_values_that_can_are_not(tmp_path: Path, text: str) -> None:
    loaded(tmp_path, text)


def test_every_rule_is_refused_somewhere_above() -> None:
    told = " ".join(says for _, says in REFUSED)
    words = {"listeners": "listen", "authentication": "users", "chat_listeners": "xmpp.listen", "deep_probe": "probe"}
    assert all(words.get(rule.check.__name__, rule.check.__name__) in told for rule in RULES)
