"""Older call signalling by its structure, and the media that it names (RFC 3435, RFC 5456, H.225.0, H.245, H.248.1)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import Exposure, FlowEnded, MediaNamed
from sensor.analysis import Analysis
from sensor.config.schema import Policy
from tests.packets import T0, End, Outcome, Packet, ethernet, observe, speech, stream, tcp, udp
from tests.unit.fastpath.test_services import CLIENT, SERVER, datagrams, talk
from tests.unit.sensor.traffic import Heard

PHONE, GATEWAY = bytes([192, 0, 2, 10]), bytes([192, 0, 2, 20])


def kinds(outcome: Outcome) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.kind, each.detail) for each in outcome.records if isinstance(each, Exposure) and each.first]


def named(outcome: Outcome) -> list[tuple[str, int]]:
    return [(each.address, each.port) for each in outcome.records if isinstance(each, MediaNamed)]


def flow(outcome: Outcome) -> tuple[str, str]:
    (only,) = outcome.of(FlowEnded)
    return only.app, only.protection


# SCCP


def sccp(kind: int, body: bytes = b"", version: int = 0) -> bytes:
    return struct.pack("<III", 4 + len(body), version, kind) + body


KEEPALIVE = sccp(0)


def test_sccp_at_its_port_is_known_by_one_message() -> None:
    outcome = observe(talk(("c", KEEPALIVE), ("s", sccp(0x100)), port=2000))
    assert (flow(outcome), kinds(outcome)) == (("sccp", "clear"), [("legacy", ())])


def test_sccp_elsewhere_needs_three_messages_that_fill_a_segment() -> None:
    assert flow(observe(talk(("c", KEEPALIVE * 2), port=4000)))[0] == "other"
    assert flow(observe(talk(("c", KEEPALIVE * 3), port=4000)))[0] == "sccp"


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack("<III", 3, 0, 0) + bytes(4),
        struct.pack("<III", 400, 0, 0) + bytes(4),
        struct.pack("<III", 8, 99, 0) + bytes(4),
        struct.pack("<III", 8, 0, 0x9999) + bytes(4),
        KEEPALIVE + b"x",
    ],
)
def test_octets_at_the_port_of_sccp_are_not_enough(octets: bytes) -> None:
    assert flow(observe(talk(("c", octets), port=2000)))[0] == "other"


@pytest.mark.parametrize(
    "message",
    [
        sccp(0x8A, struct.pack("<II4sI", 1, 1, PHONE, 24576) + bytes(40)),
        sccp(0x8A, struct.pack("<III16sI", 1, 1, 0, PHONE, 24576) + bytes(40), version=20),
        sccp(0x22, struct.pack("<I4sII", 0, PHONE, 24576, 1)),
        sccp(0x22, struct.pack("<II16sII", 0, 0, PHONE, 24576, 1), version=20),
    ],
    ids=["start-media", "start-media-17", "receive-ack", "receive-ack-17"],
)
def test_media_that_sccp_opens_are_named(message: bytes) -> None:
    assert named(observe(talk(("s", message), port=2000))) == [("192.0.2.10", 24576)]


# MGCP, Megaco

SDP = "v=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 24576 RTP/AVP 0\r\n"
CRCX = f"CRCX 1204 aaln/1@gw MGCP 1.0\r\nC: A3C47F21456789F0\r\nM: recvonly\r\n\r\n{SDP}".encode()


@pytest.mark.parametrize("verb", ["EPCF", "CRCX", "MDCX", "DLCX", "RQNT", "NTFY", "AUEP", "AUCX", "RSIP"])
def test_mgcp_command_is_known_on_any_port(verb: str) -> None:
    outcome = observe(datagrams(f"{verb} 1 a@b MGCP 1.0\r\n".encode(), port=9999))
    assert (flow(outcome), kinds(outcome)) == (("mgcp", "clear"), [("legacy", ())])


def test_mgcp_response_is_known_at_its_port_or_behind_a_command() -> None:
    response = b"200 1204 OK\r\nI: FDE234C8\r\n"
    assert flow(observe(datagrams(response, port=2427)))[0] == "mgcp"
    assert flow(observe(datagrams(response, port=9999)))[0] == "other"
    assert flow(observe(datagrams(CRCX, response, port=9999, answers=True)))[0] == "mgcp"


def test_media_in_the_sdp_of_mgcp_are_named() -> None:
    assert named(observe(datagrams(CRCX, port=2427))) == [("192.0.2.10", 24576)]


@pytest.mark.parametrize(
    "text", [b"CRCX 1204 a@b", b"CRCX x a@b MGCP 1.0\r\n", b"HELO 1 a@b MGCP 1.0\r\n", b"20 1 x", b"999"]
)
def test_text_that_is_no_mgcp_is_none(text: bytes) -> None:
    assert flow(observe(datagrams(text, port=2727)))[0] == "other"


def test_srtp_keys_in_the_sdp_of_mgcp_are_shown_and_never_said() -> None:
    keyed = CRCX + b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:canaryCANARYcanaryCANARYcanaryCANARYcana\r\n"
    outcome = observe(datagrams(keyed, port=2427))
    assert kinds(outcome) == [("legacy", ()), ("keys", ())]
    assert [record.keys for record in outcome.records if isinstance(record, MediaNamed)] == [True]
    assert "canary" not in repr(outcome.records).lower()


@pytest.mark.parametrize("start", [b"MEGACO/1 [192.0.2.10]:2944\nTransaction = 1 {}", b"!/1 <gw1>\nT=1{C=-{}}"])
def test_megaco_text_is_known(start: bytes) -> None:
    outcome = observe(datagrams(start, port=2944))
    assert (flow(outcome), kinds(outcome)) == (("megaco", "clear"), [("legacy", ())])


@pytest.mark.parametrize("start", [b"MEGACO is big", b"!/x [a]", b"!/1", b"!/1         "])
def test_text_that_is_no_megaco_is_none(start: bytes) -> None:
    assert flow(observe(datagrams(start, port=2944)))[0] == "other"


# H.323

OID_H225, OID_H245 = b"\x06\x00\x08\x91\x4a\x00\x04", b"\x06\x00\x08\x81\x75\x00\x07"


def tpkt(body: bytes) -> bytes:
    return b"\x03\x00" + (4 + len(body)).to_bytes(2) + body


def q931(kind: int, user: bytes) -> bytes:
    return b"\x08\x02\x12\x34" + bytes([kind]) + b"\x04\x03\x80\x90\xa5\x7e" + len(user).to_bytes(2) + user


SETUP = tpkt(q931(5, b"\x05\x20\xa8" + OID_H225 + b"\0" + GATEWAY + (1720).to_bytes(2) + PHONE + (24576).to_bytes(2)))


@pytest.mark.parametrize("port", [1720, 9999])
def test_h225_setup_is_known_and_its_addresses_are_named(port: int) -> None:
    outcome = observe(talk(("c", SETUP), port=port))
    assert (flow(outcome), kinds(outcome)) == (("h323", "clear"), [("legacy", ())])
    assert named(outcome) == [("192.0.2.20", 1720), ("192.0.2.10", 24576)]


def test_h245_is_known_by_its_identifier_and_the_next_message_names_media() -> None:
    first = tpkt(b"\x02\x70\x01" + OID_H245 + bytes(20))
    outcome = observe(talk(("c", first), port=1232))
    assert flow(outcome) == ("h323", "clear")


def test_ras_is_known_at_its_port() -> None:
    assert flow(observe(datagrams(b"\x0e\x80\x46\x92" + OID_H225 + bytes(30), port=1719))) == ("h323", "clear")
    assert flow(observe(datagrams(b"\x0e\x80\x46\x92" + OID_H225 + bytes(30), port=1799)))[0] == "other"


@pytest.mark.parametrize(
    "octets",
    [
        tpkt(b"\x0e\xe0\0\0\0\0\0Cookie: mstshash=user\r\n"),  # the Remote Desktop Protocol begins so
        tpkt(b"\x02\xf0\x80" + bytes(40)),
        tpkt(q931(0x99, b"\x05\x20")),
        tpkt(b"\x08\x02\x12\x34\x05\x04\xff"),
        tpkt(q931(5, b"\x99\x20" + OID_H225)),
    ],
)
def test_other_tpkt_is_no_h323(octets: bytes) -> None:
    assert flow(observe(talk(("c", octets), port=1720)))[0] == "other"


# IAX2


def full(kind: int, subclass: int, body: bytes = b"", call: int = 4, peer: int = 0x17) -> bytes:
    return struct.pack(">HHIBBBB", 0x8000 | call, peer, 100, 0, 0, kind, subclass) + body


def element(number: int, body: bytes = b"") -> bytes:
    return bytes([number, len(body)]) + body


NEW = full(6, 1, element(0x0B, b"\0\2"), peer=0)
VOICE = full(2, 4, bytes(160))
MINI = struct.pack(">HH", 4, 200) + bytes(160)


def iax(*frames: bytes) -> Outcome:
    return observe(datagrams(*frames, port=4569))


def test_iax2_call_is_signalling_and_voice_in_clear() -> None:
    outcome = iax(NEW, full(6, 7), VOICE, *[MINI] * 5)
    assert flow(outcome) == ("iax2", "clear")
    assert kinds(outcome) == [("legacy", ()), ("media", ())]


def test_iax2_whose_encryption_was_offered_is_not_called_clear() -> None:
    outcome = iax(NEW, full(6, 8, element(0x2B, b"\0\1")), *[MINI] * 5)
    assert flow(outcome) == ("iax2", "undetermined")
    assert kinds(outcome) == [("legacy", ())]


@pytest.mark.parametrize(
    ("frame", "secret"),
    [
        (full(6, 0x0D, element(0x10, b"0123")), "digest"),
        (full(6, 0x09, element(0x10, b"0123")), "digest"),
        (full(6, 0x0D, element(0x07, b"pw-canary")), "password"),
    ],
)
def test_iax2_credentials_are_shown_and_never_said(frame: bytes, secret: str) -> None:
    outcome = iax(frame)
    assert kinds(outcome) == [("legacy", ()), ("credentials", (secret,))]
    assert "canary" not in repr(outcome.records)


@pytest.mark.parametrize(
    "frame",
    [full(6, 1, b"\x0b\x09\0"), full(6, 0x99), full(0x20, 1), VOICE, MINI, full(6, 1)[:11]],
    ids=["element-too-long", "subclass", "type", "voice-first", "mini-first", "short"],
)
def test_frame_that_is_no_beginning_of_iax2_is_none(frame: bytes) -> None:
    assert flow(iax(frame, frame))[0] == "other"


def test_media_on_the_port_of_iax2_are_media() -> None:
    packets = stream(speech(100), src=End(CLIENT, 4569), dst=End(SERVER, 30000))
    assert flow(observe(packets)) == ("rtp", "clear")


# What the sensor makes of it


def leg_of(packets: list[Packet]) -> tuple[str, str, str]:
    heard = Heard()
    analysis = Analysis(Policy(), [heard])
    for record in observe(packets, every_message=False).records:
        analysis.feed(record)
    analysis.close()
    (leg,) = heard.legs
    return leg.signalling, leg.signalled, leg.observed


def test_media_that_older_signalling_named_are_a_leg_that_was_signalled_in_clear() -> None:
    media = stream(speech(100), start_ns=T0 + 1000 * MS, src=End(CLIENT, 24576), dst=End(SERVER, 30000))
    assert leg_of(datagrams(CRCX, port=2427) + media) == ("clear", "clear", "clear")
    late: list[Packet] = [(each[0] + 20_000 * MS, each[1]) for each in datagrams(CRCX, port=2427)]
    assert leg_of(media + late) == ("clear", "clear", "clear")
    assert leg_of(media) == ("unknown", "unknown", "clear")
    keyed = datagrams(CRCX + b"a=crypto:1 X inline:Y\r\n", port=2427)
    assert leg_of(keyed + media) == ("clear", "srtp-sdes", "clear")


@given(st.binary(max_size=300), st.sampled_from([1718, 1719, 2427, 2944, 4569]))
def test_any_datagram_does_no_harm(octets: bytes, port: int) -> None:
    observe(datagrams(octets, NEW, octets, CRCX, octets, port=port))


@given(st.binary(max_size=300), st.sampled_from([1720, 2000, 2944]))
def test_any_segment_does_no_harm(octets: bytes, port: int) -> None:
    for first in (SETUP, KEEPALIVE, b"\x03\x00\x00\x40", b""):
        observe(talk(("c", first + octets), ("s", octets), port=port))


def test_packet_cut_by_the_snap_length_is_not_read() -> None:
    whole = ethernet(udp(CRCX, End(CLIENT, 40000), End(SERVER, 2427)))
    assert flow(observe([(T0, whole[:60], len(whole))]))[0] == "other"
    cut = ethernet(tcp(KEEPALIVE * 3, End(CLIENT, 40000), End(SERVER, 2000)))
    assert flow(observe([(T0, cut[:-7], len(cut))]))[0] == "other"
