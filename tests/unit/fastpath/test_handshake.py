"""How TLS handshakes end, by what real ones of OpenSSL and built ones look like (RFC 8446, RFC 5246)."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from deploy.demo.wire import MS
from fastpath.records import FlowEnded, Handshake
from tests.packets import T0, End, Outcome, Packet, ethernet, observe, tcp
from tests.unit.fastpath.pki import Pki

CLIENT, SERVER = End("192.0.2.10", 40000), End("198.51.100.20", 5061)
SYN, ACK, FIN, RST = dpkt.tcp.TH_SYN, dpkt.tcp.TH_ACK, dpkt.tcp.TH_FIN, dpkt.tcp.TH_RST
HANDSHAKE, ALERT, CHANGE, DATA = 22, 21, 20, 23
TLS_1_2, TLS_1_3 = 0x0303, 0x0304


class Wire:
    """A TCP connection as a sensor sees it."""

    def __init__(self, client: End = CLIENT, server: End = SERVER) -> None:
        self.ends = (client, server)
        self.next = [1000, 2**32 - 700]
        self.packets: list[Packet] = []

    def send(self, octets: bytes, *, server: bool = False, size: int = 1400, flags: int = ACK) -> None:
        src, dst = reversed(self.ends) if server else self.ends
        for at in range(0, max(len(octets), 1), size):
            piece = octets[at : at + size]
            segment = tcp(piece, src, dst, seq=self.next[server], flags=flags)
            self.packets.append((T0 + MS * len(self.packets), ethernet(segment)))
            self.next[server] += len(piece)

    def open(self) -> Wire:
        self.send(b"", flags=SYN)
        self.send(b"", server=True, flags=SYN | ACK)
        self.next = [each + 1 for each in self.next]
        return self

    def close(self, flags: int = FIN | ACK) -> Wire:
        self.send(b"", flags=flags)
        self.send(b"", server=True, flags=flags)
        return self

    def heard(self) -> Outcome:
        return observe(self.packets)


def handshakes(outcome: Outcome) -> list[Handshake]:
    return [record for record in outcome.records if isinstance(record, Handshake)]


def the_handshake(wire: Wire) -> Handshake:
    (only,) = handshakes(wire.heard())
    return only


def converse(
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    *,
    size: int = 1400,
    session: ssl.SSLSession | None = None,
    wire: Wire | None = None,
    split: Callable[[bytes], bytes] = bytes,
) -> tuple[Wire, ssl.SSLObject]:
    """Let OpenSSL talk to itself until both ends are content or one refuses; return what crossed."""
    wire = wire or Wire().open()
    to_server, to_client, client_out, server_out = (ssl.MemoryBIO() for _ in range(4))
    ends = (
        client.wrap_bio(to_client, client_out, server_hostname="sip.example.com", session=session),
        server.wrap_bio(to_server, server_out, server_side=True),
    )
    for _ in range(6):
        for end, out, other in ((ends[0], client_out, to_server), (ends[1], server_out, to_client)):
            try:
                end.do_handshake()
                if end is ends[1]:
                    end.write(b"SIP/2.0 200 OK\r\n\r\n")
                else:
                    end.read(100)
            except ssl.SSLError:
                pass
            octets = out.read()
            other.write(octets)
            if octets:
                wire.send(split(octets), server=end is ends[1], size=size)
    return wire, ends[0]


def contexts(pki: Pki, pem: Path, *, version: int = TLS_1_2) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.load_verify_locations(cadata=pki.root_pem)
    server.load_cert_chain(pem)
    client.maximum_version = server.maximum_version = ssl.TLSVersion(version)
    return client, server


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def pem(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pki.server_pem("sip.example.com"))
    return path


@pytest.mark.parametrize("size", [7, 100, 1400, 65000])
def test_tls12_handshake_is_completed_and_shows_its_chain(pki: Pki, pem: Path, size: int) -> None:
    client, server = contexts(pki, pem)
    client.set_alpn_protocols(["sip/2", "http/1.1"])
    server.set_alpn_protocols(["sip/2"])
    wire, end = converse(client, server, size=size)
    found = the_handshake(wire)
    assert (found.kind, found.outcome, found.from_a) == ("tls", "completed", True)
    assert (found.client_version, found.version) == (TLS_1_2, TLS_1_2)
    assert (found.server_name, found.alpn, found.alpn_offered) == ("sip.example.com", "sip/2", ("sip", "http/1.1"))
    assert found.certificates == pki.chain("sip.example.com")
    assert found.certificates[0] == end.getpeercert(binary_form=True)
    assert (found.alert, found.resumed, found.certificates_left_out, found.client_certificates) == (-1, False, False, 0)
    assert found.group in {23, 24, 25, 29}  # secp256r1, secp384r1, secp521r1, x25519


def test_tls13_handshake_is_completed_and_shows_no_certificate(pki: Pki, pem: Path) -> None:
    wire, _ = converse(*contexts(pki, pem, version=TLS_1_3))
    found = the_handshake(wire)
    assert (found.outcome, found.version, found.certificates, found.resumed) == ("completed", TLS_1_3, (), False)
    assert found.group


def test_record_of_one_octet_each_says_the_same(pki: Pki, pem: Path) -> None:
    def split(octets: bytes) -> bytes:
        out, at = b"", 0
        while at < len(octets):
            kind, length = octets[at], int.from_bytes(octets[at + 3 : at + 5])
            body = octets[at + 5 : at + 5 + length]
            whole = kind != HANDSHAKE or changed[0]
            changed[0] |= kind == CHANGE
            step = len(body) if whole else 1
            out += b"".join(
                octets[at : at + 3] + len(body[i : i + step]).to_bytes(2) + body[i : i + step]
                for i in range(0, len(body), step)
            )
            at += 5 + length
        return out

    changed = [False]
    client, server = contexts(pki, pem)
    wire, _ = converse(client, server, split=split)
    found = the_handshake(wire)
    assert (found.outcome, found.certificates) == ("completed", pki.chain("sip.example.com"))


def test_client_that_does_not_trust_the_certificate_refuses(pki: Pki, pem: Path) -> None:
    client, server = contexts(pki, pem)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    wire, _ = converse(client, server)
    found = the_handshake(wire.close())
    assert (found.outcome, found.alert, found.alert_by_client) == ("refused", 48, True)  # unknown_ca
    assert found.certificates == pki.chain("sip.example.com")


def test_client_that_refuses_in_tls13_tells_why_while_it_has_no_key(pki: Pki, pem: Path) -> None:
    _, server = contexts(pki, pem, version=TLS_1_3)
    wire, _ = converse(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), server)
    found = the_handshake(wire.close())
    assert (found.outcome, found.version, found.alert, found.alert_by_client) == ("refused", TLS_1_3, 48, True)


def test_server_that_speaks_only_newer_versions_refuses(pki: Pki, pem: Path) -> None:
    client, server = contexts(pki, pem)
    server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_3
    wire, _ = converse(client, server)
    found = the_handshake(wire.close())
    assert (found.outcome, found.version, found.alert) == ("refused", 0, 70)  # protocol_version
    assert not found.alert_by_client


def test_resumed_session_is_said_and_shows_no_certificate(pki: Pki, pem: Path) -> None:
    client, server = contexts(pki, pem)
    first, end = converse(client, server)
    assert not the_handshake(first).resumed
    again, second = converse(client, server, session=end.session)
    found = the_handshake(again)
    assert second.session_reused
    assert (found.outcome, found.resumed, found.certificates) == ("completed", True, ())


def test_client_certificates_are_counted_and_not_kept(pki: Pki, pem: Path) -> None:
    client, server = contexts(pki, pem)
    client.load_cert_chain(pem)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(cadata=pki.root_pem)
    wire, _ = converse(client, server)
    found = the_handshake(wire)
    assert (found.outcome, found.client_certificates) == ("completed", 2)
    assert found.certificates == pki.chain("sip.example.com")


def test_connection_that_is_closed_in_the_middle_is_cut() -> None:
    wire = Wire().open()
    wire.send(hello())
    found = the_handshake(wire.close())
    assert (found.outcome, found.version, found.alert) == ("cut", 0, -1)


def test_reset_by_the_server_is_cut_by_the_server() -> None:
    wire = Wire().open()
    wire.send(hello())
    wire.send(b"", server=True, flags=RST | ACK)
    found = the_handshake(wire)
    assert (found.outcome, found.alert_by_client) == ("cut", False)


def test_direction_that_is_never_seen_is_not_one_that_cut() -> None:
    wire = Wire()
    wire.send(hello())
    wire.send(b"", flags=RST | ACK)
    assert the_handshake(wire).outcome == "unknown"


def test_lost_segment_leaves_the_outcome_unknown(pki: Pki, pem: Path) -> None:
    wire, _ = converse(*contexts(pki, pem), size=200)
    del wire.packets[6]  # of the server's first flight
    found = the_handshake(wire.close())
    assert found.outcome in {"unknown", "cut"}
    assert found.certificates == ()


def test_new_connection_on_the_same_ports_is_a_new_handshake(pki: Pki, pem: Path) -> None:
    client, server = contexts(pki, pem)
    wire, _ = converse(client, server)
    wire.close().open()
    converse(client, server, wire=wire)
    assert [each.outcome for each in handshakes(wire.heard())] == ["completed", "completed"]


def test_handshake_that_was_begun_before_lends_nothing_to_the_next_one(pki: Pki, pem: Path) -> None:
    wire = Wire().open()
    wire.send(hello())
    wire.send(answer() + records(message(11, listed(bytes(300)))), server=True)
    wire.next = [70_000, 90_000]
    converse(*contexts(pki, pem), wire=wire.open())
    assert the_handshake(wire).certificates == pki.chain("sip.example.com")


def test_retransmitted_segments_change_nothing(pki: Pki, pem: Path) -> None:
    wire, _ = converse(*contexts(pki, pem), size=300)
    wire.packets = [each for packet in wire.packets for each in (packet, packet)]
    assert the_handshake(wire).outcome == "completed"


# What is built


def record(content: bytes, kind: int = HANDSHAKE) -> bytes:
    return struct.pack(">BHH", kind, TLS_1_2, len(content)) + content


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3) + body


def records(content: bytes) -> bytes:
    return b"".join(record(content[at : at + 16384]) for at in range(0, len(content), 16384))


def hello() -> bytes:
    return record(message(1, struct.pack(">H", TLS_1_2) + bytes(33) + b"\0\2\xc0\x30\1\0"))


def answer() -> bytes:
    return record(message(2, struct.pack(">H", TLS_1_2) + bytes(33) + b"\xc0\x30\0"))


def listed(*entries: bytes) -> bytes:
    body = b"".join(len(each).to_bytes(3) + each for each in entries)
    return len(body).to_bytes(3) + body


def with_chain(*entries: bytes) -> Handshake:
    wire = Wire().open()
    wire.send(hello())
    wire.send(answer() + records(message(11, listed(*entries))), server=True)
    for server in (False, True):
        wire.send(record(b"\1", CHANGE) + record(bytes(40)), server=server)
    return the_handshake(wire)


def test_chain_of_a_hundred_is_cut_to_ten() -> None:
    found = with_chain(*(bytes([n]) * 50 for n in range(100)))
    assert found.outcome == "completed"
    assert found.certificates == tuple(bytes([n]) * 50 for n in range(10))
    assert found.certificates_left_out


def test_certificate_of_a_megabyte_is_left_out() -> None:
    found = with_chain(bytes(500), bytes(1 << 20))
    assert (found.outcome, [len(each) for each in found.certificates]) == ("completed", [500])
    assert found.certificates_left_out


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0", b"\xff\xff\xff", b"\0\0\5\0\0\xff\1\2", b"\0\0\3\0\0\0", b"\xff\xff\xff\xff\xff\xff"],
    ids=["empty", "short", "long-list", "long-entry", "entry-of-nothing", "all-long"],
)
def test_certificate_message_that_lies_does_no_harm(body: bytes) -> None:
    wire = Wire().open()
    wire.send(hello())
    wire.send(answer() + records(message(11, body)), server=True)
    for server in (False, True):
        wire.send(record(b"\1", CHANGE) + record(bytes(40)), server=server)
    assert the_handshake(wire).outcome == "completed"


def test_warning_ends_nothing_and_close_notify_does() -> None:
    wire = Wire().open()
    wire.send(hello())
    wire.send(record(b"\1\x70", ALERT) + answer(), server=True)  # unrecognized_name
    wire.send(record(b"\1\0", ALERT))
    found = the_handshake(wire)
    assert (found.outcome, found.version, found.alert, found.alert_by_client) == ("cut", TLS_1_2, 0, True)


def test_protected_alert_of_tls13_is_known_by_its_length() -> None:
    version = struct.pack(">HHHH", 6, 43, 2, TLS_1_3)  # supported_versions
    wire = Wire().open()
    wire.send(hello())
    hello_1_3 = message(2, struct.pack(">H", TLS_1_2) + bytes(33) + b"\x13\x01\0" + version)
    wire.send(record(hello_1_3) + record(b"\1", CHANGE) + record(bytes(900), DATA), server=True)
    wire.send(record(b"\1", CHANGE) + record(bytes(19), DATA))
    found = the_handshake(wire.close())
    assert (found.outcome, found.version, found.alert, found.alert_by_client) == ("refused", TLS_1_3, -1, True)


def test_handshake_without_an_end_is_given_up_in_bounded_memory() -> None:
    wire = Wire().open()
    wire.send(hello())
    endless = records(message(22, bytes(60000)) * 40)
    wire.send(answer() + endless, server=True, size=16000)
    outcome = wire.heard()
    (found,) = handshakes(outcome)
    assert found.outcome == "unknown"
    assert outcome.counters["reassembly_bytes"] < 1 << 16


def test_stream_joined_in_the_middle_says_no_handshake() -> None:
    wire = Wire()
    for _ in range(3):
        wire.send(record(bytes(500), DATA))
        wire.send(record(bytes(500), DATA), server=True)
    outcome = wire.heard()
    assert handshakes(outcome) == []
    assert [flow.app for flow in outcome.of(FlowEnded)] == ["tls"]


def test_server_name_with_control_characters_is_cleaned() -> None:
    name = b"a\r\nb\0.example"
    sni = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    body = struct.pack(">H", TLS_1_2) + bytes(33) + b"\0\2\xc0\x30\1\0" + len(sni).to_bytes(2) + sni
    wire = Wire().open()
    wire.send(record(message(1, body)))
    wire.send(record(b"\2\x28", ALERT), server=True)
    found = the_handshake(wire)
    assert (found.outcome, found.server_name) == ("refused", "a??b?.example")
