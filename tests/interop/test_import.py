"""Users imported from the files that an Asterisk runs with: it says the same of them, and their phones register."""

import subprocess
from pathlib import Path

from haproxy_voip.configuration import users
from tests.interop.conftest import StartAsterisk, StartProxy, StartSipp
from tests.interop.parties import CALLER, register
from tests.interop.proxy import COMMAND, COMMAND_SECONDS, Proxy, ProxySetting
from tests.interop.servers import Asterisk, Setting, password

# Forms that people use and that are easy to read otherwise than Asterisk does.
ODD = r"""
;-------------------------------------------------------;
;-- a comment ;-- in a comment --; still one
[hidden](login)
password = no --;
[odd-phone](!)
type = endpoint
context = phones ;-- between --;
[odd-login](!)
type=>auth
auth_type = userpass
password = inherited
[2001](odd-phone)
aors = 2001
auth = 2001-auth
[2001](contacts)
[2001-auth](odd-login)
username = 2001
password=>semi\;colon=and more ; not this
[2002](odd-phone,phone)
aors=2002
auth=2002
[2002](contacts)
[2002](odd-login)
UserName=2002
[2003](odd-phone)
aors=2003
auth=2003
[2003](contacts)
[2003](odd-login)
username=2003
[2003](+type=auth)
password = later
#include "odd.d/*.conf"
#tryinclude none.conf
[2005](login)
username = 2005
password = [brackets] "and quotes" 'of two kinds' #1
[2005](odd-phone)
aors=2005
auth=2005
[2005](contacts)
"""
INCLUDED = "[2004](odd-phone)\naors=2004\nauth=2004\n[2004](contacts)\n[2004](odd-login)\nusername=2004\n"


def imported(proxy: Proxy, *words: str) -> str:
    """What `haproxy-voip users import` prints. The proxy that runs must take it over."""
    argv = [str(COMMAND), "users", "import", *words, "-c", str(proxy.folder / "haproxy_voip.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0 and "the running proxy knows" in done.stdout, done.stdout + done.stderr
    assert "secret1" not in done.stdout + done.stderr
    return done.stdout


def known(proxy: Proxy) -> dict[str, str | None]:
    found = users.load(proxy.folder / "users.yaml").credentials
    return {user: credential.password for user, credential in found.items()}


def logins(server: Asterisk, names: list[str]) -> dict[str, str]:
    """User -> password of these auth sections, as Asterisk has them."""
    found = {}
    for name in names:
        rows = (row.partition(":") for row in server.console(f"pjsip show auth {name}").splitlines())
        values = {key.strip(): text.strip() for key, _, text in rows}
        found[values["username"]] = values["password"]
    return found


def test_users_of_chan_pjsip_are_those_that_asterisk_knows_and_register(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp
) -> None:
    alpha = start_asterisk("alpha")
    files: Path = alpha.folder / "etc"
    proxy = start_proxy(alpha, setting=ProxySetting(users=0))
    assert known(proxy) == {}
    imported(proxy, str(files / "pjsip.conf"))
    ours = [str(user) for user in range(1001, 1011)]
    assert known(proxy) == {user: password(user) for user in ours} == logins(alpha, ours)
    start_sipp(register("1001", CALLER, proxy.address)).wait()
    proxy.wait_registered(1)
    with (files / "pjsip_users.conf").open("a") as file:
        file.write(ODD)
    (files / "odd.d").mkdir()
    (files / "odd.d" / "a.conf").write_text(INCLUDED)
    alpha.console("module reload res_pjsip.so")
    imported(proxy, str(files / "pjsip.conf"))
    odd = ["2001-auth", "2002", "2003", "2004", "2005"]
    assert {user: known(proxy)[user] for user in ("2001", "2002", "2003", "2004", "2005")} == logins(alpha, odd)
    assert known(proxy)["2001"] == "semi;colon=and more" and known(proxy)["2003"] == "later"
    assert len(known(proxy)) == 15


def test_users_of_chan_sip_are_those_that_asterisk_knows_and_register(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp
) -> None:
    alpha = start_asterisk("alpha", Setting(stack="chan_sip"))
    proxy = start_proxy(alpha, setting=ProxySetting(users=0))
    imported(proxy, str(alpha.folder / "etc" / "sip.conf"), "--hashed")
    rows = [row.split() for row in alpha.console("sip show users").splitlines()[1:]]
    assert known(proxy) == {row[0]: None for row in rows if row and row[0].isdigit()} and len(known(proxy)) == 10
    start_sipp(register("1001", CALLER, proxy.address)).wait()
    assert proxy.status()["contacts"] == 1
