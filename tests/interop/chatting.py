"""Many talkers who chat without a pause, one to one and in a room, and the account of what became of each word.

Every message has a number. A talker who ought to hear it must hear it once, in the order in which its author sent it;
its author must get one receipt from each resource it reached.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from tests.interop.processes import ProcessError, wait_until
from tests.interop.talkers import Heard, Talker, Talkers

SETTLE_SECONDS = 20.0  # for the last words to arrive; a server that starts again takes a few
POLL_SECONDS = 0.05  # adding up takes the talkers' time
EVERY_ROOM = 5  # of so many words one is for the room
_rounds = count(1)


@dataclass(frozen=True, slots=True)
class Word:
    """One message on its way."""

    at: float  # monotonic seconds
    author: "Talker"
    id: str
    to: "Talker | None"  # None: to the room


@dataclass(slots=True)
class Account:
    """What became of them. All lists are empty when all went well."""

    words: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)  # heard, and nobody has said it to this talker now
    disordered: list[str] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)  # missing or doubled
    flaps: list[str] = field(default_factory=list)  # contacts or occupants said to be gone, or to be there once more
    disconnected: list[str] = field(default_factory=list)
    waits: list[tuple[float, float, bool]] = field(default_factory=list)  # when sent, how long to each, to the room?

    @property
    def faults(self) -> dict[str, list[str]]:
        """Whatever is not as it should be."""
        kinds = ("lost", "doubled", "strange", "disordered", "receipts", "flaps", "disconnected")
        return {kind: getattr(self, kind)[:10] for kind in kinds if getattr(self, kind)}

    def longest_wait(self, since: float, until: float = float("inf"), *, room: bool | None = None) -> float:
        """Of the messages sent in that time, seconds: all of them, or only those to the room, or to one person."""
        chosen = [wait for at, wait, to_room in self.waits if since <= at <= until and room in (None, to_room)]
        return max(chosen, default=0.0)


class Chatting:
    """Begins when entered, ends when left; `account` afterwards. The talkers are online and, if at all, in the room."""

    def __init__(self, among: Talkers, talkers: Sequence[Talker], room: str | None, period: float = 0.050) -> None:
        self._among = among
        self._talkers = talkers
        self._room = room
        self._period = period
        self._words: dict[str, Word] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._before = {talker: _marks(talker) for talker in talkers}
        self._numbers: Counter[Talker] = Counter()
        self._round = next(_rounds)  # what comes from an earlier one is a stranger

    def __enter__(self) -> "Chatting":
        self._among.call(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self._among.do(self._stop())

    def everybody_speaks(self) -> None:
        """At once, besides what they say anyhow."""
        self._among.call(self._say_each)

    def account(self, seconds: float = SETTLE_SECONDS) -> Account:
        """Waits until every word was heard and confirmed, then adds up."""
        with suppress(ProcessError):  # the account says which
            wait_until(self._all_arrived, seconds, "every word heard and confirmed", POLL_SECONDS)
        time.sleep(0.2)  # for what comes twice
        account = Account(words=len(self._words))
        for talker in self._talkers:
            self._check_heard(talker, account)
            self._check_receipts(talker, account)
            self._check_presence(talker, account)
        return account

    # -- talking ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        step = self._period / len(self._talkers)
        for index, talker in enumerate(self._talkers):
            self._tasks.append(loop.create_task(self._talk(talker, loop.time() + index * step)))

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _talk(self, talker: Talker, at: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(at - loop.time())
            at += self._period
            self._say(talker)

    def _say_each(self) -> None:
        for talker in self._talkers:
            self._say(talker)

    def _say(self, talker: Talker) -> None:
        self._numbers[talker] += 1
        number = self._numbers[talker]
        body = f"{self._round}: {talker.full} {number}"
        if self._room is not None and number % EVERY_ROOM == 0:
            self._words[body] = Word(time.monotonic(), talker, talker.send(self._room, body, "groupchat"), None)
            return
        partner = self._partner(talker)
        self._words[body] = Word(time.monotonic(), talker, talker.send(partner.jid, body, receipt=True), partner)

    def _partner(self, talker: Talker) -> Talker:
        """The next user in the circle, which goes through one domain after the other."""
        users = sorted({each.jid for each in self._talkers}, key=lambda jid: jid.partition("@")[::-1])
        wanted = users[(users.index(talker.jid) + 1) % len(users)]
        return next(each for each in self._talkers if each.jid == wanted)

    # -- adding up --------------------------------------------------------------------------------------

    def _listeners(self, word: Word) -> list[Talker]:
        """Everybody in the room; or all resources of the recipient, and the author's others."""
        if word.to is None:
            return list(self._talkers)
        return [
            each for each in self._talkers if each.jid in (word.to.jid, word.author.jid) and each is not word.author
        ]

    def _meant(self, talker: Talker, body: str) -> bool:
        return body in self._words and talker in self._listeners(self._words[body])

    def _heard(self, talker: Talker) -> list[Heard]:
        return talker.journal.messages[self._before[talker].messages :]

    def _all_arrived(self) -> bool:
        heard = {talker: {one.body for one in self._heard(talker)} for talker in self._talkers}
        confirmed = {one[2] for talker in self._talkers for one in talker.journal.receipts}
        return all(
            all(body in heard[talker] for talker in self._listeners(word)) and (word.to is None or word.id in confirmed)
            for body, word in self._words.items()
        )

    def _check_heard(self, talker: Talker, account: Account) -> None:
        heard = self._heard(talker)
        counts = Counter(one.body for one in heard)
        first = {one.body: one.at for one in reversed(heard)}
        last: dict[tuple[Talker, bool], int] = {}
        for body, word in self._words.items():
            if talker not in self._listeners(word):
                continue
            if not counts[body]:
                account.lost.append(f"{body!r} to {talker.full}")
            else:
                account.waits.append((word.at, first[body] - word.at, word.to is None))
        account.doubled += [f"{body!r} to {talker.full}: {count}" for body, count in counts.items() if count > 1]
        account.strange += [f"{one.body!r} to {talker.full}" for one in heard if not self._meant(talker, one.body)]
        for one in sorted(heard, key=lambda each: each.at):
            if one.body not in self._words:
                continue
            word, number = self._words[one.body], int(one.body.split()[-1])
            stream = (word.author, word.to is None)
            if number < last.get(stream, 0):
                account.disordered.append(f"{one.body!r} to {talker.full} after {last[stream]}")
            last[stream] = number

    def _check_receipts(self, talker: Talker, account: Account) -> None:
        mine = {word.id: body for body, word in self._words.items() if word.author is talker and word.to is not None}
        counts = Counter((name, sender) for _, sender, name in talker.journal.receipts if name in mine)
        account.receipts += [
            f"{mine[name]!r} by {sender}: {count}" for (name, sender), count in counts.items() if count > 1
        ]
        confirmed = {name for name, _ in counts}
        account.receipts += [f"{body!r}: none" for name, body in mine.items() if name not in confirmed]

    def _check_presence(self, talker: Talker, account: Account) -> None:
        before = self._before[talker]
        told = talker.journal.presences[before.presences :]
        account.flaps += [f"{sender} {kind}, to {talker.full}" for _, sender, kind in told]
        if talker.journal.disconnections > before.disconnections:
            account.disconnected.append(talker.full)


@dataclass(frozen=True, slots=True)
class _Marks:
    """How much a journal held before."""

    messages: int
    presences: int
    disconnections: int


def _marks(talker: Talker) -> _Marks:
    journal = talker.journal
    return _Marks(len(journal.messages), len(journal.presences), journal.disconnections)
