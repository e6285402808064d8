"""What cutting an XMPP stream into stanzas costs, against the bare parser and against building trees.

    python benchmarks/xmpp_framing.py [--rounds 15] [--count 4000]

Microseconds of CPU for each stanza, the best of the rounds, in which all take turns:

    expat       the parser alone, with two handlers that count depth: below this nothing can go that reads XML
    alone       the framer, one stanza in each piece of data
    together    the framer, ten stanzas in each piece
    halves      the framer, each stanza in two pieces
    tree        xml.etree's XMLPullParser, which builds a tree and loses the bytes

And KiB for each open stream between two stanzas, with shared parsers and with one parser each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import XMLPullParser
from xml.parsers.expat import ParserCreate

from haproxy_voip.xmpp.framing import StreamFramer
from haproxy_voip.xmpp.parser import ParserPool, StanzaParser, kind_of

HEADER = (
    b"<?xml version='1.0'?><stream:stream to='voip.test' version='1.0' xml:lang='en' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
CHAT = (
    b"<message xml:lang='en' to='romeo@montague.example/orchard' from='juliet@capulet.example/balcony' type='chat' "
    b"id='abcdef123456'><body>Wherefore art thou, Romeo? Deny thy father and refuse thy name</body>"
    b"<request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
)
LONG = CHAT.replace(b"name</body>", b"name" + b" and be but sworn my love" * 30 + b"</body>")
PRESENCE = b"<presence/>"
TOGETHER = 10
STREAMS = 2_000  # open at once, for their memory

Feed = Callable[[bytes], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=4_000, help="stanzas for each contestant in each round")
    options = parser.parse_args()
    print(f"{'stanza':>10} {'bytes':>6}" + "".join(f" {name:>9}" for name in contestants(CHAT, 1)))
    for name, stanza in (("presence", PRESENCE), ("chat", CHAT), ("long", LONG)):
        best = dict.fromkeys(contestants(stanza, 1), float("inf"))
        for _ in range(options.rounds):
            for contestant, run in contestants(stanza, options.count).items():
                best[contestant] = min(best[contestant], timed(run) / options.count * 1e6)
        print(f"{name:>10} {len(stanza):>6}" + "".join(f" {cost:>9.1f}" for cost in best.values()) + "  µs")
    shared, own = idle_streams()
    print(f"between two stanzas a stream takes {shared:.1f} KiB with shared parsers, {own:.1f} KiB with its own")


def contestants(stanza: bytes, count: int) -> dict[str, Callable[[], None]]:
    middle = len(stanza) // 2
    return {
        "expat": lambda: repeat(bare(), [stanza], count),
        "alone": lambda: repeat(framer(), [stanza], count),
        "together": lambda: repeat(framer(), [stanza * TOGETHER], count // TOGETHER),
        "halves": lambda: repeat(framer(), [stanza[:middle], stanza[middle:]], count),
        "tree": lambda: repeat(tree(), [stanza], count),
    }


def repeat(feed: Feed, pieces: list[bytes], count: int) -> None:
    for _ in range(count):
        for piece in pieces:
            feed(piece)


def timed(run: Callable[[], None]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def bare() -> Feed:
    parser, depth = ParserCreate("UTF-8", " "), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.Parse(HEADER, False)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    return lambda data: parser.Parse(data, False)


def framer() -> Feed:
    found = StreamFramer(pool=ParserPool())
    found.feed(HEADER)
    return found.feed


def tree() -> Feed:
    parser = XMLPullParser(["start", "end"])
    parser.feed(HEADER)
    [(_, root)] = parser.read_events()

    def feed(data: bytes) -> None:
        parser.feed(data)
        for _ in parser.read_events():
            pass
        root.clear()

    return feed


def idle_streams() -> tuple[float, float]:
    """KiB of each stream: its share of the process's memory."""
    pool, before = ParserPool(), resident_kib()
    streams = [StreamFramer(pool=pool) for _ in range(STREAMS)]
    for stream in streams:
        stream.feed(HEADER + CHAT)
    between = resident_kib()
    kind = kind_of("stream:stream", {"": "jabber:client", "stream": "http://etherx.jabber.org/streams"})
    parsers = [StanzaParser(kind) for _ in range(STREAMS)]
    for parser in parsers:
        parser.parse(CHAT)
    shared = (between - before) / STREAMS
    return shared, shared + (resident_kib() - between) / STREAMS


def resident_kib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


if __name__ == "__main__":
    main()
