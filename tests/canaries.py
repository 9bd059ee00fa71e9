"""A call that carries what must never leave packet memory, each piece spelt so that it is found anywhere."""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import dpkt

from deploy.demo import wire
from deploy.demo.wire import MS, Endpoint, Frame, Host

CLINIC = Path(__file__).parents[1] / "deploy" / "demo" / "clinic.pcap"
START_NS = 1_770_000_000_000_000_000
PHONE, PBX = Host("phone", "10.33.1.9"), Host("pbx", "10.33.0.9")
SIP = Endpoint(PHONE, 5060), Endpoint(PBX, 5060)
RTP = Endpoint(PHONE, 16000), Endpoint(PBX, 17000)
EVENT = 101  # dynamic payload type of telephone-event, RFC 4733
CUTS = (1, 3, 7)  # eighths at which messages are also sent cut off, since error paths talk most

NUMBER = "15550199734"
DIALLED = "5550188412"
NAME = "Canaria Finch"
DIGITS = "9173648250"
KEY = base64.b64encode(b"canary-key-and-salt-30-octets!").decode()
RESPONSE = "c0a1b2c3d4e5f60718293a4b5c6d7e8f"
TEXT = "canary: the results are back"
CALL_ID = "canary-call-4711@phone.example.org"
FINGERPRINTED = base64.b64decode(KEY).hex()

SECRETS = (NUMBER, DIALLED, NAME, DIGITS, KEY, KEY.rstrip("="), FINGERPRINTED, RESPONSE, TEXT, CALL_ID)

HEAD = f"""\
Via: SIP/2.0/UDP {PHONE.ip}:5060;branch=z9hG4bK74bf9
From: "{NAME}" <sip:+{NUMBER}@example.org>;tag=9fxced76sl
To: <sip:{DIALLED}@example.org>
Call-ID: {CALL_ID}
Contact: <sip:+{NUMBER}@{PHONE.ip}>
P-Asserted-Identity: "{NAME}" <tel:+{NUMBER}>
User-Agent: Bria 6 +1 (555) 019-9734 {NAME}
"""


def message(first: str, head: str, kind: str = "", body: str = "") -> bytes:
    """A SIP message with CRLF line ends."""
    content = body.replace("\n", "\r\n")
    content_type = f"Content-Type: {kind}\n" if kind else ""
    lines = f"{first}\n{head}{content_type}Content-Length: {len(content)}\n\n"
    return (lines.replace("\n", "\r\n") + content).encode()


def session(host: Host, port: int) -> str:
    """An SDP body with a key in it."""
    return (
        f"v=0\no={NUMBER} 1 1 IN IP4 {host.ip}\ns={NAME}\nc=IN IP4 {host.ip}\nt=0 0\n"
        f"m=audio {port} RTP/SAVP 0 {EVENT}\na=rtpmap:{EVENT} telephone-event/8000\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n"
    )


def signalling() -> Iterator[tuple[bool, bytes]]:
    """The messages, each with True when the phone sends it."""
    answered = HEAD.replace("example.org>\nCall", "example.org>;tag=314159\nCall")
    answered = answered.replace("User-Agent: Bria 6 +1 (555) 019-9734", "Server: Asterisk PBX 18.10 155 5019 9734")
    target = f"sip:{DIALLED}@example.org SIP/2.0"
    credentials = (
        f'Authorization: Digest username="{NUMBER}", realm="example.org", nonce="1", uri="sip:example.org", '
        f'response="{RESPONSE}"\n'
    )
    yield True, message("REGISTER sip:example.org SIP/2.0", f"{HEAD}{credentials}CSeq: 1 REGISTER\n")
    offer, answer = session(PHONE, RTP[0].port), session(PBX, RTP[1].port)
    yield (
        True,
        message(f"INVITE sip:{DIALLED}@example.org SIP/2.0", f"{HEAD}CSeq: 1 INVITE\n", "application/sdp", offer),
    )
    yield False, message("SIP/2.0 200 OK", f"{answered}CSeq: 1 INVITE\n", "application/sdp", answer)
    yield True, message(f"ACK sip:{DIALLED}@example.org SIP/2.0", f"{answered}CSeq: 1 ACK\n")
    for n, digit in enumerate(DIGITS, start=2):
        head = f"{answered}CSeq: {n} INFO\n"
        yield (
            True,
            message(f"INFO {target}", head, "application/dtmf-relay", f"Signal={digit}\n"),
        )
    head = f"{HEAD}CSeq: 20 MESSAGE\n"
    yield True, message(f"MESSAGE {target}", head, "text/plain", f"{TEXT} {DIGITS}")


def speech() -> list[bytes]:
    """PCMU payloads of the demo's reception."""
    payloads: list[bytes] = []
    with CLINIC.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(frame).data
            if isinstance(ip, dpkt.ip.IP) and isinstance(ip.data, dpkt.udp.UDP) and ip.data.sport == 16384:
                payloads.append(bytes(ip.data.data)[12:])
    return payloads


def media() -> list[tuple[int, bytes]]:
    """RTP payloads with their types: speech, and the digits as events (RFC 4733 section 2.3) within it."""
    packets = [(0, payload) for payload in speech()]
    for n, digit in enumerate(DIGITS):
        at = 20 + 10 * n
        packets[at:at] = [(EVENT, struct.pack("!BBH", int(digit), 0x8A, 800))] * 3
    return packets


def frames() -> list[Frame]:
    """The frames of the call in clear, in the order of time."""
    made: list[Frame] = []
    now = START_NS
    for from_phone, text in signalling():
        ends = SIP if from_phone else SIP[::-1]
        for eighths in (8, *CUTS):
            now += 5 * MS
            made.append((now, wire.udp(*ends, text[: len(text) * eighths // 8])))
    for n, (payload_type, payload) in enumerate(media()):
        now += 20 * MS
        header = struct.pack("!BBHII", 0x80, payload_type, n, 160 * n, 0x5EED)
        made.append((now, wire.udp(*RTP, header + payload)))
    bye = message(f"BYE sip:{DIALLED}@example.org SIP/2.0", f"{HEAD}CSeq: 30 BYE\n")
    made.append((now + MS, wire.udp(*SIP, bye)))
    return made


def leaks(text: str) -> list[str]:
    """The secrets that stand in a text, case and punctuation between digits aside."""
    plain = text.lower()
    bare = "".join(character for character in plain if character.isalnum())
    return [
        secret
        for secret in SECRETS
        if secret.lower() in plain or "".join(character for character in secret.lower() if character.isalnum()) in bare
    ]
