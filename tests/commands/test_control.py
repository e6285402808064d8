from __future__ import annotations

import pytest


def test_without_a_running_proxy_control_commands_say_so(asked, config, tmp_path):
    for command in (["status"], ["drain", "alpha"], ["maint", "alpha"], ["ready", "alpha"], ["switch", "alpha"]):
        status, out, err = asked(*command, "-c", config)
        assert status == 3 and out == "" and "no proxy runs there" in err
    status, _, err = asked("status", "--control", str(tmp_path / "x.sock"))
    assert status == 3 and "x.sock" in err


def test_a_broken_users_file_keeps_nobody_from_asking(asked, config, folder):
    (folder / "users.yaml").unlink()
    assert asked("status", "-c", config)[0] == 3


def test_maint_says_what_it_does(capsys, asked):
    with pytest.raises(SystemExit):
        asked("maint", "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "moves or ends at once" in said and "still checked" in said
