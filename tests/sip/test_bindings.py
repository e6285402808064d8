"""haproxy_voip.sip.bindings: RFC 3261 section 10.3, applied whole or not at all."""

import tracemalloc

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.sip.bindings import COMPACT_ABOVE, Binding, BindingChange, Bindings
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.registration import ContactUpdate, Registration, RegistrationRules

AOR = "sip:alice@voip.test"
LOCAL = Address("198.51.100.1", 5060)
FLOW = Flow(Transport.UDP, LOCAL, Address("192.0.2.7", 5060))
STREAM = Flow(Transport.TCP, LOCAL, Address("192.0.2.7", 40000), 11)


def registrar(max_contacts: int = 3, most: int = 10_000) -> Bindings:
    return Bindings(RegistrationRules(max_contacts=max_contacts), Chance.seeded(1), most)


def asks(
    *contacts: ContactUpdate | tuple[str, int], cseq: int = 1, call_id: str = "c", flow: Flow = FLOW
) -> Registration:
    updates = [one if isinstance(one, ContactUpdate) else ContactUpdate(one[0], "", one[1]) for one in contacts]
    return Registration(AOR, call_id, cseq, flow, updates)


def outbound(uri: str, reg_id: int, instance: str = "<urn:uuid:1>") -> ContactUpdate:
    return ContactUpdate(uri, f';+sip.instance="{instance}";reg-id={reg_id}', 600, instance, reg_id)


def uris(bindings: list[Binding]) -> list[str]:
    return [binding.uri for binding in bindings]


def test_a_contact_is_added_then_refreshed_then_removed() -> None:
    known = registrar()
    added = known.register(asks(("sip:a@h", 600)), 0.0)
    assert uris(added.added) == uris(added.current) == ["sip:a@h"]
    binding = added.added[0]
    assert known.get(binding.key) is binding and len(known) == 1 and list(known) == [binding]
    refreshed = known.register(asks(("sip:a@h", 600), cseq=2), 100.0)
    assert refreshed.refreshed == [binding] and refreshed.added == []
    assert binding.expires_at == 700.0
    removed = known.register(asks(("sip:a@h", 0), cseq=3), 200.0)
    assert removed.removed == [binding] and removed.current == []
    assert len(known) == 0 and known.get(binding.key) is None and known.of(AOR) == ()


def test_a_register_without_contacts_only_asks() -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600)), 0.0)
    change = known.register(asks(), 1.0)
    assert uris(change.current) == ["sip:a@h"]
    assert (change.added, change.refreshed, change.removed) == ([], [], [])


def test_the_answer_lists_contacts_with_what_is_left() -> None:
    known = registrar()
    (binding,) = known.register(asks(ContactUpdate("sip:a@h", ";q=0.5", 600)), 0.0).added
    assert binding.contact(0.5) == "<sip:a@h>;q=0.5;expires=600"
    assert binding.contact(700.0) == "<sip:a@h>;q=0.5;expires=0"


def test_uris_are_compared_by_the_rules_not_by_spelling() -> None:
    """RFC 3261 section 19.1.4."""
    known = registrar()
    known.register(asks(("sip:alice@host.test", 600)), 0.0)
    assert uris(known.register(asks(("sip:al%69ce@HOST.test", 600), cseq=2), 1.0).current) == ["sip:al%69ce@HOST.test"]
    assert len(known.register(asks(("sip:alice@host.test:5061", 600), cseq=3), 1.0).current) == 2


@pytest.mark.parametrize("cseq", [4, 5])
def test_an_older_register_of_the_same_call_id_changes_nothing(cseq: int) -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600), cseq=5), 0.0)
    with pytest.raises(MessageError) as caught:
        known.register(asks(("sip:b@h", 600), ("sip:a@h", 0), cseq=cseq), 1.0)
    assert caught.value.status == 500
    assert uris(known.of(AOR)) == ["sip:a@h"]


def test_another_call_id_may_count_from_anywhere() -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600), cseq=5), 0.0)
    change = known.register(asks(("sip:a@h", 600), cseq=1, call_id="rebooted"), 1.0)
    assert len(change.refreshed) == 1 and change.refreshed[0].call_id == "rebooted"


def test_star_removes_all_unless_it_is_older() -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600), ("sip:b@h", 600), cseq=5), 0.0)
    star = Registration(AOR, "c", 5, FLOW, remove_all=True)
    with pytest.raises(MessageError):
        known.register(star, 1.0)
    assert len(known) == 2
    star.cseq = 6
    assert uris(known.register(star, 1.0).removed) == ["sip:a@h", "sip:b@h"]
    assert len(known) == 0


def test_removing_what_is_not_there_is_no_error() -> None:
    known = registrar()
    change = known.register(asks(("sip:a@h", 0)), 0.0)
    assert change == BindingChange() and len(known) == 0 and known.of(AOR) == ()


@pytest.mark.parametrize("before", [0, 1])
def test_one_contact_twice_is_a_bad_request(before: int) -> None:
    known = registrar()
    known.register(asks(*[("sip:a@h", 600)] * before), 0.0)
    with pytest.raises(MessageError) as caught:
        known.register(asks(("sip:a@h", 600), ("sip:a@h", 300), cseq=2), 0.0)
    assert caught.value.status == 400
    assert len(known) == before


def test_the_same_instance_and_reg_id_replace_the_binding_wherever_it_is() -> None:
    """RFC 5626 section 6."""
    known = registrar()
    (binding,) = known.register(asks(outbound("sip:a@192.0.2.7:1", 1)), 0.0).added
    change = known.register(asks(outbound("sip:a@192.0.2.8:2", 1), call_id="new"), 1.0)
    assert change.refreshed == [binding] and uris(change.current) == ["sip:a@192.0.2.8:2"]


def test_another_reg_id_is_another_flow_even_with_the_same_uri() -> None:
    known = registrar()
    known.register(asks(outbound("sip:a@h", 1)), 0.0)
    change = known.register(asks(outbound("sip:a@h", 2), cseq=2), 1.0)
    assert [binding.reg_id for binding in change.current] == [1, 2]
    assert len(known.register(asks(outbound("sip:a@h", 1, "<urn:uuid:2>"), cseq=3), 2.0).current) == 3


def test_a_phone_that_learns_or_forgets_outbound_keeps_one_binding() -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600)), 0.0)
    assert len(known.register(asks(outbound("sip:a@h", 1), cseq=2), 1.0).current) == 1
    (binding,) = known.register(asks(("sip:a@h", 600), cseq=3), 2.0).current
    assert binding.reg_id is None and binding.instance is None


def test_bindings_expire_when_their_time_has_come() -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600), ("sip:b@h", 300)), 0.0)
    assert known.deadline == 300.0
    assert known.expire(299.9) == []
    assert uris(known.expire(300.0)) == ["sip:b@h"]
    assert uris(known.of(AOR)) == ["sip:a@h"]
    assert uris(known.expire(1e6)) == ["sip:a@h"]
    assert known.deadline is None


def test_a_refresh_moves_the_expiry_either_way() -> None:
    known = registrar()
    known.register(asks(("sip:a@h", 600)), 0.0)
    known.register(asks(("sip:a@h", 600), cseq=2), 500.0)
    assert known.expire(600.0) == [] and known.deadline == 1100.0
    known.register(asks(("sip:a@h", 60), cseq=3), 700.0)
    assert known.deadline == 760.0
    assert uris(known.expire(760.0)) == ["sip:a@h"]
    assert known.expire(1e6) == []


def test_what_was_refreshed_longest_ago_makes_room() -> None:
    known = registrar(max_contacts=2)
    for number, uri in enumerate(("sip:a@h", "sip:b@h")):
        known.register(asks((uri, 600), cseq=number + 1), float(number))
    known.register(asks(("sip:a@h", 600), cseq=3), 10.0)
    change = known.register(asks(("sip:c@h", 600), cseq=4), 20.0)
    assert uris(change.removed) == ["sip:b@h"]
    assert uris(change.current) == ["sip:a@h", "sip:c@h"]


def test_the_number_of_bindings_is_limited() -> None:
    known = registrar(most=1)
    known.register(asks(("sip:a@h", 600)), 0.0)
    with pytest.raises(MessageError) as caught:
        known.register(asks(("sip:b@h", 600), cseq=2), 0.0)
    assert caught.value.status == 503
    assert [line[0] for line in caught.value.headers] == ["retry-after"]
    assert len(known.register(asks(("sip:a@h", 600), cseq=3), 0.0).refreshed) == 1


def test_a_binding_that_is_gone_can_be_removed_again() -> None:
    known = registrar()
    (binding,) = known.register(asks(("sip:a@h", 600), flow=STREAM), 0.0).added
    known.remove(binding)
    known.remove(binding)
    assert len(known) == 0


def test_coming_and_going_leaves_nothing_behind() -> None:
    known = registrar()
    for number in range(2 * COMPACT_ABOVE):
        known.register(asks(("sip:a@h", 600), cseq=2 * number + 1), 0.0)
        known.register(asks(("sip:a@h", 0), cseq=2 * number + 2), 0.0)
    assert len(known._alarms) <= COMPACT_ABOVE + 1
    assert known._by_aor == known._by_key == {}


def test_a_binding_takes_no_more_than_a_kilobyte() -> None:
    """With everything that is kept for it: indexes, alarm, and the texts a usual phone sends."""
    count = 2000
    known = registrar()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        flow = Flow(Transport.UDP, LOCAL, Address(f"192.0.{number // 250}.{number % 250}", 5060 + number))
        update = ContactUpdate(f"sip:{number}@192.0.2.7:{5060 + number};transport=udp", "", 600)
        registration = Registration(f"sip:user{number}@voip.test", f"{number:032x}@192.0.2.7", 1000, flow, [update])
        known.register(registration, float(number))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used / count <= 1024
