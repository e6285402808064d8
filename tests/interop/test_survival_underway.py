"""What is under way when a server freezes: changes of a session, transfers, an answer not acknowledged yet.

The servers send media directly where they can (`direct_media`): their re-INVITEs point both phones at our own ports.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.interop import servers
from tests.interop.conftest import StartHandset, StartProxy
from tests.interop.handset import Handset
from tests.interop.handset.message import Message
from tests.interop.office import (
    BEFORE,
    SETTING,
    USERS,
    Fail,
    Office,
    Scene,
    connect,
    ensure,
    fail,
    hears,
    hold,
    in_place_of,
    records,
    transferred,
)
from tests.interop.processes import wait_until
from tests.interop.servers import Asterisk

ENDS_SECONDS = 8.0  # longer than any server is waited for


@pytest.fixture(scope="module", params=["bullseye", "sid"])
def two(
    request: pytest.FixtureRequest, cluster: dict[str, Asterisk], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Asterisk]]:
    """Two servers of one version that want media to be sent directly."""
    setting = servers.Setting(suite=request.param, users=USERS, direct_media=True)
    with in_place_of(cluster, setting, tmp_path_factory) as found:
        yield found[:2]


@pytest.fixture
def office(two: list[Asterisk], start_proxy: StartProxy, start_handset: StartHandset) -> Iterator[Office]:
    ensure(*two)
    office = Office(start_proxy(*two, setting=SETTING), start_handset)
    yield office
    office.close()


def both_hear(one: Handset, other: Handset) -> None:
    hears(one, other)
    hears(other, one)


def changes_of_a_session(office: Office, pool: ThreadPoolExecutor) -> Scene:
    """A hold that the frozen server got and never answered: it may be tried again."""
    caller, callee = office.phone("1001"), office.phone("1002")
    ours, theirs = connect(caller, callee)
    both_hear(caller, callee)
    yield
    ours.direction = "sendonly"
    asked: Future[Message] = pool.submit(ours.request, "INVITE", [caller.contact_line], ours.session())
    yield
    assert asked.result().status == 491
    office.heard(callee.ear, caller.ear, office.failed_at - BEFORE, time.monotonic())
    hold(ours, callee)
    ours.resume()
    both_hear(caller, callee)
    ours.hang_up()
    theirs.wait_ended()


def requests(office: Office, pool: ThreadPoolExecutor) -> Scene:
    """A transfer and a digit (INFO) that it got and never answered: nobody can say whether it acted on them."""
    caller, callee = office.phone("1003"), office.phone("1004")
    ours, theirs = connect(caller, callee)
    both_hear(caller, callee)
    yield
    refer = pool.submit(theirs.request, "REFER", ["Refer-To: <sip:601@voip.example>"])
    digit = pool.submit(ours.request, "INFO", ["Content-Type: application/dtmf-relay"], "Signal=5\r\nDuration=160\r\n")
    yield
    assert (refer.result().status, digit.result().status) == (487, 487)
    office.unbroken(caller, callee)
    theirs.transfer("601")
    transferred(theirs)
    ours.hang_up()


def an_answer_not_acknowledged(office: Office) -> Scene:
    """The caller heard the 200 and its ACK is late; everybody talks already."""
    caller, callee = office.phone("1005", acknowledges=False), office.phone("1006")
    ours, theirs = connect(caller, callee)
    yield
    caller.acknowledges = True  # the next time it comes
    yield
    both_hear(caller, callee)
    assert ours.ended_at is None and theirs.ended_at is None
    theirs.hang_up()
    ours.wait_ended()


def a_transfer_that_rings(office: Office) -> Scene:
    """Who was sent on waits for somebody who has not answered. No server knows of it any more: it ends."""
    caller, callee, third = office.phone("1007"), office.phone("1008"), office.phone("1009")
    ours, theirs = connect(caller, callee)
    both_hear(caller, callee)
    ours.transfer(third.user)
    ringing = third.wait_call()
    transferred(ours)
    office.joined += 2
    yield
    yield
    theirs.wait_ended(ENDS_SECONDS)
    ringing.wait_ended(ENDS_SECONDS)
    assert ringing.status == 487


def two_who_were_transferred_to_each_other(office: Office) -> Scene:
    """Neither called the other, so no server is asked: they are left to each other."""
    caller, callee, third = office.phone("1010"), office.phone("1011"), office.phone("1012")
    ours, theirs = connect(caller, callee)
    both_hear(caller, callee)
    ours.transfer(third.user)
    thirds = third.wait_call()
    thirds.answer()
    transferred(ours)
    both_hear(callee, third)
    office.joined += 2
    yield
    yield
    office.unbroken(callee, third)
    time.sleep(max(0.0, office.failed_at + ENDS_SECONDS - time.monotonic()))
    office.unbroken(callee, third)
    thirds.hang_up()
    theirs.wait_ended()


def two_who_talk(office: Office) -> Scene:
    caller, callee = office.phone("1013"), office.phone("1014")
    ours, theirs = connect(caller, callee)
    both_hear(caller, callee)
    yield
    yield
    office.unbroken(caller, callee)
    assert ours.audio is not None and ours.audio[0] == theirs.audio[0] == office.proxy.address  # type: ignore[index]
    ours.hang_up()
    theirs.wait_ended()


def frozen(scenes: list[Scene]) -> Fail:
    """The server freezes, and in the same moment everybody begins what will be under way."""

    def freeze(server: Asterisk) -> float:
        at = server.freeze()
        wait_until(server.process.is_frozen, 1.0, f"{server.name} stands still")
        for scene in scenes:
            next(scene)
        return at

    return freeze


def test_what_is_under_way_when_a_server_freezes_goes_on_may_be_repeated_or_ends(
    two: list[Asterisk], office: Office
) -> None:
    with ThreadPoolExecutor() as pool:
        scenes = [
            two_who_were_transferred_to_each_other(office),
            a_transfer_that_rings(office),
            changes_of_a_session(office, pool),
            requests(office, pool),
            two_who_talk(office),
            an_answer_not_acknowledged(office),
        ]
        for scene in scenes:
            next(scene)
        fail(office, frozen(scenes), two[0], "beta")
        for scene in reversed(scenes):
            assert next(scene, "over") == "over"
    told = records(office.proxy, len(scenes))
    [joined] = told["1010"]
    assert [part["failovers"][-1]["stays_joined"] for part in joined["phones"]] == 2 * [
        "no backend took the call in time"
    ]
    [ringing] = told["1007"]
    reasons = [phone["ended"]["reason"] for phone in ringing["phones"]]
    assert reasons == ["no backend took the call in time", "480 no backend claimed the call"]
    assert [record["failovers"][0]["to"] for user in ("1001", "1003", "1005", "1013") for record in told[user]] == 4 * [
        "beta"
    ]
