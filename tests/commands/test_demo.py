from __future__ import annotations

import sys
import types

from haproxy_voip.__main__ import main


def test_the_demo_is_imported_only_when_asked_for(monkeypatch):
    demo = types.ModuleType("haproxy_voip.embedded.demo")
    demo.main = lambda stay: 7 if stay else 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "haproxy_voip.embedded.demo", demo)
    assert main(["demo"]) == 0 and main(["demo", "--stay"]) == 7
