"""baresip as a phone, in a network namespace of its own.

baresip takes no loopback interface for media, so it gets a veth pair: the test's side has SERVER_SIDE, where the server
or proxy under test must listen; the phone's side has PHONE_SIDE. Phones sit behind the same link at different ports.
"""

import json
import socket
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

from tests.edge.namespaces import anew, ip
from tests.interop.audio import RATE, read_wav, tone
from tests.interop.processes import Process, ProcessError, wait_until
from tests.interop.servers import REALM, password

# RFC 2544's range for tests between two interfaces: it is nobody's real network. Not 192.0.2.0/24: virtual machines
# are seen to use that for their own uplink.
SERVER_SIDE = "198.18.77.1"
PHONE_SIDE = "198.18.77.2"
PREFIX = 30

CONTROL_SECONDS = 5.0
SOUND_SECONDS = 60  # of the tone it plays into a call
MODULES = Path("/usr/lib/baresip/modules")


@dataclass(slots=True)
class PhoneNetwork:
    """A network namespace and a veth pair into it."""

    name: str = "haproxy_voip"  # at most 15 characters, as an interface's

    def start(self) -> None:
        """Makes both. The name is the machine's: one run at a time has it."""
        anew(self.name)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "phone", "netns", self.name)
        ip("addr", "add", f"{SERVER_SIDE}/{PREFIX}", "dev", self.name)
        ip("link", "set", self.name, "up")
        ip("-n", self.name, "addr", "add", f"{PHONE_SIDE}/{PREFIX}", "dev", "phone")
        ip("-n", self.name, "link", "set", "phone", "up")

    def stop(self) -> None:
        """Takes the pair away with the namespace. Nothing may run in it any more."""
        ip("link", "del", self.name)
        ip("netns", "del", self.name)


def _response(control: socket.socket) -> str:
    """The next answer to a command; events that come in between are passed over."""
    data = b""
    while True:
        length, colon, rest = data.partition(b":")
        if colon and len(rest) > int(length):
            message, data = rest[: int(length)], rest[int(length) + 1 :]
            if b'"response":true' in message:
                return message.decode(errors="replace")
            continue
        more = control.recv(65535)
        if not more:
            raise ProcessError("baresip closed its control connection")
        data += more


@dataclass(slots=True, kw_only=True)
class Baresip:
    """One phone with one account. It answers calls by itself, plays one tone and records what it hears."""

    network: PhoneNetwork
    folder: Path
    user: str
    frequency: float  # Hz, of the tone it plays
    server: str = SERVER_SIDE  # whom it registers with
    port: int = 5070  # its own; two phones need two. Its control port is 1000 higher, its RTP ports are 4 x from here
    transport: str = "udp"
    process: Process | None = None

    def start(self) -> None:
        """Starts it and waits until it is registered."""
        self._write_files()
        argv = ["baresip", "-f", str(self.folder)]
        self.process = Process(f"baresip {self.user}", argv, self.folder / "output", namespace=self.network.name)
        self.process.start()
        self.wait_for("200 OK", 10.0)

    def wait_for(self, text: str, seconds: float) -> None:
        """Until its output has `text`. Raises ProcessError with the output when it has not in time."""
        output = self.folder / "output"
        try:
            wait_until(lambda: text in output.read_text(errors="replace"), seconds, f"baresip {self.user}: {text!r}")
        except ProcessError as error:
            raise ProcessError(f"{error}\n{self.process.tail() if self.process else ''}") from None

    def command(self, name: str, parameters: str = "") -> str:
        """Does what its menu can do (dial, hangup, hold, resume, transfer ...). Returns its answer."""
        request = json.dumps({"command": name, "params": parameters}).encode()
        with socket.create_connection((PHONE_SIDE, self._control_port), CONTROL_SECONDS) as control:
            control.sendall(b"%d:%s," % (len(request), request))  # a netstring
            answer = _response(control)
        if '"ok":true' not in answer:
            raise ProcessError(f"baresip {self.user} refused {name} {parameters}: {answer}")
        return answer

    def dial(self, number: str) -> None:
        self.command("dial", f"sip:{number}@{REALM}")

    def hang_up(self) -> None:
        self.command("hangup")

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def heard(self) -> tuple[list[int], int]:
        """What the last call sounded like, and its rate. Complete once the call has ended."""
        files = sorted((self.folder / "record").glob("*-dec.wav"))
        if not files:
            raise ProcessError(f"baresip {self.user} recorded nothing\n{self.process.tail() if self.process else ''}")
        return read_wav(files[-1])

    @property
    def _control_port(self) -> int:
        return self.port + 1000

    def _write_files(self) -> None:
        (self.folder / "record").mkdir()
        sound = self.folder / "tone.wav"
        samples = tone(self.frequency, SOUND_SECONDS)
        with wave.open(str(sound), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        rtp_low = 20000 + (self.port - 5070) * 100
        modules = ["g711", "aufile", "aubridge", "sndfile"]
        (self.folder / "config").write_text(
            f"sip_listen {PHONE_SIDE}:{self.port}\n"
            "net_interface phone\n"
            f"rtp_ports {rtp_low}-{rtp_low + 99}\n"
            f"audio_source aufile,{sound}\n"
            "audio_player aubridge,nobody\n"
            "audio_alert aubridge,nobody\n"
            f"snd_path {self.folder / 'record'}\n"
            f"module_path {MODULES}\n"
            # Asterisk begins a stream anew now and then, with another SSRC, when it joins two calls. The jitter buffer
            # of baresip 1.0 compares with the numbers of before, and may take all that comes for late.
            "jitter_buffer_delay 0-0\n"
            + "".join(f"module {name}.so\n" for name in modules)
            + "module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n"
            + f"ctrl_tcp_listen {PHONE_SIDE}:{self._control_port}\n"
        )
        (self.folder / "accounts").write_text(
            f"<sip:{self.user}@{REALM}>;auth_pass={password(self.user)};answermode=auto;regint=300"
            f';outbound="sip:{self.server};transport={self.transport}"\n'
        )
