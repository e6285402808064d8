"""Messages that several test files use."""

INVITE = (
    b"INVITE sip:1002@voip.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK-524287-1---abcdef;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"Contact: <sip:1001@192.0.2.7:5062>\r\n"
    b"To: <sip:1002@voip.test>\r\n"
    b'From: "Ann \\"A\\" Lee" <sip:1001@voip.test>;tag=5f3a9b\r\n'
    b"Call-ID: 843748734-aasdf@192.0.2.7\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Allow: INVITE, ACK, CANCEL, BYE, NOTIFY\r\n"
    b"Content-Type: application/SDP;charset=utf-8\r\n"
    b"Supported: replaces, timer\r\n"
    b"User-Agent: phone/1.0\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)

OK = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/TCP [2001:DB8::7]:5062;branch=z9hG4bK2\r\n"
    b"From: <sip:1001@voip.test>;tag=5f3a9b\r\n"
    b"To: <sip:1002@voip.test>;tag=77\r\n"
    b"Call-ID: a\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)


def request(start: str = "OPTIONS sip:voip.test SIP/2.0", drop: str = "", **lines: str) -> bytes:
    """A request with what RFC 3261 demands; `drop` leaves a header out, `lines` replaces or adds (`_` for `-`)."""
    method = start.split(" ")[0]
    headers = {
        "via": "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1",
        "from": "<sip:a@voip.test>;tag=1",
        "to": "<sip:b@voip.test>",
        "call_id": "c",
        "cseq": f"1 {method}",
    }
    headers.update(lines)
    headers.pop(drop, None)
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{start}\r\n{text}\r\n".encode("utf-8", "surrogateescape")
