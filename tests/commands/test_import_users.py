from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from haproxy_voip.configuration import users

PJSIP = """\
[phone](!)
type = endpoint
[1001](phone)
auth = 1001
aors = 1001
[1001]
type = auth
username = 1001
password = fresh
[1003](phone)
auth = 1003
[1003]
type = auth
password = hunter2
[carrier](phone)
"""


@pytest.fixture
def pjsip(folder: Path) -> str:
    """Of two users, one of whom the users' file has with another password."""
    path = folder / "pjsip.conf"
    path.write_text(PJSIP)
    return str(path)


def known(folder: Path) -> dict[str, str | None]:
    return {user: found.password for user, found in users.load(folder / "users.yaml").credentials.items()}


def test_new_users_are_written_and_known_ones_stay(asked, config, folder, pjsip):
    status, out, err = asked("users", "import", pjsip, "-c", config)
    assert (status, err) == (0, "")
    assert (
        out
        == f"""\
done     who        where             why
kept     1001       {pjsip}:6   has another secret; --replace takes this one
added    1003       {pjsip}:12  -
skipped  [carrier]  {pjsip}:15  asks nobody for a password: a trunk, or known by its address

{folder}/users.yaml: 1 added, 0 changed, 1 kept; 0 others untouched; no running proxy was told
""".replace("where             ", "where".ljust(len(pjsip) + 3) + "  ")
    )
    assert known(folder) == {"1001": "secret", "1003": "hunter2"}


def test_a_dry_run_says_the_same_and_writes_nothing(asked, config, folder, pjsip):
    before = (folder / "users.yaml").read_text()
    status, out, _ = asked("users", "import", pjsip, "-c", config, "--dry-run", "--replace")
    assert status == 0 and "changed  1001" in out and "added    1003" in out
    assert "1 added, 1 changed, 0 kept; 0 others untouched; nothing was written (--dry-run)" in out
    assert (folder / "users.yaml").read_text() == before and "hunter2" not in out + before


def test_a_known_user_is_changed_when_told_so_and_comments_stay(asked, config, folder, pjsip):
    (folder / "users.yaml").write_text(
        'realm: voip.example\nusers:\n  # desk\n  "1001": {password: old}  # May\n  "9": {password: x}\n'
    )
    status, out, _ = asked("users", "import", pjsip, "-c", config, "--replace")
    assert status == 0 and "1 others untouched" in out
    assert known(folder) == {"1001": "fresh", "9": "x", "1003": "hunter2"}
    text = (folder / "users.yaml").read_text()
    assert "# desk" in text and "# May" in text
    status, out, _ = asked("users", "import", pjsip, "-c", config, "--replace")
    assert status == 0 and "0 added, 0 changed, 2 kept" in out and "nothing was to be written" in out


def test_comments_that_could_not_stay_are_told(asked, config, folder, pjsip):
    (folder / "users.yaml").write_text("realm: voip.example\nusers: {a: {password: x}}  # all\n")
    status, _, err = asked("users", "import", pjsip, "-c", config)
    assert status == 0 and "comments below its head are lost" in err


def test_a_new_file_is_readable_by_its_owner_only(asked, folder, pjsip):
    path = folder / "new.yaml"
    status, _, _ = asked("users", "import", pjsip, "--users", str(path), "--realm", "voip.example", "--hashed")
    assert status == 0 and path.stat().st_mode & 0o777 == 0o600
    assert users.load(path).credentials["1003"] == users.hashed("1003", "voip.example", "hunter2")


def test_with_a_bad_line_nothing_is_written_unless_told_to_pass_over_it(asked, config, folder, pjsip):
    Path(pjsip).write_text(f"{PJSIP}nonsense hunter2\n[two words]\ntype=auth\n#include ../x.conf\n[1003](+)\n")
    before = (folder / "users.yaml").read_text()
    status, out, err = asked("users", "import", pjsip, "-c", config)
    assert status == 1 and out == "" and (folder / "users.yaml").read_text() == before
    assert f"{pjsip}:16: neither a section nor `key = value`" in err
    assert f"{pjsip}:19: #include ../x.conf: is outside of {folder}/ and not followed" in err
    assert "2 things are wrong: nothing was written; correct that, or pass over it with --skip-bad" in err
    status, out, _ = asked("users", "import", pjsip, "-c", config, "--json")
    assert status == 1 and [row["where"] for row in json.loads(out)["rows"]] == [f"{pjsip}:16", f"{pjsip}:19"]
    status, out, _ = asked("users", "import", pjsip, "-c", config, "--skip-bad")
    assert status == 0 and re.search(rf"bad +- +{pjsip}:16 +neither", out)
    assert known(folder) == {"1001": "secret", "1003": "hunter2"} and "hunter2" not in out + err


def test_programs_are_told_everything_but_secrets(asked, config, pjsip):
    status, out, _ = asked("users", "import", pjsip, "-c", config, "--json")
    said = json.loads(out)
    assert status == 0 and said["written"] and not said["running_proxy_told"] and "hunter2" not in out
    assert said["counts"] == {"added": 1, "changed": 0, "kept": 1, "skipped": 1, "bad": 0, "others": 0}
    assert said["rows"][1] == {"done": "added", "who": "1003", "where": f"{pjsip}:12", "why": ""}


def test_tables_are_read_as_well_and_what_is_no_known_format_is_told(asked, config, folder):
    table = folder / "people.csv"
    table.write_text("extension,tech,secret\n1007,pjsip,x\n")
    assert asked("users", "import", str(table), "-c", config)[0] == 0
    assert known(folder) == {"1001": "secret", "1007": "x"}
    table.write_text("Dear Sir\n")
    status, _, err = asked("users", "import", str(table), "-c", config)
    assert status == 1 and f"{table}:1: it cannot be told what this is; say so with --format" in err


def test_what_cannot_be_done_is_refused_with_a_reason(asked, config, folder, pjsip):
    def refused(*words: str) -> str:
        status, _, err = asked("users", "import", *words)
        assert status == 1
        return err

    assert "none.conf: cannot be read" in refused(str(folder / "none.conf"), "-c", config)
    assert "say its realm with --realm" in refused(pjsip, "--users", str(folder / "new.yaml"))
    assert "the realm of" in refused(pjsip, "-c", config, "--realm", "other.example")
    assert "cannot be written" in refused(pjsip, "--users", str(folder / "none" / "u.yaml"), "--realm", "x")
    (folder / "users.yaml").write_text("nonsense")
    assert "users.yaml:1" in refused(pjsip, "-c", config)


def test_control_characters_and_other_encodings_do_no_harm(asked, config, pjsip):
    Path(pjsip).write_bytes(b"[caf\xe9\x1b[2J]\ntype=auth\npassword=x\n[a]\ntype=endpoint\ncallerid=Ren\xe9 <1>\n")
    status, out, err = asked("users", "import", pjsip, "-c", config, "--skip-bad")
    assert (status, err) == (0, "") and "[caf\\udce9\\x1b[2J]" in out and "\x1b" not in out


def test_a_freepbx_is_read_from_its_pjsip_conf(asked, config, folder):
    etc, module = folder / "asterisk", folder / "module"
    for each in (etc, module):
        each.mkdir()
    # The main file is a link into FreePBX's own folder; what it includes is beside the link.
    (module / "pjsip.conf").write_text(
        ";----------------;\n; Do NOT edit    ;\n;----------------;\n#include pjsip_custom.conf\n"
        "#include pjsip.endpoint.conf\n#include pjsip.aor.conf\n#include pjsip.auth.conf\n"
        "#include pjsip.registration.conf\n#include pjsip.endpoint_custom_post.conf\n"
    )
    (etc / "pjsip.conf").symlink_to(module / "pjsip.conf")
    for name, text in {
        "pjsip_custom": "",
        "pjsip.endpoint": "[1007]\ntype=endpoint\naors=1007\nauth=1007-auth\ncallerid=Jane <1007>\n"
        "[carrier]\ntype=endpoint\naors=carrier\noutbound_auth=carrier\n",
        "pjsip.aor": "[1007]\ntype=aor\nmax_contacts=1\n[carrier]\ntype=aor\ncontact=sip:me@198.51.100.1\n",
        "pjsip.auth": "[1007-auth]\ntype=auth\nauth_type=userpass\npassword=a\\;b\nusername=1007\n"
        "[carrier]\ntype=auth\nauth_type=userpass\npassword=x\nusername=me\n",
        "pjsip.registration": "[carrier]\ntype=registration\noutbound_auth=carrier\n",
        "pjsip.endpoint_custom_post": "[1007](+)\nwebrtc=yes\n",
    }.items():
        (etc / f"{name}.conf").write_text(text)
    status, out, err = asked("users", "import", str(etc / "pjsip.conf"), "-c", config)
    assert (status, err) == (0, "") and known(folder) == {"1001": "secret", "1007": "a;b"}
    assert out.count("skipped") == 2 and "only for calling out: a trunk" in out
    named = [str(etc / f"pjsip.{part}.conf") for part in ("endpoint", "auth", "aor")]
    status, out, _ = asked("users", "import", *named, "-c", config)
    assert status == 0 and "0 added, 0 changed, 1 kept" in out
