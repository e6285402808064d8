"""From a file to the model, or to every mistake in it with line, key and remedy."""

import contextlib
import datetime
import itertools
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.load import load, load_one
from haproxy_voip.configuration.model import BackendConfig, Config, HealthConfig, ProxyConfig, SipConfig
from haproxy_voip.core.address import Endpoint
from tests.configuration.samples import BACKENDS, MINIMAL, PROXY, loaded, mistakes, write

CONFIG = Path(__file__).parents[2] / "config"
TLS = "proxy: {domain: v.example, sip: {listen: ['tls:192.0.2.10:5061', 'udp:192.0.2.10:5060']}, tls: %s}\n"


def certify(folder: Path, *names: str) -> None:
    """Self-signed certificates `name.crt` with keys `name.key`."""
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        begins = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), 1)
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def test_the_smallest_file_is_the_model_with_its_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL) == Config(
        proxy=ProxyConfig(domain="voip.example", sip=SipConfig(listen=(Endpoint.parse("udp:192.0.2.10:5060"),))),
        users=tmp_path / "users.yaml",
        backends=(BackendConfig(name="alpha", sip=Endpoint.parse("udp:192.0.2.11:5060")),),
    )


def test_backends_keep_their_order(tmp_path: Path) -> None:
    text = MINIMAL + "  zulu: {sip: 'udp:192.0.2.12:5060'}\n  beta: {sip: 'udp:192.0.2.13:5060'}\n"
    assert [backend.name for backend in loaded(tmp_path, text).backends] == ["alpha", "zulu", "beta"]


def test_a_section_with_all_its_keys_commented_out_has_its_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL + "health:\n  # inter: 1s\n").health == HealthConfig()


def test_failback_is_manual_or_seconds(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL + "failback: manual\n").failback is None
    assert loaded(tmp_path, MINIMAL + "failback: 5m\n").failback == 300.0


def test_every_mistake_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = (
        "proxy: {domain: voip.example, sip: {listen: ['udp:192.0.2.10:5060', 'sctp:192.0.2.10:5060']}}\n"
        "users: users.yaml\n"
        "backends:\n"
        "  alpha: {sipp: 'udp:192.0.2.11:5060'}\n"
        "health: {inter: 5, timeout: 60ms, intervall: 1s}\n"
        "media: {ports: 20001-29999}\n"
        "balance: random\n"
        "control: {}\n"
        "trunks: {carrier: {from: [10.0.0.0/8]}}\n"
    )
    assert mistakes(tmp_path, text) == [
        "x.yaml:1: proxy.sip.listen[1]: 'sctp:192.0.2.10:5060': 'sctp' is no transport; "
        "write transport:address:port, for example udp:192.0.2.1:5060",
        "x.yaml:4: backends.alpha.sipp: unknown key 'sipp'; did you mean 'sip'?",
        "x.yaml:5: health.intervall: unknown key 'intervall'; did you mean 'inter'?",
        "x.yaml:5: health.inter: '5' is no duration; write a number and its unit: 100ms, 2s, 1m or 1h",
        "x.yaml:6: media.ports: 20001-29999 starts with an odd port, and RTP takes even ones; write 20002-29999",
        "x.yaml:7: balance: 'random' is none of its values; write failover or round_robin or least_calls or hash",
        "x.yaml:8: control: takes a single value; write file name of a local socket",
        "x.yaml:9: trunks.carrier.address: missing; write address: `udp`, `tcp` or `tls`, then `:address:port`",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINIMAL + "colour: blue\n", "x.yaml:5: colour: unknown key 'colour'; known here: proxy, users, backends"),
        (MINIMAL + "authentication: backend\n", "x.yaml:5: authentication: backend, but registration is mirror"),
        (MINIMAL + "media: 20000-29999\n", "x.yaml:5: media: takes keys with values"),
        (MINIMAL + "failback:\n", "x.yaml:5: failback: has no value"),
        (MINIMAL + "balance: failover\nbalance: failover\n", "x.yaml:6: balance: this key stands twice"),
        (MINIMAL + "log: {level: loud}\n", "x.yaml:5: log.level: 'loud' is none of its values; write debug or info"),
        (MINIMAL + "  <<: {sip: x}\n", "backends.<<: '<<' is no name"),
        (MINIMAL + "  'a b': {sip: 'udp:192.0.2.12:5060'}\n", "x.yaml:5: backends.a b: 'a b' is no name"),
        (PROXY + "backends: [alpha]\n", "x.yaml:2: backends: takes at most 64 names"),
        (PROXY + "users: nobody.yaml\n" + BACKENDS, "x.yaml:2: users: nobody.yaml cannot be read: No such file"),
        ("users: users.yaml\n" + BACKENDS, "x.yaml:1: proxy: missing; add a section proxy:"),
        ("proxy: {sip: {listen: udp}, domain: v}\n", "proxy.sip.listen: takes a list"),
        (f"proxy: {{sip: {{listen: [{'x,' * 65}]}}, domain: v}}\n", "takes a list of at most 64"),
        ("- a\n- b\n", "x.yaml:1: takes keys with values"),
    ],
)
def test_a_mistake_names_line_key_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in mistake for mistake in mistakes(tmp_path, text)), mistakes(tmp_path, text)


def test_mistakes_of_the_users_file_are_told_with_the_others(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL + "colour: blue\n")
    (tmp_path / "users.yaml").write_text("realm: voip.example\nusers:\n  '1001': {}\n")
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    assert [(error.file.name, error.line) for error in caught.value.errors] == [("x.yaml", 5), ("users.yaml", 3)]


def test_a_rule_is_not_asked_about_what_is_broken_already(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, MINIMAL + "health: {inter: never, timeout: 9s}\n")) == 1


def test_a_certificate_and_its_key_are_tried_together(tmp_path: Path) -> None:
    certify(tmp_path, "one", "other")
    rest = "users: users.yaml\n" + BACKENDS
    assert loaded(tmp_path, TLS % "{certificate: one.crt, key: one.key}" + rest).proxy.tls is not None
    [mistake] = mistakes(tmp_path, TLS % "{certificate: one.crt, key: other.key}" + rest)
    assert mistake.startswith("x.yaml:1: proxy.tls: certificate and key cannot be used: ")


def test_an_encrypted_key_is_refused_without_asking_for_its_passphrase(tmp_path: Path) -> None:
    certify(tmp_path, "one")
    key = serialization.load_pem_private_key((tmp_path / "one.key").read_bytes(), None)
    (tmp_path / "one.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    text = TLS % "{certificate: one.crt, key: one.key}" + "users: users.yaml\n" + BACKENDS
    assert "the unencrypted key" in mistakes(tmp_path, text)[0]


def test_a_file_of_authorities_without_any_is_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("5060'}\n", "5060', tls: {ca: users.yaml}}\n")
    [mistake] = mistakes(tmp_path, text)
    assert "backends.alpha.tls.ca" in mistake
    assert "holds no certificates" in mistake


@pytest.mark.parametrize("example", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_loads(tmp_path: Path, example: Path) -> None:
    for file in CONFIG.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    certify(tmp_path, "tls", "backends")
    if example.name != "users.yaml":  # which the others name
        assert load(tmp_path / example.name).proxy.domain == "voip.example"


def test_every_prefix_of_a_configuration_is_loaded_or_refused(tmp_path: Path) -> None:
    text = (CONFIG / "many_phones.yaml").read_text().split("\n\n", 1)[1]
    for length in itertools.chain(range(0, len(text), 7), [len(text)]):
        with contextlib.suppress(ConfigErrors):
            loaded(tmp_path, text[:length])


def test_a_relative_control_socket_stands_beside_the_file(tmp_path: Path) -> None:
    """`run` and `status` must mean the same socket from whatever directory they are called."""
    assert loaded(tmp_path, MINIMAL + "control: proxy.sock\n").control == tmp_path / "proxy.sock"


def test_one_value_can_be_had_whatever_is_wrong_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path, "users: none.yaml\nproxy: {domain: voip.example, tls: 5}\nsurprise: 1\n")
    assert load_one(path, "users") == tmp_path / "none.yaml"
    assert load_one(path, "proxy.domain") == "voip.example"
    assert load_one(path, "control") == Config.__dataclass_fields__["control"].default
    assert load_one(write(tmp_path, "{}"), "users") is None


@pytest.mark.parametrize(
    ("text", "key"),
    [("proxy: {}", "proxy.domain"), ("proxy: 5", "proxy.domain"), ("5", "users"), ("users: [a]", "users")],
)
def test_one_value_that_cannot_be_had_is_a_mistake_at_its_place(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        load_one(write(tmp_path, text), key)
    assert found.value.errors[0].line == 1


def test_a_trunk_is_read_with_all_it_says(tmp_path: Path) -> None:
    text = """\
trunks:
  carrier:
    address: udp:198.51.100.5:5060
    from: [198.51.100.0/24, "2001:db8:5::/48"]
    register: {user: "4930555", password: "wire: yes", domain: sip.carrier.example, expires: 10m}
    max_calls: 5
  gateway: {address: tcp:10.0.0.9:5060}
"""
    listening = MINIMAL.replace("['udp:192.0.2.10:5060']", "['udp:192.0.2.10:5060', 'tcp:192.0.2.10:5060']")
    carrier, gateway = loaded(tmp_path, listening + text).trunks
    assert [str(network) for network in carrier.from_] == ["198.51.100.0/24", "2001:db8:5::/48"]
    assert carrier.register is not None and carrier.register.password == "wire: yes"
    assert (carrier.register.domain, carrier.register.expires, carrier.max_calls) == ("sip.carrier.example", 600.0, 5)
    assert (gateway.from_, gateway.register, gateway.max_calls) == ((), None, 30)
    assert "wire" not in repr(carrier)


SECRET = MINIMAL.replace(
    "5060'}\n", "5060', chat: {login: [impersonation], impersonation: {user: proxy, secret: s}}}\n"
)


def test_a_secret_is_the_first_line_of_its_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("open sesame\nand nothing else\n")
    [backend] = loaded(tmp_path, SECRET).backends
    assert backend.chat.impersonation is not None and backend.chat.impersonation.secret.text == "open sesame"
    assert "sesame" not in repr(backend)


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 1025, b"\xff\xfe", b"a\0b"])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    mistake = mistakes(tmp_path, SECRET)[0]
    assert "impersonation.secret: s holds no secret; write 1 to 1024 printable characters" in mistake
