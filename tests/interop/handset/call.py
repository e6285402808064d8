"""One dialog of a handset."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.interop.audio import Address
from tests.interop.handset.message import HandsetError, Message
from tests.interop.servers import REALM

if TYPE_CHECKING:
    from tests.interop.handset.phone import Handset

ANSWER_SECONDS = 5.0  # for the final answer to a request; calls that ring wait for themselves
ON_HOLD = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}  # offer -> answer (RFC 3264 6.1)


@dataclass(slots=True, eq=False)
class Call:
    """One dialog of a handset, from its INVITE to its end."""

    phone: Handset
    number: str  # whom we called, or who calls us
    call_id: str
    ours: str  # our From or To, without tag
    theirs: str
    tag: str
    target: str  # where requests in the dialog go
    invited_at: float  # when the INVITE left or came
    their_tag: str = ""
    routes: list[str] = field(default_factory=list)
    sequence: int = 0
    invite: Message | None = None  # that came and waits for an answer
    provisionals: list[tuple[int, float]] = field(default_factory=list)  # status and when
    status: int = 0  # final
    status_at: float = 0.0
    ended_at: float | None = None  # when the other side's BYE or CANCEL came, or we sent ours
    ended_by_us: bool = False
    audio: Address | None = None  # where the other side wants it
    offers: list[str] = field(default_factory=list)  # SDP that came after the first
    notes: list[str] = field(default_factory=list)  # bodies of NOTIFYs: how a transfer goes
    direction: str = "sendrecv"
    _sdp_version: int = 1
    branch: str = ""  # of the INVITE that waits
    initial: int = 0  # CSeq of the INVITE that made the call

    # -- what a user does -------------------------------------------------------------------------------

    def wait_answered(self, seconds: float = ANSWER_SECONDS) -> None:
        """Until the call is answered. Raises HandsetError when it is refused, or is not in time."""
        self.phone.wait(lambda: self.status != 0, seconds, f"an answer from {self.number}")
        if self.status >= 300:
            raise HandsetError(f"{self.phone.user}: {self.number} answered {self.status}\n{self.phone.story()}")

    def wait_refused(self, seconds: float = ANSWER_SECONDS) -> int:
        """The status the call is refused with."""
        self.phone.wait(lambda: self.status != 0, seconds, f"an answer from {self.number}")
        return self.status

    def wait_ringing(self, seconds: float = ANSWER_SECONDS) -> None:
        self.phone.wait(lambda: any(status >= 180 for status, _ in self.provisionals), seconds, "ringing")

    def wait_ended(self, seconds: float = ANSWER_SECONDS) -> None:
        self.phone.wait(lambda: self.ended_at is not None, seconds, f"the end of the call with {self.number}")

    def answer(self) -> None:
        """Takes the call that came."""
        assert self.invite is not None
        invite, self.invite = self.invite, None
        self.phone.answer(invite, 200, self.tagged(), self.session())
        self.status, self.status_at = 200, time.monotonic()

    def hang_up(self) -> None:
        """BYE, or CANCEL before the answer; waits until it is confirmed."""
        self.ended_by_us = True
        self.ended_at = time.monotonic()
        if self.status:
            self._expect(self.request("BYE"), 200)
        else:
            dialog = self._dialog("CANCEL", self.initial)
            self.phone.send(self.phone.text("CANCEL", self._dialled, dialog, "", self.branch))
            self.phone.wait(lambda: self.status != 0, ANSWER_SECONDS, "487")

    def hold(self) -> None:
        """The other side shall wait (RFC 3264 section 8.4)."""
        self._offer("sendonly")

    def resume(self) -> None:
        self._offer("sendrecv")

    def transfer(self, number: str, replacing: Call | None = None) -> None:
        """Sends the other side to a number; with `replacing`, into that call of ours (RFC 3515, RFC 3891)."""
        target = f"sip:{number}@{REALM}"
        if replacing is not None:
            tags = f"to-tag%3D{replacing.their_tag}%3Bfrom-tag%3D{replacing.tag}"
            target += f"?Replaces={replacing.call_id.replace('@', '%40')}%3B{tags}"
        headers = [f"Refer-To: <{target}>", f"Referred-By: <sip:{self.phone.user}@{REALM}>"]
        self._expect(self.request("REFER", headers), 202)

    def request(self, method: str, headers: list[str] | None = None, body: str = "") -> Message:
        """A request within the dialog and its final answer."""
        return self.phone.ask(method, self.target, lambda: self.in_dialog(method, headers or []), body)

    # -- what it is made of -----------------------------------------------------------------------------

    def _offer(self, direction: str) -> None:
        self.direction = direction
        self._sdp_version += 1
        answer = self.request("INVITE", [self.phone.contact_line], self.session())
        self._expect(answer, 200)
        self.learn(answer)

    def _expect(self, answer: Message, status: int) -> None:
        if answer.status != status:
            raise HandsetError(f"{self.phone.user}: {answer.start} to {answer.method}\n{self.phone.story()}")

    @property
    def _dialled(self) -> str:
        """The Request-URI of the INVITE, and of what follows it hop by hop."""
        return f"sip:{self.number}@{REALM}"

    def tagged(self) -> str:
        return f"{self.ours};tag={self.tag}"

    def session(self) -> str:
        ear, camera = self.phone.ear, self.phone.camera
        host, port = ear.local if ear is not None else (self.phone.local[0], 9)
        family = "IP6" if ":" in host else "IP4"
        audio = (
            f"v=0\r\no=- 1 {self._sdp_version} IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-16\r\na=ptime:20\r\na={self.direction}\r\n"
        )
        if camera is None:
            return audio
        return audio + f"m=video {camera.local[1]} RTP/AVP {camera.kind}\r\na=rtpmap:{camera.kind} H264/90000\r\n"

    def in_dialog(self, method: str, headers: list[str]) -> list[str]:
        self.sequence += 1
        return [*self._dialog(method, self.sequence), *headers]

    def _dialog(self, method: str, number: int) -> list[str]:
        theirs = f"{self.theirs};tag={self.their_tag}" if self.their_tag else self.theirs
        lines = [f"Route: {route}" for route in self.routes]
        return [
            *lines,
            f"From: {self.tagged()}",
            f"To: {theirs}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
        ]

    def learn(self, message: Message) -> None:
        """Where the other side wants audio and requests, by its SDP and Contact."""
        contact = re.search(r"<([^>]+)>", message.get("contact"))
        if contact:
            self.target = contact[1]
        host = re.search(r"^c=IN IP[46] (\S+)", message.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", message.body, re.MULTILINE)
        if host and port:
            self.audio = (host[1], int(port[1]))
            if self.phone.ear is not None:
                self.phone.ear.remote = self.audio
        pictures = re.search(r"^m=video (\d+)", message.body, re.MULTILINE)
        if host and pictures and self.phone.camera is not None:
            self.phone.camera.remote = (host[1], int(pictures[1]))

    def acknowledge(self, response: Message) -> None:
        """RFC 3261 section 13.2.2.4 for 2xx, 17.1.1.3 for the rest."""
        if response.status < 300 and not self.phone.acknowledges:
            return
        if response.status < 300:
            self.phone.send(self.phone.text("ACK", self.target, self._dialog("ACK", response.number), ""))
            return
        lines = [f"From: {response.get('from')}", f"To: {response.get('to')}"]
        lines += [f"Call-ID: {self.call_id}", f"CSeq: {response.number} ACK"]
        branch = re.search(r"branch=([^;,\s]+)", response.get("via"))
        self.phone.send(self.phone.text("ACK", self._dialled, lines, "", branch[1] if branch else ""))

    def take_response(self, response: Message) -> None:
        if response.status == 100:
            return
        if response.status < 200:
            self.provisionals.append((response.status, response.at))
        first = self.status == 0
        if response.status >= 200 and first:
            self.status, self.status_at = response.status, response.at
        if response.status < 300:
            self.their_tag = response.tag("to")
            self.routes = list(reversed(response.all("record-route")))
            self.learn(response)
        if response.status >= 200:
            self.acknowledge(response)

    def take_request(self, request: Message) -> None:
        match request.method:
            case "ACK":
                return
            case "INVITE":
                self.offers.append(request.body)
                self.learn(request)
                wanted = re.search(r"^a=(sendonly|recvonly|inactive)", request.body, re.MULTILINE)
                self.direction = ON_HOLD[wanted[1]] if wanted else "sendrecv"
                self._sdp_version += 1
                self.phone.answer(request, 200, request.get("to"), self.session())
                return
            case "NOTIFY":
                self.notes.append(request.body)
            case "BYE":
                self.ended_at = request.at
        self.phone.answer(request, 200, request.get("to"))
