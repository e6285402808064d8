"""What the PBX does with REGISTER (RFC 3261 section 10.3)."""

from __future__ import annotations

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.embedded.facts import PhoneUnregistered
from haproxy_voip.sip.message import Request, Response, header, parse
from tests.embedded.office import PBX, Office
from tests.simulation.world import Socket


def test_too_short_a_registration_is_refused_with_the_least_that_is_taken() -> None:
    office = Office()
    office.phone("1001", register=False, expires=5)
    office.act("1001", "register")
    office.world.run(0.5)
    assert office.facts("1001", PhoneUnregistered)[0].status == 423


def register(office: Office, contacts: list[str], **headers: str) -> Response:
    """What the PBX, which trusts everybody, answers to this REGISTER of 1001."""
    answers: list[bytes] = []
    local = Address("192.0.2.50", 5060)
    endpoint = Endpoint(Transport.UDP, local)
    asker = office.world.sockets[endpoint] = Socket(
        office.world.processes["pbx"], lambda data, remote: answers.append(data)
    )
    values = {"call-id": "one", "cseq": "1 REGISTER", "expires": "60"} | headers
    lines = [
        header("via", f"SIP/2.0/UDP {local};branch=z9hG4bK{len(office.world.trace)}"),
        header("from", "<sip:1001@voip.example>;tag=x"),
        header("to", "<sip:1001@voip.example>"),
        *(header(name, value) for name, value in values.items()),
        *(header("contact", contact) for contact in contacts),
    ]
    data = Request("REGISTER", "sip:voip.example", lines).encode()
    office.world.send_datagram(asker, local, PBX, data)
    office.world.run(0.1)
    answer = parse(answers[0])
    assert isinstance(answer, Response)
    return answer


def test_contacts_are_listed_with_what_is_left_of_their_time() -> None:
    office = Office(trust=True)
    register(office, ["<sip:a@192.0.2.50>;expires=30", "<sip:b@192.0.2.50>"])
    office.world.run(10)
    answer = register(office, [], cseq="2 REGISTER")
    assert answer.values("contact") == ["<sip:a@192.0.2.50>;expires=20", "<sip:b@192.0.2.50>;expires=50"]


def test_a_star_removes_all_contacts_and_only_with_expires_0() -> None:
    office = Office(trust=True)
    register(office, ["<sip:a@192.0.2.50>", "<sip:b@192.0.2.50>"])
    assert register(office, ["*"], cseq="2 REGISTER").status == 400
    assert register(office, ["*"], cseq="3 REGISTER", expires="0").status == 200
    assert office.pbx.registrar.count() == 0


def test_a_register_that_was_overtaken_changes_nothing() -> None:
    office = Office(trust=True)
    register(office, ["<sip:a@192.0.2.50>"], cseq="5 REGISTER")
    assert register(office, ["<sip:a@192.0.2.50>"], cseq="4 REGISTER", expires="0").status == 500
    assert office.pbx.registrar.count() == 1


def test_too_many_contacts_are_refused() -> None:
    office = Office(trust=True)
    many = [f"<sip:{number}@192.0.2.50>" for number in range(11)]
    assert register(office, many, cseq="2 REGISTER").status == 403
