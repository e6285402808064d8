from __future__ import annotations

import json
from pathlib import Path


def test_check_praises_a_good_configuration(asked, config):
    status, out, _ = asked("check", config)
    assert status == 0 and f"{config}: good\n  domain: voip.example\n  listens on: udp:127.0.0.1:" in out
    assert "    alpha at udp:127.0.0.1:" in out
    status, out, _ = asked("check", config, "--json")
    assert status == 0 and json.loads(out) == {"good": True, "errors": []}


def test_check_names_file_line_key_problem_and_remedy(asked, config):
    text = Path(config).read_text().replace("domain:", "domian:")
    Path(config).write_text(text)
    status, out, err = asked("check", config)
    assert status == 1 and out == "" and f"{config}:2: proxy.domian: unknown key" in err
    status, out, _ = asked("check", config, "--json")
    assert status == 1 and json.loads(out)["errors"][0]["line"] in (1, 2)
