"""TLS and DTLS: recognition, and what real handshakes say in their hellos (RFC 8446, 5246, 6347, 9147, 5764)."""

import datetime as dt
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fastpath import tls
from fastpath.handshake import scan_tls

RETRY_RANDOM = bytes.fromhex(
    "CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C"
)  # RFC 8446 section 4.1.3


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sip.example.com")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Handshake:
    """A real handshake of OpenSSL in memory, and the octets that crossed in each direction."""

    def __init__(
        self,
        pem: Path,
        *,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        offer: list[str] | None = None,
        choose: list[str] | None = None,
        curve: str | None = None,
        ciphers: str | None = None,
    ) -> None:
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_side.load_cert_chain(pem)
        client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client_side.check_hostname = False
        client_side.verify_mode = ssl.CERT_NONE
        client_side.maximum_version = version
        server_side.minimum_version = ssl.TLSVersion.TLSv1_2
        if offer:
            client_side.set_alpn_protocols(offer)
        if choose:
            server_side.set_alpn_protocols(choose)
        if curve:
            server_side.set_ecdh_curve(curve)
        if ciphers:
            client_side.set_ciphers(ciphers)
        # What each end wrote is taken out and handed on, which is where a sensor would stand.
        self.from_client = self.from_server = b""
        to_server, to_client, client_out, server_out = (ssl.MemoryBIO() for _ in range(4))
        self.client = client_side.wrap_bio(to_client, client_out, server_hostname="sip.example.com")
        self.server = server_side.wrap_bio(to_server, server_out, server_side=True)
        self.error: ssl.SSLError | None = None
        for _ in range(6):
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    self.error = error
            sent, answered = client_out.read(), server_out.read()
            self.from_client += sent
            self.from_server += answered
            to_server.write(sent)
            to_client.write(answered)
            if self.error:
                break
        if not self.error:
            self.client.write(b"REGISTER sip:example.com SIP/2.0\r\n")
            self.application_data = client_out.read()


def cipher_number(handshake: Handshake) -> int:
    """The IANA number of the suite that OpenSSL says it uses."""
    used = handshake.server.cipher()
    assert used is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return next(int(c["id"]) & 0xFFFF for c in context.get_ciphers() if c["name"] == used[0])


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "number"), [(ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304)])
def test_tls_handshake_tells_what_openssl_agreed(pem: Path, version: ssl.TLSVersion, number: int) -> None:
    seen = Handshake(pem, version=version, offer=["sip/2", "http/1.1"], choose=["http/1.1", "sip/2"])
    hello = scan_tls(seen.from_client)
    answer = scan_tls(seen.from_server)
    assert (hello.result, hello.seen) == (1, frozenset({"client-hello"}))
    assert (hello.server_name, hello.client_version) == ("sip.example.com", number)
    assert (hello.alpn_offered, hello.alpn_first) == (frozenset({"sip", "http/1.1"}), "sip/2")
    assert (answer.result, answer.seen) == (1, frozenset({"server-hello"}))
    assert (answer.version, answer.cipher) == (number, cipher_number(seen))
    # TLS 1.3 chooses in EncryptedExtensions, which nobody else can read (RFC 8446 section 4.3.1).
    assert answer.alpn == ("http/1.1" if number == 0x0303 else "")
    assert not tls.is_null_cipher(answer.cipher)


def test_hello_retry_request_is_not_taken_for_the_server_hello(pem: Path) -> None:
    seen = Handshake(pem, curve="secp384r1")
    answer = scan_tls(seen.from_server)
    assert "hello-retry" in answer.seen
    assert (answer.result, answer.version, answer.cipher) == (1, 0x0304, cipher_number(seen))
    retry = seen.from_server[: 5 + int.from_bytes(seen.from_server[3:5])]
    assert RETRY_RANDOM in retry
    only = scan_tls(retry)
    assert (only.result, only.seen, only.version) == (0, frozenset({"hello-retry"}), 0)


def test_alert_instead_of_a_server_hello_ends_the_scan(pem: Path) -> None:
    seen = Handshake(pem, version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256")
    assert seen.error is not None
    answer = scan_tls(seen.from_server)
    assert (answer.result, answer.seen, answer.alert) == (1, frozenset({"alert"}), 40)  # handshake_failure


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_hello_over_many_records_is_read_as_in_one(pem: Path, size: int) -> None:
    seen = Handshake(pem, offer=["h2"])
    for stream in (seen.from_client, seen.from_server):
        length = int.from_bytes(stream[3:5])
        hello = stream[5 : 5 + length]
        pieces = [hello[at : at + size] for at in range(0, length, size)]
        records = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces)
        assert scan_tls(records) == scan_tls(stream)
        assert tls.probe_tls(records)


def test_stream_cut_anywhere_needs_more_and_then_says_the_same(pem: Path) -> None:
    seen = Handshake(pem, curve="secp384r1")
    for stream in (seen.from_client, seen.from_server):
        whole = scan_tls(stream)
        for size in range(len(stream)):
            cut = scan_tls(stream[:size])
            assert cut == whole or (cut.result == 0 and not cut.server_name and not cut.cipher)


def test_record_stream_is_recognised_at_its_start_and_in_its_middle(pem: Path) -> None:
    seen = Handshake(pem)
    seen.client.write(b"x")
    for stream in (seen.from_client, seen.from_server, seen.application_data, seen.application_data * 2):
        assert tls.probe_tls(stream)
    assert scan_tls(seen.application_data).result == -1
    assert not tls.probe_tls(seen.application_data + b"GET /")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"\x16\x03\x01\x02\x00\x0e\x00\x00\x00",  # no handshake begins with ServerHelloDone
        b"\x16\x03\x01\x02\x00\x01\x00\x00\x10\x03\x03",  # a hello of 16 octets
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x09\x09",  # a hello of version 9.9
        b"\x16\x03\x01\x00\x00\x01\x00\x01\xfc\x03\x03",
        b"\x17\x03\x03\xff\xff" + bytes(100),
        b"\x17\x03\x09\x00\x20" + bytes(100),
        b"\x14\x03\x03\x00\x01\x02",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",  # SSLv2
        b"SIP/2.0 200 OK\r\n",
        b"\x00\x54\x80\x00\x00\x01",  # RFC 4571
    ],
)
def test_other_stream_is_not_tls(octets: bytes) -> None:
    assert not tls.probe_tls(octets)
    assert scan_tls(octets).result <= 0


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2) + len(body).to_bytes(2) + body


def client_hello(*extensions: bytes, tail: bytes = b"") -> bytes:
    block = b"".join(extensions)
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00" + len(block).to_bytes(2) + block + tail
    message = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def test_hostile_names_leave_no_control_characters() -> None:
    name = b"\x1b[31m\nsip\x00"
    found = scan_tls(
        client_hello(
            extension(0, (len(name) + 3).to_bytes(2) + b"\x00" + len(name).to_bytes(2) + name),
            extension(16, (len(name) + 1).to_bytes(2) + len(name).to_bytes(1) + name),
        )
    )
    assert found.server_name == found.alpn_first == "?[31m?sip?"


def test_grease_is_no_offer() -> None:
    """RFC 8701 section 2."""
    found = scan_tls(
        client_hello(
            extension(16, b"\x00\x0b\x02\x1a\x1a\x02h2\x04dot\x00"),
            extension(43, b"\x06\x7a\x7a\x03\x04\x03\x03"),
        )
    )
    assert (found.alpn_first, found.client_version) == ("h2", 0x0304)


@pytest.mark.parametrize(
    "octets",
    [
        client_hello(tail=b"x"),
        client_hello(b"\x00\x00\xff\xff"),
        client_hello(b"\x00\x00\x00"),
    ],
)
def test_hello_that_lies_about_its_lengths_is_refused(octets: bytes) -> None:
    assert scan_tls(octets).result == -1


def test_hello_of_many_records_is_read_to_its_end() -> None:
    padding = [extension(21, bytes(16000)), extension(21, bytes(16000)), extension(21, bytes(16000))]
    name = b"sip.example.com"
    sni = extension(0, (len(name) + 3).to_bytes(2) + b"\x00" + len(name).to_bytes(2) + name)
    hello = client_hello(*padding, sni)[5:]
    pieces = [hello[at : at + 16000] for at in range(0, len(hello), 16000)]
    found = scan_tls(b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces))
    assert (found.result, found.server_name, "partial" in found.seen) == (1, "sip.example.com", False)


# --- DTLS --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def dtls(pem: Path) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The datagrams of a DTLS 1.2 handshake between two OpenSSL processes: the client's and the server's."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    port = free_port()
    profiles = "SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80"
    server = subprocess.Popen(
        ["openssl", "s_server", "-dtls1_2", "-listen", "-accept", f"127.0.0.1:{port}", "-cert", pem, "-quiet",
         "-use_srtp", "SRTP_AES128_CM_SHA1_80"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    relay.bind(("127.0.0.1", 0))
    relay.settimeout(0.5)
    client = subprocess.Popen(
        ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{relay.getsockname()[1]}", "-use_srtp", profiles,
         "-mtu", "1200", "-quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    sent: list[bytes] = []
    answered: list[bytes] = []
    home: tuple[str, int] | None = None
    deadline = time.monotonic() + 10
    try:
        assert client.stdin is not None
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        while time.monotonic() < deadline:
            try:
                datagram, peer = relay.recvfrom(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            if home and peer[1] == port:
                answered.append(datagram)
                relay.sendto(datagram, home)
            else:
                home = peer
                sent.append(datagram)
                relay.sendto(datagram, ("127.0.0.1", port))
            if any(datagram[0] == 23 for datagram in sent):
                break
        yield sent, answered
    finally:
        relay.close()
        for process in (client, server):
            process.kill()
            process.communicate()


Datagrams = tuple[list[bytes], list[bytes]]


def test_dtls_handshake_tells_offer_and_choice(dtls: Datagrams) -> None:
    sent, answered = dtls
    assert all(tls.probe_dtls(datagram) for datagram in sent + answered)
    hello = tls.scan_dtls(sent[0])
    assert (hello.result, hello.seen, hello.client_version) == (1, frozenset({"client-hello"}), 0xFEFD)
    assert hello.srtp_offer == 0x0008  # SRTP_AEAD_AES_256_GCM, RFC 7714 section 14.2
    answer = tls.scan_dtls(*answered)
    assert (answer.version, answer.srtp_profile) == (0xFEFD, 0x0001)  # SRTP_AES128_CM_HMAC_SHA1_80, RFC 5764
    assert answer.cipher in {0xC02B, 0xC02C, 0xCCA9}  # ECDHE-ECDSA with an AEAD
    assert {"hello-verify", "server-hello", "change-cipher", "protected"} <= answer.seen
    assert "application" in tls.scan_dtls(*sent).seen


def test_server_hello_in_fragments_is_read_from_the_first(dtls: Datagrams) -> None:
    datagram = next(d for d in dtls[1] if "server-hello" in tls.scan_dtls(d).seen)
    whole = tls.scan_dtls(datagram)
    length = int.from_bytes(datagram[14:17])
    body = datagram[25 : 25 + length]

    def fragment(start: int, end: int) -> bytes:
        head = b"\x02" + length.to_bytes(3) + bytes(2) + start.to_bytes(3) + (end - start).to_bytes(3)
        content = head + body[start:end]
        return b"\x16\xfe\xfd" + bytes(8) + len(content).to_bytes(2) + content

    for cut in range(length):
        found = tls.scan_dtls(fragment(0, cut))
        assert ("partial" in found.seen) or not found.seen
        assert found.cipher in {0, whole.cipher}
        assert found.srtp_profile in {0, whole.srtp_profile}
        assert tls.scan_dtls(fragment(cut, length)).seen == (whole.seen if cut == 0 else frozenset())
    assert tls.scan_dtls(fragment(0, length - 1)).srtp_profile in {0, whole.srtp_profile}
    assert tls.scan_dtls(fragment(0, 38)).cipher == whole.cipher


def test_datagram_must_be_tiled_by_records(dtls: Datagrams) -> None:
    for datagram in dtls[0] + dtls[1]:
        assert not tls.probe_dtls(datagram + b"x")
        assert tls.scan_dtls(datagram + b"x").result == -1
        for size in range(len(datagram)):
            assert tls.probe_dtls(datagram[:size]) <= (size in record_ends(datagram))


def record_ends(datagram: bytes) -> set[int]:
    ends, at = set(), 0
    while at < len(datagram):
        at += 13 + int.from_bytes(datagram[at + 11 : at + 13])
        ends.add(at)
    return ends


UNIFIED = b"\x2e\x00\x01\x00\x18" + bytes(24)  # 001CSLEE: sequence of 16 bits, length, epoch 2


def test_unified_header_counts_on_a_known_flow_only(dtls: Datagrams) -> None:
    """RFC 9147 section 4."""
    assert not tls.probe_dtls(UNIFIED)
    assert tls.scan_dtls(UNIFIED).result == -1
    found = tls.scan_dtls(dtls[0][0], UNIFIED, UNIFIED * 2, b"\x2a\x00\x02" + bytes(24))
    assert (found.result, "protected" in found.seen) == (0, True)
    assert tls.scan_dtls(dtls[0][0], UNIFIED[:-1]).result == -1


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x16\xfe\xfd" + bytes(10),
        b"\x16\xfe\xfd" + bytes(8) + b"\x00\x00",
        b"\x16\x03\x03" + bytes(8) + b"\x00\x01x",
        b"\x80\x00\x00\x01" + bytes(160),
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        b"\x16\xfe\xfd" + bytes(8) + b"\x00\x0c\x01\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x11",  # beyond its message
    ],
)
def test_other_datagram_is_not_dtls(datagram: bytes) -> None:
    assert not tls.probe_dtls(datagram)
    assert tls.scan_dtls(datagram).result == -1


# --- cipher suites -----------------------------------------------------------------------------------------------


def test_null_suites_are_those_of_the_registry() -> None:
    """IANA, TLS Cipher Suites: every name with _WITH_NULL_, and the integrity-only suites of RFC 9150."""
    null = {number for number in range(0x10000) if tls.is_null_cipher(number)}
    assert null == {
        *(0x0000, 0x0001, 0x0002, 0x002C, 0x002D, 0x002E, 0x003B, 0x00B0, 0x00B1, 0x00B4, 0x00B5, 0x00B8, 0x00B9),
        *(0xC001, 0xC006, 0xC00B, 0xC010, 0xC015, 0xC039, 0xC03A, 0xC03B, 0xC0B4, 0xC0B5),
    }


def test_null_suites_of_openssl_are_known() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("eNULL:@SECLEVEL=0")
    ciphers = [c for c in context.get_ciphers() if c["strength_bits"] == 0]
    assert ciphers
    assert all(tls.is_null_cipher(int(c["id"]) & 0xFFFF) for c in ciphers)
