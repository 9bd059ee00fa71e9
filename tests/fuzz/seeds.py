"""Where fuzzing begins: the messages and packets of the project's own capture and tests."""

from __future__ import annotations

import struct
from pathlib import Path

import dpkt

from tests.canaries import CLINIC
from tests.fuzz.targets import piece
from tests.packets import rtp, speech
from tests.unit.fastpath import test_certificate as dtls
from tests.unit.fastpath import test_handshake as tls
from tests.unit.fastpath import test_legacy as legacy
from tests.unit.fastpath import test_media as media
from tests.unit.fastpath import test_services as services
from tests.unit.fastpath import test_source as source
from tests.unit.fastpath import test_turn as turn
from tests.unit.fastpath import test_udptl as udptl
from tests.unit.fastpath.test_fragments import invite
from tests.unit.fastpath.test_tones import press
from tests.unit.fastpath.test_tunnels import WHOLE
from tests.unit.fastpath.test_websocket import CONVERSATION, OFFER
from tests.unit.sensor import test_attempts as attempts
from tests.unit.sensor import test_tls_certificates as certificates


def seeds() -> dict[str, list[bytes]]:
    """Return the seeds of each target."""
    with CLINIC.open("rb") as file:
        octets = [data for _, data in dpkt.pcap.Reader(file)]
    ethernets = [dpkt.ethernet.Ethernet(data) for data in octets]
    datagrams = [
        bytes(each.data.data.data)
        for each in ethernets
        if isinstance(each.data, dpkt.ip.IP) and isinstance(each.data.data, dpkt.udp.UDP)
    ]
    messages = [data for data in datagrams if b"SIP/2.0" in data[:400]]
    bodies = [data.partition(b"\r\n\r\n")[2] for data in messages if b"v=0" in data]
    whole = b"".join(messages[:6])
    packet = invite()
    return {
        "sip": messages[:24],
        "sdp": [offer + b"\0" + answer for offer, answer in zip(bodies[::2], bodies[1::2], strict=False)],
        "dialogues": [
            b"".join(piece(i, data) for i, data in enumerate(messages[at : at + 6])) for at in range(0, 24, 6)
        ],
        "tcp": [b"".join(piece(i & 1, whole[at : at + 700]) for i, at in enumerate(range(0, len(whole), 700)))],
        "tls": [
            b"".join(
                (
                    piece(0, tls.hello()),
                    piece(1, tls.answer() + tls.records(tls.message(11, tls.listed(*chain)))),
                    *(piece(side, tls.record(b"\1", tls.CHANGE) + tls.record(bytes(40))) for side in (0, 1)),
                )
            )
            for chain in ((), (dtls.certificate(300),), (bytes(90), bytes(90)))
        ],
        "dtls": [
            b"".join(
                (
                    piece(1, dtls.fragment(dtls.SRTP_HELLO, kind=2, sequence=1)),
                    *(piece(1, dtls.fragment(body, part)) for part in ((0, 200), (200, len(body)))),
                    *(piece(side, dtls.record(bytes(40), epoch=1)) for side in (0, 1)),
                )
            )
            for body in (dtls.listed(dtls.certificate(300)),)
        ],
        "turn": [
            b"".join(piece(0, wrap(octets)) for octets in turn.voice()[:8]) for wrap in (turn.padded, turn.indication)
        ],
        "lines": [
            b"".join(piece(who == "s", octets) for who, octets in said)
            for said in (
                services.smtp("Subject: x", 'Content-Type: audio/x-wav; name="m.wav"', login="AUTH PLAIN x"),
                [("c", services.get("/snom300.htm", "Authorization: Basic x")), ("s", services.answer(body=b"x"))],
                [("s", b"* OK x\r\n"), ("c", b"a1 LOGIN a b\r\n"), ("s", b"From: a\r\n")],
                [("s", b"220 x\r\n"), ("c", b"USER a\r\n"), ("c", b"RETR 0004f2aabbcc.cfg\r\n")],
                [("c", b"MSRP a SEND\r\nContent-Type: text/plain\r\n\r\nx\r\n-------a$\r\n")],
            )
        ],
        "legacy": [
            bytes([which]) + b"".join(piece(0, octets) for octets in said)
            for which, said in enumerate(
                (
                    [b"\x0e\x80\x46\x92" + legacy.OID_H225 + bytes(20)],
                    [legacy.CRCX],
                    [b"MEGACO/1 [192.0.2.10]:2944\nTransaction = 1 {}"],
                    [legacy.NEW, legacy.VOICE, legacy.MINI],
                )
            )
        ],
        "legacy-tcp": [
            piece(0, legacy.SETUP) + piece(0, legacy.tpkt(b"\x02\x70\x01" + legacy.OID_H245 + bytes(20))),
            piece(0, legacy.KEEPALIVE * 3) + piece(0, legacy.sccp(0x8A, bytes(60)) * 3),
        ],
        "services": [
            bytes([which]) + piece(0, octets)
            for which, octets in enumerate(
                (
                    services.dns("_sip._udp.example.org", 33),
                    services.tftp("SEP0200007700AA.cnf.xml"),
                    services.NTP,
                    services.snmp(1),
                )
            )
        ],
        "services-tcp": [
            piece(0, octets)
            for octets in (
                services.ldap_bind("x"),
                services.ldap_search("telephoneNumber"),
                services.create("rec\\1.wav"),
                b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01",
            )
        ],
        "certificate": [
            b"".join(piece(0, each.der) for each in (certificates.LEAF, certificates.ISSUER)),
            certificates.server(None).der,
        ],
        "attempts": [
            b"".join(piece(0, octets) for exchange in attempts.guesses(3) for octets in exchange[2:3]),
            b"".join(
                piece(0, octets)
                for _, _, asked, _ in attempts.registers("a", password="p", status=403, call="c")
                for octets in (asked, attempts.response(403, asked))
            ),
        ],
        "websocket": [
            b"".join(piece(0, CONVERSATION[at : at + size]) for at in range(len(OFFER), len(CONVERSATION), size))
            for size in (40, 1400)
        ],
        "fragments": [
            b"".join(
                piece(at + 1400 < len(packet), struct.pack(">H", at // 8) + packet[20 + at : 20 + at + 1400])
                for at in range(0, len(packet) - 20, 1400)
            )
        ],
        "frames": [
            *(b"".join(piece(0, data) for data in octets[at : at + 8]) for at in range(0, 80, 8)),
            *(piece(0, data) for data, _ in WHOLE),
        ],
        "media": [
            b"".join(piece(0, data) for data in talk)
            for talk in (
                [rtp(n, voice) for n, voice in enumerate(speech(8))],
                [rtp(1, b"x"), *(rtp(2 + n, key, timestamp=160, payload_type=101) for n, key in enumerate(press()))],
                [media.COMPOUND, media.GOODBYE, media.report(blocks=2), rtp(1, b"x")],
                [media.srtcp(index, "80") for index in range(1, 5)],
                [media.zrtp(kind) for kind in (b"Hello   ", b"Confirm1", b"Conf2ACK")],
                [media.stun(3), b"\x40\0\0\4abcd"],
            )
        ],
        "facsimile": [b"".join(piece(0, datagram) for datagram in udptl.CALL)],
        "capture": [
            source.pcap(),
            source.pcap(endian=">", nano=True),
            *(source.Pcapng(endian).file() for endian in "<>"),
            source.Pcapng().section()
            + source.Pcapng().interface(resolution=0x8A, offset_s=-1, snaplen=40)
            + source.Pcapng().simple(source.PACKETS[0])
            + source.Pcapng().obsolete(source.PACKETS[0]),
        ],
    }


def write(folder: Path) -> None:
    """Write the seeds of every target into folders of their own."""
    for target, texts in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            (folder / target / f"seed-{number}").write_bytes(text)
