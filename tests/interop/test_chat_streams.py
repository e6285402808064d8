"""What is wrong with a stream is answered through the proxy as RFC 6120 and XEP-0198 say, and as servers answer it."""

from collections.abc import Callable

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.wire import Wire

pytestmark = pytest.mark.parametrize(
    "house", [pytest.param(Plan(families=("prosody",)), id="prosody")], indirect=True, scope="module"
)

AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{}'>{}</auth>"
SM = "xmlns='urn:xmpp:sm:3'"

Step = Callable[[Wire], None]


def encrypted(*lines: str) -> Step:
    def step(wire: Wire) -> None:
        wire.encrypt()
        for line in lines:
            wire.send(line)

    return step


def bound(*lines: str) -> Step:
    def step(wire: Wire) -> None:
        wire.log_in(1001)
        wire.bind("wire")
        for line in lines:
            wire.send(line)

    return step


# By section of RFC 6120: what is done, what the answer is, whether the stream ends with it, and whether Prosody says so
# too. Where it does not it is laxer (a namespace, a stanza too early) or means the same by another word.
CASES: dict[str, tuple[Step, str, bool, bool]] = {
    "4.9.3.6 a domain not served": (lambda wire: wire.header(to="nowhere.example"), "host-unknown", True, True),
    "4.9.3.10 a wrong namespace": (lambda wire: wire.header(namespace="jabber:no"), "invalid-namespace", True, False),
    "4.9.3.13 not well-formed": (encrypted("<message></presence>"), "not-well-formed", True, True),
    "4.9.3.12 a stanza before login": (encrypted("<message to='a@b'/>"), "not-authorized", True, False),
    "4.9.3.18 a comment": (encrypted("<!-- hello -->"), "restricted-xml", True, False),
    "4.9.3.24 an unknown element": (bound("<unknown xmlns='urn:example'/>"), "unsupported-stanza-type", True, True),
    "4.9.3.9 another's address": (bound("<message from='b@c' to='a@b'/>"), "invalid-from", True, False),
    "6.5.7 an unknown mechanism": (encrypted(AUTH.format("X-UNKNOWN", "")), "invalid-mechanism", False, True),
    "6.5.5 no base64": (encrypted(AUTH.format("PLAIN", "!!!")), "incorrect-encoding", False, True),
    "6.5.10 a wrong password": (encrypted(AUTH.format("PLAIN", "ADEwMDEAbm8=")), "not-authorized", False, True),
    "XEP-0198 5 an unknown session": (lambda wire: resume(wire), "item-not-found", False, True),
}


def resume(wire: Wire) -> None:
    wire.log_in(1001)
    wire.send(f"<resume {SM} h='0' previd='nothing'/>")


@pytest.mark.parametrize(("step", "condition", "ends", "alike"), CASES.values(), ids=CASES.keys())
def test_a_mistake_is_answered_by_the_book(house: House, step: Step, condition: str, ends: bool, alike: bool) -> None:
    with Wire(house.proxy.address) as through:
        step(through)
        assert through.condition() == condition
        if ends:
            assert through.closes()
    if alike:
        with Wire(house.servers[0].address) as straight:
            step(straight)
            assert straight.condition() == condition


def test_acknowledgements_count_stanzas(house: House) -> None:
    """XEP-0198 section 4."""
    for place in (house.servers[0].address, house.proxy.address):
        with Wire(place) as wire:
            wire.log_in(1001)
            wire.bind("counted")
            wire.send(f"<enable {SM} resume='true'/>")
            assert "resume=" in wire.wait("<enabled[^>]*>")
            wire.send(f"<presence/><iq type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq><r {SM}/>")
            while "h='2'" not in wire.wait("<a [^>]*>").replace('"', "'"):
                wire.send(f"<r {SM}/>")


def test_a_session_is_resumed_with_what_was_not_acknowledged(house: House) -> None:
    """XEP-0198 section 5: through the proxy, whatever it tells us twice it says once more, in order."""
    for number, place in enumerate((house.servers[0].address, house.proxy.address)):
        with Wire(place) as speaker, Wire(place) as wire:
            speaker.log_in(1003)
            speaker.bind(f"speaker{number}")
            wire.log_in(1002)
            wire.bind(f"resumed{number}")
            wire.send(f"<enable {SM} resume='true'/>")
            name = wire.wait("<enabled[^>]*>").replace('"', "'").split(" id='")[1].split("'")[0]
            wire.send("<presence/>")
            wire.wait("<presence[^>]*>")
            speaker.send(
                f"<message type='chat' id='one' to='1002@voip.example/resumed{number}'><body>one</body></message>"
            )
            wire.wait("<body>one</body>")
            with Wire(place) as again:
                again.log_in(1002)
                again.send(f"<resume {SM} h='1' previd='{name}'/>")
                assert "previd" in again.wait("<resumed[^>]*>")
                again.wait("<body>one</body>")
