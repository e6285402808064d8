from __future__ import annotations


def test_without_a_running_proxy_control_commands_say_so(asked, config, tmp_path):
    for command in (["status"], ["drain", "alpha"], ["maint", "alpha"], ["ready", "alpha"], ["switch", "alpha"]):
        status, out, err = asked(*command, "-c", config)
        assert status == 3 and out == "" and "no proxy runs there" in err
    status, _, err = asked("status", "--control", str(tmp_path / "x.sock"))
    assert status == 3 and "x.sock" in err
