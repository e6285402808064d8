"""Debian's Kamailio as a balancer: bare, with dialogs and rtpengine, and with topology hiding besides.

What it does is what its own documentation shows for each module. It runs as many workers as there are processors, and
needs no more: none of them ever waits for anybody but Redis.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import family, running, wait_bound, wait_listening
from .proxy import BACKEND_HOST, PROXY_HOST, SIP_PORT
from .rtpengine import CONTROL_PORT, engine
from .rtpengine import HOST as ENGINE_HOST

PROGRAM, REDIS = "kamailio", "redis-server"
REDIS_HOST, REDIS_PORT = "127.0.72.5", 6379
SHARED_MIB, PRIVATE_MIB = 1024, 32
SETTLE_SECONDS = 1.5  # for its workers, and for a first answer of the server
# A call takes four ports, and nobody is to be refused for want of them.
ENGINE_ARGV = ("--port-max=59999", "--delete-delay=0")

CONFIG = """\
debug=0
log_stderror=yes
children={workers}
disable_tcp=yes
auto_aliases=no
listen=udp:{host}:{port}
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "sdpops.so"
loadmodule "dispatcher.so"
modparam("dispatcher", "list_file", "{folder}/dispatcher.list")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
{modules}

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (!loose_route()) {{ if (!is_method("ACK")) sl_send_reply("404", "Not here"); exit; }}
        {ended}
        t_relay();
        exit;
    }}
    t_check_trans();
    record_route();
    if (!ds_select_dst("1", "4")) {{ sl_send_reply("503", "Service Unavailable"); exit; }}
    t_on_failure("NEXT");
    t_on_reply("ANSWER");
    {invited}
    t_relay();
}}

onreply_route[ANSWER] {{
    {answered}
    exit;
}}

failure_route[NEXT] {{
    if (t_is_canceled()) exit;
    if (t_check_status("500|503") || (t_branch_timeout() && !t_any_replied())) {{
        if (ds_next_dst()) {{ t_on_failure("NEXT"); t_relay(); }}
    }}
}}
"""

DIALOGS = """\
loadmodule "dialog.so"
loadmodule "rtpengine.so"
modparam("dialog", "enable_stats", 0)
modparam("rtpengine", "rtpengine_sock", "udp:{engine}:{engine_port}")
"""

HIDING = """\
loadmodule "ndb_redis.so"
loadmodule "topos.so"
loadmodule "topos_redis.so"
modparam("ndb_redis", "server", "name=topos;addr={redis};port={redis_port};db=0")
modparam("topos", "storage", "redis")
modparam("topos_redis", "serverid", "topos")
"""

MANAGE = 'rtpengine_manage("replace-origin replace-session-connection ICE=remove");'
INVITED = f'if (is_method("INVITE")) {{ dlg_manage(); {MANAGE} }}'
ANSWERED = f'if (status =~ "(18[03])|(2[0-9][0-9])" && has_body("application/sdp")) {{ {MANAGE} }}'
ENDED = f'if (is_method("BYE")) {{ {MANAGE} }}'


@dataclass(frozen=True, slots=True)
class Set:
    """What it does besides dispatching."""

    dialogs: bool = False  # with rtpengine
    hiding: bool = False  # topos, its storage in Redis


def missing(of: Set) -> list[str]:
    """Debian's packages that are not there."""
    needed = {PROGRAM: "kamailio", "sipp": "sip-tester"}
    if of.dialogs:
        needed["rtpengine"] = "rtpengine-daemon"
    if of.hiding:
        needed[REDIS] = "redis-server"
    absent = [package for program, package in needed.items() if _which(program) is None]
    if of.hiding and not list(Path("/usr/lib").glob("*/kamailio/modules/topos_redis.so")):
        absent.append("kamailio-redis-modules")
    return absent


def config(of: Set, folder: Path) -> str:
    """Its configuration."""
    modules = (DIALOGS if of.dialogs else "") + (HIDING if of.hiding else "")
    return CONFIG.format(
        workers=os.cpu_count() or 1,
        host=PROXY_HOST,
        port=SIP_PORT,
        folder=folder,
        modules=modules.format(engine=ENGINE_HOST, engine_port=CONTROL_PORT, redis=REDIS_HOST, redis_port=REDIS_PORT),
        invited=INVITED if of.dialogs else "",
        answered=ANSWERED if of.dialogs else "",
        ended=ENDED if of.dialogs else "",
    )


@contextmanager
def kamailio(folder: Path, of: Set) -> Iterator[dict[str, Sequence[int]]]:
    """Its processes and those of its helpers by program, until the block ends."""
    (folder / "dispatcher.list").write_text(f"1 sip:{BACKEND_HOST}:{SIP_PORT}\n")
    file, log = folder / "kamailio.cfg", folder / "kamailio.log"
    file.write_text(config(of, folder))
    found: dict[str, Sequence[int]] = {}
    with ExitStack() as stack:
        if of.hiding:
            argv = [REDIS, "--bind", REDIS_HOST, "--port", str(REDIS_PORT), "--save", "", "--appendonly", "no"]
            redis = stack.enter_context(running(argv, folder / "redis.log", folder))
            wait_listening(REDIS_HOST, REDIS_PORT, redis, folder / "redis.log")
            found["redis"] = [redis.pid]
        if of.dialogs:
            found["rtpengine"] = [stack.enter_context(engine(folder, *ENGINE_ARGV)).pid]
        memory = ["-m", str(SHARED_MIB), "-M", str(PRIVATE_MIB)]
        argv = [_which(PROGRAM) or PROGRAM, "-DD", "-E", "-f", str(file), "-Y", str(folder), *memory]
        process = stack.enter_context(running(argv, log))
        wait_bound(PROXY_HOST, SIP_PORT, process, log)
        yield {"kamailio": family(process.pid), **found}


def _which(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
