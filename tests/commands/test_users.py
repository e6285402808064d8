from __future__ import annotations

import io
import json
import sys
from pathlib import Path


def test_users_are_listed_without_their_secrets(asked, config, folder):
    status, out, _ = asked("users", "list", "-c", config)
    assert status == 0 and out.splitlines() == ["realm: voip.example", "user  secret", "1001  password"]
    status, out, _ = asked("users", "list", "--users", str(folder / "users.yaml"), "--json")
    assert json.loads(out) == {"realm": "voip.example", "users": [{"user": "1001", "secret": "password"}]}
    assert "secret\n" not in out


def test_a_user_is_added_changed_and_stored_as_hashes(asked, config, monkeypatch):
    def add(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO("wonderful\n"))
        return asked("users", "add", "1002", "-c", config, *options)

    assert add("--password-stdin")[0] == 0
    status, _, err = add("--password-stdin")
    assert status == 1 and "is there already; --replace" in err
    status, out, _ = add("--password-stdin", "--replace", "--hashed", "--json")
    assert status == 0 and json.loads(out)["running_proxy_told"] is False
    assert "1002  ha1 and ha1_sha256" in asked("users", "list", "-c", config)[1]
    status, _, err = add()
    assert status == 1 and "--password-stdin" in err


def test_what_cannot_be_added_is_refused_with_a_reason(asked, config, folder, monkeypatch):
    def add(name: str, *options: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO("wonderful\n"))
        status, _, err = asked("users", "add", name, "--password-stdin", *options)
        assert status == 1
        return err

    assert "is no user name" in add("two words", "-c", config)
    assert "which users file?" in add("1002")
    assert "say its realm with --realm" in add("1002", "--users", str(folder / "new.yaml"))
    assert "cannot be written" in add("1002", "--users", str(folder / "none" / "new.yaml"), "--realm", "x")
    Path(folder / "users.yaml").write_text("nonsense")
    assert "users.yaml:1" in add("1002", "--users", str(folder / "users.yaml"))


def test_a_new_users_file_is_begun(asked, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("wonderful\n"))
    path = folder / "new.yaml"
    status, out, _ = asked("users", "add", "1002", "--password-stdin", "--users", str(path), "--realm", "voip.example")
    assert status == 0 and "no running proxy was told" in out and 'realm: "voip.example"' in path.read_text()


def test_the_first_user_of_a_new_configuration_makes_the_file_it_names(asked, config, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("wonderful\n"))
    (folder / "users.yaml").unlink()
    status, out, _ = asked("users", "add", "1001", "--password-stdin", "-c", config)
    assert status == 0 and f"{folder / 'users.yaml'}: 1001 " in out
    assert "1001  password" in asked("users", "list", "-c", config)[1]
