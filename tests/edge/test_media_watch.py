"""What the relay tells of by itself: backends that fell silent, payloads; and the noise it makes."""

import asyncio
import struct
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from haproxy_voip.edge import media_watch
from haproxy_voip.rtp.fingerprint import Fingerprints, Print
from haproxy_voip.rtp.header import Header
from tests.edge.media_bench import STREAM, Bench, on_uvloop, rtp
from tests.edge.media_scene import LAWS, Conversation, Server, voiced

# Which one payload in eight is looked at differs from process to process. So many, so far apart, are enough for each:
# the latest that are kept of a pair must span half a second.
TURNS_TO_PAIR, PAIRING_GAP = 200, 0.01


async def talk(bench: Bench, seconds: float, client: bool = True, backend: bool = True) -> None:
    loop = asyncio.get_running_loop()
    end, sequence = loop.time() + seconds, int(loop.time() * 1000) & 0x7FFF
    while loop.time() < end:
        sequence += 1
        if client:
            bench.client.send(rtp(sequence), bench.to_relay)
        if backend:
            bench.backend.send(rtp(sequence), bench.from_relay)
        await asyncio.sleep(0.01)


def stall(bench: Bench, seconds: float) -> None:
    """Both go on speaking, and the relay does nothing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        bench.client.send(rtp(1), bench.to_relay)
        bench.backend.send(rtp(1), bench.from_relay)
        time.sleep(0.01)


def silences(bench: Bench) -> list[tuple[object, ...]]:
    return [what[1:] for what in bench.told if what[0] == "silent"]


@on_uvloop()
async def test_a_backend_that_stops_while_its_client_speaks_is_told_once_and_again_after_it_spoke(bench: Bench) -> None:
    bench.install()
    loop = asyncio.get_running_loop()
    for times in (1, 2):
        await talk(bench, 0.15)
        stopped = loop.time()
        await talk(bench, 0.25, backend=False)
        assert len(silences(bench)) == times
        streams, since = silences(bench)[-1]
        assert streams == (STREAM,) and isinstance(since, float) and abs(since - stopped) < 0.05


@on_uvloop()
async def test_streams_that_fall_silent_together_are_told_together(bench: Bench) -> None:
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(20)
    server.die()
    for _ in range(30):
        await call.go_on(2)
    assert [streams for streams, _ in silences(bench)] == [(1, 2)]


@on_uvloop()
async def test_no_one_is_missed_who_is_held_or_quiet_on_both_sides_or_hardly_spoke(bench: Bench) -> None:
    bench.install()
    await talk(bench, 0.15)
    await asyncio.sleep(0.2)  # both stop
    await talk(bench, 0.03)
    await talk(bench, 0.2, backend=False)  # too few packets to be missed
    await talk(bench, 0.15)
    bench.revise(client=replace(bench.plan.client, receives=False))
    await talk(bench, 0.2, backend=False)
    bench.revise(client=replace(bench.plan.client, receives=True))
    assert silences(bench) == []


@on_uvloop()
async def test_a_stall_of_our_own_is_nobodys_silence(bench: Bench) -> None:
    bench.install()
    await talk(bench, 0.15)
    stall(bench, 0.3)
    await talk(bench, 0.1)
    assert silences(bench) == []


@on_uvloop()
async def test_payloads_are_told_in_batches_and_pair_the_two_ends_of_a_conversation(bench: Bench) -> None:
    call = Conversation(bench)
    call.plans = [replace(plan, prints=True) for plan in call.plans]
    call.talkers[1].sent = 500_000  # each in words of their own
    call.through(Server(bench, 1))
    await call.go_on(TURNS_TO_PAIR, PAIRING_GAP)
    await asyncio.sleep(0.25)
    batches = [what[1:] for what in bench.told if what[0] == "prints"]
    assert 2 <= len(batches) <= 20 and all(complete for _, complete in batches)
    prints = told(bench)
    assert {(each.stream, each.side) for each in prints} == {
        (stream, side) for stream in (1, 2) for side in ("client", "backend")
    }
    assert 0.05 < len(prints) / (4 * TURNS_TO_PAIR) < 0.25  # one in eight
    assert paired(prints) == [(1, 2)]


@on_uvloop()
async def test_two_who_say_the_same_words_are_not_paired(bench: Bench) -> None:
    call = Conversation(bench)
    call.plans = [replace(plan, prints=True) for plan in call.plans]
    call.through(Server(bench, 1))
    await call.go_on(TURNS_TO_PAIR, PAIRING_GAP)
    await asyncio.sleep(0.25)
    assert told(bench) and paired(told(bench)) == []


@on_uvloop()
async def test_phones_that_use_the_same_ssrc_are_told_apart_by_what_they_say(bench: Bench) -> None:
    call = Conversation(bench)
    call.plans = [replace(plan, prints=True) for plan in call.plans]
    call.talkers[1].ssrc = call.talkers[0].ssrc
    call.talkers[1].sent = 1 << 16  # the same sequence numbers too
    call.through(Server(bench, 1))
    await call.go_on(TURNS_TO_PAIR, PAIRING_GAP)
    await asyncio.sleep(0.25)
    assert paired(told(bench)) == [(1, 2)]


def paired(prints: list[Print]) -> list[tuple[int, int]]:
    judge = Fingerprints()
    for each in prints:
        judge.heard(*each)
    judge.advance(prints[-1].at + 1.0)
    return judge.pairs()


def told(bench: Bench) -> list[Print]:
    return [each for what in bench.told if what[0] == "prints" for each in what[1]]  # type: ignore[attr-defined]


@on_uvloop()
async def test_nothing_is_told_of_streams_nobody_asks_about_nor_of_short_payloads(bench: Bench) -> None:
    bench.install()
    await talk(bench, 0.3)
    assert told(bench) == []
    bench.install(prints=True)
    await talk(bench, 0.3)  # five bytes each
    assert told(bench) == []
    for sequence in range(200):
        bench.client.send(b"\x91\x00" + rtp(sequence)[2:] + b"\xbe\xde\x00\x01exts" + bytes(4), bench.to_relay)
    await asyncio.sleep(0.25)
    assert told(bench) == []


@on_uvloop()
async def test_more_than_can_be_told_is_said_to_be_incomplete(bench: Bench) -> None:
    bench.install(prints=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_watch, "MAX_PRINTS", 3)
        for sequence in range(200):
            bench.client.send(rtp(sequence, voiced(sequence)), bench.to_relay)
            if sequence % 20 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.25)
    batch, complete = next(what[1:] for what in bench.told if what[0] == "prints")
    assert len(batch) == 3 and complete is False  # type: ignore[arg-type]


@on_uvloop()
async def test_a_client_whose_server_is_gone_hears_noise_until_somebody_speaks_as_one_stream(bench: Bench) -> None:
    bench.install(client=replace(bench.plan.client, payload_types=LAWS))
    await bench.both_speak()
    bench.revise(backend=replace(bench.plan.backend, remote=None), comfort_noise=True)
    heard = [await bench.client.hears() for _ in range(10)]
    beta = replace(bench.plan.backend, remote=bench.backend.address)
    bench.revise(backend=beta)
    for turn in range(3):
        bench.backend.send(rtp(700 + turn, b"v" * 160, ssrc=0xBE7A), bench.from_relay)
    while not heard[-1].endswith(b"v" * 160):
        heard.append(await bench.client.hears())
    noise = [packet for packet in heard if not packet.endswith(b"v" * 160)]
    assert len(noise) >= 10 and len(set(noise)) == len(noise) and all(len(packet) == 172 for packet in noise)
    headers = [Header.parse(packet) for packet in heard]
    assert {header.ssrc for header in headers} == {1}
    assert [header.sequence for header in headers] == list(range(3, 3 + len(heard)))
    assert all(0 < after.timestamp - before.timestamp <= 640 for before, after in pairwise(headers))
    assert headers[0].marker and headers[-1].marker and not headers[1].marker
    while Header.parse(await bench.client.hears()).sequence != headers[-1].sequence + 2:
        pass
    await asyncio.sleep(0.06)
    with pytest.raises(BlockingIOError):
        bench.client.rtp.recv(100)  # and no noise any more


@on_uvloop()
async def test_noise_may_be_the_first_thing_a_client_hears_and_ends_with_the_plan(bench: Bench) -> None:
    bench.install(client=replace(bench.plan.client, payload_types=LAWS), comfort_noise=True)
    first, second = [Header.parse(await bench.client.hears()) for _ in range(2)]
    assert second.sequence == (first.sequence + 1) & 0xFFFF and second.ssrc == first.ssrc
    bench.install(comfort_noise=False)
    bench.backend.send(rtp(1, struct.pack("!40I", *range(40))), bench.from_relay)
    while len(packet := await bench.client.hears()) != 172 or packet[12:] != struct.pack("!40I", *range(40)):
        pass
    assert Header.parse(packet).ssrc == first.ssrc
    bench.relay.remove(STREAM)
    bench.install(comfort_noise=True)
    bench.relay.remove(STREAM)
    await asyncio.sleep(0.05)


@on_uvloop()
async def test_a_client_on_hold_or_of_unknown_codecs_hears_no_noise(bench: Bench) -> None:
    bench.install(comfort_noise=True)
    await asyncio.sleep(0.08)
    held = replace(bench.plan.client, payload_types=LAWS, receives=False)
    bench.install(client=held, comfort_noise=False)
    bench.install(comfort_noise=True)
    await asyncio.sleep(0.08)
    with pytest.raises(BlockingIOError):
        bench.client.rtp.recv(100)
