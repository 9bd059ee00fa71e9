"""The services beside the phones: recognised by what they say, and what of it is told."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import AppSeen, Exposure, FlowEnded
from tests.packets import T0, End, Outcome, Packet, ethernet, observe, speech, tcp, udp
from tests.unit.fastpath.test_turn import interleaved, voice

CLIENT, SERVER = "192.0.2.10", "192.0.2.20"
CANARY = "canary-s3cret"

Shown = tuple[str, tuple[str, ...], bool]  # kind, secrets, whether telephones show in it


def datagrams(*payloads: bytes, port: int, answers: bool = False) -> list[Packet]:
    """Datagrams to a port; every second one is an answer."""
    ends = End(CLIENT, 40000), End(SERVER, port)
    return [
        (T0 + n * MS, ethernet(udp(each, *(ends[::-1] if answers and n % 2 else ends))))
        for n, each in enumerate(payloads)
    ]


def talk(*said: tuple[str, bytes], port: int = 80, size: int = 1400) -> list[Packet]:
    """A TCP conversation: "c" is the client, "s" the server."""
    ends = {"c": (End(CLIENT, 40000), End(SERVER, port)), "s": (End(SERVER, port), End(CLIENT, 40000))}
    seq = {"c": 1, "s": 1}
    packets: list[Packet] = []
    for who, octets in said:
        for at in range(0, len(octets), size):
            piece = octets[at : at + size]
            packets.append((T0 + len(packets) * MS, ethernet(tcp(piece, *ends[who], seq=seq[who]))))
            seq[who] += len(piece)
    return packets


def shown(outcome: Outcome) -> list[Shown]:
    """What was said of it first, a line each."""
    found = [record for record in outcome.records if isinstance(record, Exposure) and record.first]
    return [(each.kind, each.detail, each.by_content) for each in found]


def app(outcome: Outcome) -> str:
    (flow,) = outcome.of(FlowEnded)
    assert CANARY not in repr(outcome.records)
    return flow.app


# Datagrams


def tftp(name: str, opcode: int = 1, mode: str = "octet") -> bytes:
    return struct.pack(">H", opcode) + name.encode() + b"\0" + mode.encode() + b"\0"


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2)
    return bytes([tag]) + length + body


def snmp(version: int, community: str = CANARY) -> bytes:
    pdu = ber(0xA0, ber(2, b"\1"), ber(2, b"\0"), ber(2, b"\0"), ber(0x30))
    second = ber(4, community.encode()) if version < 3 else ber(0x30, ber(2, b"\1"))
    return ber(0x30, ber(2, bytes([version])), second, pdu)


def dns(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


NTP = bytes([0x23, 0, 6, 0xEC]) + bytes(44)
PHONE_FILES = [
    "SEP0200007700AA.cnf.xml", "020000770011.cfg", "/prov/0004f2-aabbcc.cfg".replace("-", ""), "snom300.htm",
    "y000000000028.cfg", "spa504G.cfg", "CTLSEP0200007700AA.tlv", "cfg000b82001122.xml", "46xxsettings.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", PHONE_FILES)
def test_file_of_a_telephone_by_tftp_is_its_configuration(name: str) -> None:
    outcome = observe(datagrams(tftp(name), port=69))
    assert (app(outcome), shown(outcome)) == ("tftp", [("provisioning", ("configuration",), True)])


def test_other_file_by_tftp_matters_for_voice_hosts_only() -> None:
    outcome = observe(datagrams(tftp(f"{CANARY}.bin"), port=69))
    assert (app(outcome), shown(outcome)) == ("tftp", [("provisioning", ("configuration",), False)])


@pytest.mark.parametrize("version", [0, 1])
def test_snmp_community_is_shown_and_never_said(version: int) -> None:
    outcome = observe(datagrams(snmp(version), port=161))
    assert (app(outcome), shown(outcome)) == ("snmp", [("management", ("community",), False)])


def test_snmp_v3_is_named_and_shows_nothing() -> None:
    outcome = observe(datagrams(snmp(3), port=161))
    assert (app(outcome), shown(outcome)) == ("snmp", [])


@pytest.mark.parametrize(
    ("octets", "port", "name", "by_content"),
    [
        (dns("pbx.example.org"), 53, "dns", False),
        (dns("_sip._udp.example.org", 33), 53, "dns", True),
        (dns("_sips._tcp.example.org", 33), 53, "dns", True),
        (NTP, 123, "ntp", False),
    ],
)
def test_names_and_time_are_said(octets: bytes, port: int, name: str, *, by_content: bool) -> None:
    outcome = observe(datagrams(octets, port=port))
    assert (app(outcome), shown(outcome)) == (name, [("name-time", (), by_content)])


@pytest.mark.parametrize(
    ("octets", "port", "name"),
    [
        (b"\1\0\0\0" + bytes(144), 51820, "wireguard"),
        (b"\2\0\0\0" + bytes(88), 51820, "wireguard"),
        (bytes(range(1, 17)) + b"\x21\x20\x22\x08" + bytes(4) + (28).to_bytes(4), 500, "ipsec"),
        (bytes(4) + bytes(range(1, 17)) + b"\x21\x20\x22\x08" + bytes(4) + (28).to_bytes(4), 4500, "ipsec"),
        (b"\x38" + bytes(13), 1194, "openvpn"),
    ],
)
def test_tunnels_are_named_and_no_more(octets: bytes, port: int, name: str) -> None:
    outcome = observe(datagrams(octets, port=port))
    assert (app(outcome), shown(outcome)) == (name, [])


@pytest.mark.parametrize(
    ("octets", "port"),
    [
        (b"\0\1name", 69),
        (b"\0\1\0octet\0", 69),
        (b"\0\1na\x01me\0octet\0", 69),
        (b"\0\1name\0binary\0", 69),
        (b"\0\3\0\1data data data", 69),
        (b"\x30\x82\xff\xff" + bytes(40), 161),
        (b"\x30\x84\xff\xff\xff\xff" + bytes(40), 161),
        (b"\x30\x0a\2\1\0\4\xff" + bytes(40), 161),
        (dns("x" * 60)[:-3], 53),
        (struct.pack(">HHHHHH", 7, 0x0100, 9, 0, 0, 0) + bytes(40), 53),
        (struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c" * 20, 53),
        (b"\x23" + bytes(20), 123),
        (b"\1\0\0\0" + bytes(143), 51820),
        (b"\1\0\0\1" + bytes(144), 51820),
    ],
)
def test_datagram_that_only_looks_like_one_is_none(octets: bytes, port: int) -> None:
    outcome = observe(datagrams(octets, port=port))
    assert (app(outcome), shown(outcome)) == ("other", [])


def test_tunnel_on_the_port_of_3cx_is_named_when_it_lasts() -> None:
    few = observe(datagrams(*[b"\xff\xfe" + bytes(40)] * 18, port=5090, answers=True))
    many = observe(datagrams(*[b"\xff\xfe" + bytes(40)] * 24, port=5090, answers=True))
    one_way = observe(datagrams(*[b"\xff\xfe" + bytes(40)] * 40, port=5090))
    assert [app(each) for each in (few, many, one_way)] == ["other", "3cx-tunnel", "other"]
    assert shown(many) == [("tunnel", (), False)]
    assert many.flow.protection == "undetermined"


# HTTP


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: h", *headers, "", ""]).encode()


def answer(*headers: str, body: bytes = b"") -> bytes:
    lines = ["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize("size", [1, 7, 1400])
@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (get("/snom300.htm"), [("provisioning", ("configuration",), True)]),
        (
            get("/0004f2aabbcc.cfg?x=1", f"Authorization: Basic {CANARY}"),
            [("provisioning", ("configuration",), True), ("credentials", ("basic",), True)],
        ),
        (get("/x", "User-Agent: Yealink SIP-T46", "authorization: Digest a"), [("credentials", ("digest",), True)]),
        (get("/x", f"Authorization: Bearer {CANARY}"), [("credentials", ("bearer",), False)]),
        (get("/admin", "User-Agent: Mozilla/5.0 (X11)"), [("management", (), False)]),
        (get("/calls/1.wav"), [("recording", ("audio",), False)]),
        (get("/020000770011.cfg", "User-Agent: snom300-SIP 8.7"), [("provisioning", ("configuration",), True)]),
        (get("/radar/202611221345.txt"), []),
        (get("/space.xml"), []),
        (get("/index.html"), []),
    ],
)
def test_http_request_shows(request_: bytes, expected: list[Shown], size: int) -> None:
    outcome = observe(talk(("c", get("/first") + request_), ("s", answer() + answer()), size=size))
    # Of a conversation in single octets the first is not looked at for long enough.
    assert app(outcome) == ("http" if size > 1 else "other")
    assert shown(outcome) == (expected if size > 1 else [])


def test_audio_in_an_answer_is_a_recording_whatever_its_name() -> None:
    outcome = observe(talk(("c", get("/get?id=1")), ("s", answer("Content-Type: audio/x-wav", body=bytes(500)))))
    assert shown(outcome) == [("recording", ("audio",), False)]


def test_bodies_are_passed_over_and_the_next_request_is_read() -> None:
    post = b"POST /x HTTP/1.1\r\nContent-Length: 3000\r\n\r\n" + b"GET /snom1.htm HTTP/1.1\r\n\r\n".ljust(3000, b"x")
    outcome = observe(talk(("c", post + get("/spa1.cfg"))))
    assert shown(outcome) == [("provisioning", ("configuration",), True)]


def test_large_download_is_not_kept() -> None:
    body = bytes(1 << 20)
    outcome = observe(talk(("c", get("/large")), ("s", answer(body=body))))
    assert outcome.counters["reassembly_bytes"] < 1 << 14


# Mail and files


def lines(*text: str) -> bytes:
    return "".join(f"{line}\r\n" for line in text).encode()


def smtp(*mail: str, login: str = "") -> list[tuple[str, bytes]]:
    said = [("s", lines("220 mail ESMTP")), ("c", lines("EHLO pbx")), ("s", lines("250-mail", "250 AUTH PLAIN"))]
    if login:
        said += [("c", lines(login)), ("s", lines("235 ok"))]
    return [
        *said,
        ("c", lines("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")),
        ("s", lines("354")),
        ("c", lines(*mail, ".")),
    ]


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (("Subject: hello", "", CANARY), [("voicemail", ("mail",), False)]),
        (("Subject: New voicemail from 100",), [("voicemail", ("audio",), True)]),
        (("Subject: x", 'Content-Type: audio/x-wav; name="m.wav"'), [("voicemail", ("audio",), True)]),
        (("Content-Type: multipart/voice-message; version=2.0",), [("voicemail", ("audio",), True)]),
        (('Content-Disposition: attachment; filename="msg0001.wav"',), [("voicemail", ("audio",), True)]),
    ],
)
def test_mail_by_smtp_shows(mail: tuple[str, ...], expected: list[Shown]) -> None:
    outcome = observe(talk(*smtp(*mail), port=25))
    assert (app(outcome), shown(outcome)) == ("smtp", expected)


def test_audio_is_said_after_a_password_was() -> None:
    outcome = observe(talk(*smtp("Content-Type: audio/wav", login=f"AUTH PLAIN {CANARY}"), port=25))
    assert shown(outcome) == [("voicemail", ("password",), False), ("voicemail", ("audio",), True)]


@pytest.mark.parametrize(
    ("said", "name", "port"),
    [
        ([("s", "220 x"), ("c", "EHLO a"), ("s", "250 STARTTLS"), ("c", "STARTTLS"), ("s", "220 go")], "smtp", 25),
        ([("s", "* OK x"), ("c", "a1 STARTTLS"), ("s", "a1 OK")], "imap", 143),
        ([("s", "+OK x"), ("c", "STLS"), ("s", "+OK go")], "pop3", 110),
        ([("s", "220 x"), ("c", "AUTH TLS"), ("s", "234 go")], "ftp", 21),
    ],
)
def test_session_that_turns_to_tls_shows_nothing_more(said: list[tuple[str, str]], name: str, port: int) -> None:
    hello = b"\x16\x03\x01\0\x30\1\0\0\x2c\3\3" + bytes(32) + b"\0\0\2\xc0\x30\1\0\0\0"
    packets = talk(*((who, lines(text)) for who, text in said), ("c", hello), port=port)
    outcome = observe(packets)
    assert app(outcome) == "tls"
    assert [record.app for record in outcome.of(AppSeen)] == [name, "tls"]
    assert shown(outcome) == []


@pytest.mark.parametrize(
    ("said", "name", "expected"),
    [
        (
            [("s", "* OK x"), ("c", f"a1 LOGIN me {CANARY}"), ("s", "Content-Type: audio/wav")],
            "imap",
            [("voicemail", ("password",), False), ("voicemail", ("audio",), True)],
        ),
        (
            [("s", "+OK x"), ("c", "USER me"), ("s", "+OK"), ("c", f"PASS {CANARY}"), ("s", "From: a")],
            "pop3",
            [("voicemail", ("password",), False)],
        ),
        (
            [("s", "220 x"), ("c", "USER me"), ("s", "331"), ("c", "RETR /cfg/0004f2aabbcc.cfg")],
            "ftp",
            [("provisioning", ("configuration",), True)],
        ),
        ([("s", "220 x"), ("c", "USER me"), ("c", "STOR /rec/1.wav")], "ftp", [("recording", ("audio",), False)]),
    ],
)
def test_mailboxes_and_files_show(said: list[tuple[str, str]], name: str, expected: list[Shown]) -> None:
    outcome = observe(talk(*((who, lines(text)) for who, text in said), port=1))
    assert (app(outcome), shown(outcome)) == (name, expected)


def test_msrp_text_is_shown_and_its_report_is_not() -> None:
    head = ["MSRP a1 SEND", "To-Path: msrp://b", "From-Path: msrp://a"]
    sent = lines(*head, "Content-Type: text/plain", "", CANARY, "-------a1$")
    outcome = observe(talk(("c", sent), ("s", lines("MSRP a1 200 OK", "To-Path: msrp://a", "-------a1$")), port=2855))
    assert (app(outcome), shown(outcome)) == ("msrp", [("text", (), True)])
    binary = lines(*head, "Content-Type: application/octet-stream", "", "x", "-------a1$")
    assert shown(observe(talk(("c", binary), port=2855))) == []


# Directories, Telnet, SMB


def ldap_search(attribute: str) -> bytes:
    body = [ber(4, b"dc=x"), ber(10, b"\2"), ber(10, b"\0"), ber(2, b"\0"), ber(2, b"\0"), ber(1, b"\0")]
    return ber(0x30, ber(2, b"\2"), ber(0x63, *body, ber(0x87, b"cn"), ber(0x30, ber(4, attribute.encode()))))


def ldap_bind(password: str, tag: int = 0x80) -> bytes:
    return ber(0x30, ber(2, b"\1"), ber(0x60, ber(2, b"\3"), ber(4, b"cn=a"), ber(tag, password.encode())))


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (ldap_bind(CANARY), [("directory", ("bind",), False)]),
        (ldap_bind(""), []),
        (ldap_bind("GSSAPI", 0xA3), []),
        (ldap_search("telephoneNumber"), [("directory", ("entries",), True)]),
        (ldap_search("mail"), [("directory", ("entries",), False)]),
    ],
)
def test_ldap_shows(octets: bytes, expected: list[Shown]) -> None:
    outcome = observe(talk(("c", octets), port=389))
    assert (app(outcome), shown(outcome)) == ("ldap", expected)


def test_telnet_is_known_by_its_options() -> None:
    outcome = observe(talk(("s", b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01"), ("c", b"\xff\xfb\x18\xff\xfc\x20"), port=23))
    assert (app(outcome), shown(outcome)) == ("telnet", [("management", (), False)])


def smb2(command: int, body: bytes = b"", magic: bytes = b"\xfeSMB") -> bytes:
    head = magic + struct.pack("<HHIHHIIQ", 64, 0, 0, command, 0, 0, 0, 1) + bytes(32)
    return (len(head) + len(body)).to_bytes(4) + head + body


def create(name: str) -> bytes:
    octets = name.encode("utf-16-le")
    return smb2(5, struct.pack("<H42sHHII", 57, bytes(42), 120, len(octets), 0, 0) + octets + bytes(2))


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (create("rec\\1.wav"), [("recording", ("audio",), False)]),
        (create("report.docx"), []),
        (smb2(0), []),
        (smb2(5, bytes(56), b"\xfdSMB"), []),  # encrypted
    ],
)
def test_smb_shows_audio_that_is_opened_in_clear(octets: bytes, expected: list[Shown]) -> None:
    outcome = observe(talk(("c", octets), port=445))
    assert (app(outcome), shown(outcome)) == ("smb", expected)


# RTSP


def test_media_between_rtsp_messages_is_judged() -> None:
    setup = lines("SETUP rtsp://h/1 RTSP/1.0", "CSeq: 1", "")
    said: list[tuple[str, bytes]] = [("c", setup), ("s", lines("RTSP/1.0 200 OK", "CSeq: 1", ""))]
    frames = [interleaved(each) for each in voice(speech(100))]
    said += [("s", b"".join(frames[:50])), ("s", lines("RTSP/1.0 200 OK", "CSeq: 2", "")), ("s", b"".join(frames[50:]))]
    (flow,) = observe(talk(*said, port=554)).of(FlowEnded)
    assert (flow.app, flow.protection) == ("rtp", "clear")
    assert [stream.packets for stream in flow.streams] == [100]


# Hostile octets


@given(st.lists(st.tuples(st.sampled_from("cs"), st.binary(max_size=200)), max_size=12), st.integers(1, 64))
def test_any_conversation_does_no_harm(said: list[tuple[str, bytes]], size: int) -> None:
    for opening in (b"220 x\r\n", b"GET / HTTP/1.1\r\n", b"* OK\r\n", b"MSRP a SEND\r\n", b"\x30\x20\2\1\1\x60\x1b"):
        observe(talk(("s", opening), *said, size=size))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.sampled_from([53, 69, 123, 161, 500, 1194, 5090]))
def test_any_datagram_does_no_harm(payloads: list[bytes], port: int) -> None:
    observe(datagrams(*payloads, port=port))


def test_line_without_an_end_is_bounded() -> None:
    outcome = observe(talk(("c", b"GET /" + b"a" * 200_000)))
    assert outcome.counters["reassembly_bytes"] < 1 << 14


def test_what_web_traffic_loses_is_not_what_the_sensor_lost() -> None:
    packets = talk(("c", get("/large")), ("s", answer(body=bytes(60_000))))
    del packets[5:10]
    counters = observe(packets).counters
    assert counters["reassembly_lost_bytes"] == 0
    assert counters["reassembly_passed_bytes"] > 0
