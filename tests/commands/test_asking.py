from __future__ import annotations

import io
import sys

import pytest

from haproxy_voip.commands import REFUSED, USAGE, Failure
from haproxy_voip.commands.asking import Asking
from haproxy_voip.configuration.kinds import Domain


class Typed(io.StringIO):
    """Somebody at a terminal who types this."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch):
    def sit(text: str) -> Asking:
        monkeypatch.setattr(sys, "stdin", Typed(text))
        return Asking(suggestions=False)

    return sit


def test_a_question_is_asked_until_the_answer_can_be_read(typed, capsys):
    asking = typed("no_domain\n  VOIP.example \n\n")
    assert asking.present
    assert asking.ask("Domain", Domain().read) == "voip.example"
    assert asking.ask("Domain", Domain().read, "suggested.example") == "suggested.example"
    assert capsys.readouterr().out == (
        "Domain:   'no_domain' is no domain name; write one such as voip.example\nDomain: Domain [suggested.example]: "
    )


def test_the_end_of_the_answers_ends_it(typed):
    with pytest.raises(Failure, match="nothing was written") as ended:
        typed("").ask("Domain", Domain().read)
    assert ended.value.status == REFUSED


def test_a_flag_that_cannot_be_read_is_a_wrong_command_line(typed):
    assert typed("").given("--domain", "VOIP.example", Domain().read) == "voip.example"
    with pytest.raises(Failure, match="--domain a_b: 'a_b' is no domain name; write one") as refused:
        typed("").given("--domain", "a_b", Domain().read)
    assert refused.value.status == USAGE


def test_nobody_is_asked_who_is_not_there_or_said_yes(typed, monkeypatch, capsys):
    typed("").say("shown")
    monkeypatch.setattr(sys, "stdin", Typed("x\n"))
    assert not Asking(suggestions=True).present
    monkeypatch.setattr(sys, "stdin", io.StringIO("x\n"))
    asking = Asking(suggestions=False)
    asking.say("not shown")
    assert not asking.present and capsys.readouterr().out == "shown\n"
    asking.refuse_missing()
    asking.missing += ["--domain DOMAIN", "--address IP"]
    with pytest.raises(Failure) as refused:
        asking.refuse_missing()
    assert refused.value.status == USAGE and str(refused.value).endswith("\n  --domain DOMAIN\n  --address IP")
