"""The chat health of the backends."""

from __future__ import annotations

from dataclasses import replace

from haproxy_voip.cluster.detector import BackendDown
from haproxy_voip.configuration.model import ChatProbeConfig
from haproxy_voip.core.credential import Secret
from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.chat_facts import DeepProbeFailed
from haproxy_voip.proxy.effects import ProbeDeeply, ProbeStream
from haproxy_voip.proxy.events import DeepProbeDone
from haproxy_voip.xmpp.management import REQUEST
from tests.proxy.chat.stage import Stage, config


def probes(stage: Stage, seconds: float) -> list[str]:
    """How each backend is asked."""
    asked: list[str] = []
    carry_out = stage.carry_out

    def note(outputs: list[object]) -> None:
        for output in outputs:
            if isinstance(output, ProbeStream):
                asked.append(f"{output.backend} by a new stream")
            elif isinstance(output, Send) and output.data == REQUEST and output.flow.connection % 2 == 0:
                asked.append("a session")
        carry_out(outputs)

    stage.carry_out = note  # type: ignore[method-assign]
    stage.run(seconds)
    stage.carry_out = carry_out  # type: ignore[method-assign]
    return asked


def test_without_sessions_a_stream_is_opened() -> None:
    assert set(probes(Stage(), 0.3)) == {f"{name} by a new stream" for name in ("alpha", "beta", "charlie")}


def test_with_sessions_one_of_them_asks_in_turn() -> None:
    stage = Stage()
    stage.client("alice"), stage.client("bob")
    asked = probes(stage, 1.0)
    assert "alpha by a new stream" not in asked and asked.count("a session") >= 9


def test_what_looks_bad_is_looked_into_by_a_new_stream() -> None:
    stage = Stage()
    stage.client("alice")
    stage.run(1.0)
    stage.freeze("alpha")
    assert "alpha by a new stream" in probes(stage, 0.3)


def test_the_next_is_the_best_of_the_others() -> None:
    stage = Stage()
    backends = stage.chat.shared.backends
    assert (backends.next_after("alpha"), backends.next_after("beta")) == ("beta", "alpha")
    stage.kill("beta")
    stage.run(0.5)
    assert backends.next_after("alpha") == "charlie"


def test_the_header_asks_for_a_domain_of_ours() -> None:
    stage = Stage()
    header = stage.chat.shared.backends._probe("alpha", 1)[0]
    assert isinstance(header, ProbeStream) and b"to='chat.test'" in header.data


PROBED = ChatProbeConfig(user="probe", secret=Secret("secret of the probe"), inter=2.0, timeout=1.0)


def probed() -> Stage:
    """Alpha is logged in at; what comes of it the test says."""
    plain = config()
    alpha, *others = plain.backends
    chat = replace(alpha.chat, probe=PROBED)
    return Stage(replace(plain, backends=(replace(alpha, chat=chat), *others)))


def deep(stage: Stage, failure: str | None, seconds: float = 1.1) -> None:
    """This comes of the deep probe under way; until after the next was sent."""
    asked = due(stage)
    stage.feed(DeepProbeDone("alpha", asked[-1].number, failure))
    stage.run(seconds)
    assert len(due(stage)) == len(asked) + 1


def due(stage: Stage) -> list[ProbeDeeply]:
    return [fact for fact in stage.facts if isinstance(fact, ProbeDeeply)]


def test_a_server_that_lets_nobody_in_is_down_although_it_is_there() -> None:
    stage = probed()
    alice, bob = stage.client("alice"), stage.client("bob")
    deep(stage, None, 2.1)
    deep(stage, "login refused: not-authorized")
    assert stage.backend_of(alice) == "alpha"
    deep(stage, "login refused: not-authorized", 2.1)
    assert stage.backend_of(alice) == stage.backend_of(bob) == "beta" and alice.error is None
    told = [str(fact) for fact in stage.facts if isinstance(fact, BackendDown | DeepProbeFailed)]
    assert told[:2] == ["deep probe of alpha failed: login refused: not-authorized"] * 2
    assert told[2].startswith("alpha is down: deep probe: login refused: not-authorized, judged after 1")
    [row, *_] = stage.command("status")["chat_backends"]  # type: ignore[misc]
    assert (row["health"], row["deep_probe"]) == ("down", "login refused: not-authorized")
    alice.say(bob.jid, "still here?")
    stage.run(0.5)
    assert bob.said() == ["still here?"]


def test_it_is_up_again_after_so_many_successes_and_not_because_it_is_there() -> None:
    stage = probed()
    backends = stage.chat.shared.backends
    deep(stage, "no answer")
    deep(stage, "no answer", 2.1)
    stage.kill("alpha")
    stage.run(1.0)
    stage.revive("alpha")  # which has it asked at once
    assert backends.detectors["alpha"].up and backends.pool.active == "beta"
    deep(stage, None)
    deep(stage, None)
    assert backends.eligible == ["beta", "charlie"]
    deep(stage, None, 2.1)
    assert backends.eligible == ["beta", "alpha", "charlie"]
    assert stage.command("status")["chat_backends"][0]["deep_probe"] is None  # type: ignore[index]


def test_results_nobody_waits_for_say_nothing() -> None:
    stage = probed()
    stage.run(0.5)
    stage.feed(DeepProbeDone("alpha", 99, "late"))
    assert not [fact for fact in stage.facts if isinstance(fact, DeepProbeFailed)]
    assert stage.chat.shared.backends.deep_failure("beta") is None
