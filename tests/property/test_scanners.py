"""What must hold for the SIP, TLS and DTLS scanners whatever the octets are."""

import dataclasses
import ssl
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastpath import sip, tls
from fastpath.handshake import scan_tls
from fastpath.records import SdpMedia, SipMessage

SECRET = bytes(range(16))
CANARY = "Q4n4ryK3yQ4n4ryK3yQ4n4ryK3yQ4n4ryK3y"

DESCRIPTION = b"".join(
    line + b"\r\n"
    for line in (
        b"v=0",
        b"o=alice 2890844526 2890844526 IN IP4 192.0.2.10",
        b"s=-",
        b"c=IN IP4 192.0.2.10",
        b"t=0 0",
        b"a=fingerprint:sha-256 " + b":".join([b"AB"] * 32),
        b"a=group:BUNDLE 0 1",
        b"a=tcap:1 RTP/SAVP RTP/AVP",
        b"m=audio 49170 RTP/SAVP 0 96",
        b"a=mid:0",
        b"a=rtpmap:96 opus/48000/2",
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + CANARY.encode() + b"|2^20|1:32 UNENCRYPTED_SRTCP",
        b"a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host",
        b"a=rtcp:49171 IN IP4 192.0.2.11",
        b"m=video 0 RTP/AVP 31",
        b"a=bundle-only",
        b"a=inactive",
        b"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + CANARY.encode() + b"|1:4",
        b"a=fingerprint:sha-1 " + b":".join([b"CD"] * 20),
        b"a=fingerprint:x " + b":".join([b"EF"] * 4),
        b"a=mid:1",
    )
)
INVITE = b"\r\n".join(
    (
        b"INVITE sip:bob@biloxi.example.com SIP/2.0",
        b"Via: SIP/2.0/UDP pc33.atlanta.example.com;branch=z9hG4bK776asdhds",
        b"f: Alice <sip:alice@atlanta.example.com>",
        b" ;tag=1928301774",
        b"To: Bob <sip:bob@biloxi.example.com>;tag=a6c85cf",
        b"Call-ID: a84b4c76e66710@pc33.atlanta.example.com",
        b"CSeq: 314159 INVITE",
        b"User-Agent: Example",
        b'Authorization: Digest username="' + CANARY.encode() + b'",',
        b' response="' + CANARY.encode() + b'"',
        b"Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2",
        b"Replaces: 98732@example.com;from-tag=a;to-tag=b",
        b"Require: siprec",
        b"X-Call-ID: " + CANARY.encode(),
        b"Content-Type: multipart/mixed;boundary=b1",
        b"Content-Length: %d",
        b"",
        b"--b1",
        b"Content-Type: application/sdp",
        b"",
        DESCRIPTION + b"--b1--",
        b"",
    )
) % (len(DESCRIPTION) + 47)
RINGING = (
    b"SIP/2.0 180 Ringing\r\nFrom: <sip:alice@a>;tag=1\r\nTo: <sip:bob@b>;tag=2\r\nCall-ID: x@y\r\nCSeq: 2 INVITE\r\n"
    b"l: 0\r\n\r\n"
)

TEXT = (
    b"MESSAGE sip:bob@b SIP/2.0\r\nFrom: <sip:alice@a>;tag=1\r\nTo: <sip:bob@b>\r\nCall-ID: x@y\r\nCSeq: 2 MESSAGE\r\n"
    b"c: message/cpim\r\nl: 59\r\n\r\nFrom: <im:a@b>\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n<imdn/>"
)
WANTED = ("x-call-id", "x-other")

token = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
fragment = st.sampled_from(
    [
        b"\r\n", b"\n", b" ", b"\t", b":", b";", b"=", b'"', b"<", b">", b"@", b"--", b"--b1", b"\\", b"/", b"|",
        b"\x00", b"INVITE ", b"sip:", b"tel:", b" SIP/2.0\r\n", b"SIP/2.0 200 OK\r\n", b"Call-ID:", b"i:",
        b"CSeq: 1 INVITE\r\n", b"From:", b"f: <sip:a@b>;tag=c\r\n", b"To:", b"Content-Type: application/sdp\r\n",
        b"Content-Length: 7\r\n",
        b"c: multipart/mixed;boundary=b1\r\n", b"l: 99999999999\r\n", b"v=0\r\n", b"m=audio 1 RTP/SAVP 0\r\n", b"m=",
        b"c=", b"a=crypto:1 ", b"AES_CM_128_HMAC_SHA1_80 ", b"inline:", b"a=fingerprint:sha-1 ", b"a=candidate:",
        b"a=rtpmap:0 x\r\n", b"Authorization: ", b"Digest ", b"Basic ", b"response=", b"Session-ID: ", b";remote=",
        b"0" * 32, b"Replaces: ", b"Require: siprec\r\n", b"MESSAGE ", b"message/cpim", b"application/rs-metadata",
        b"X-Call-ID: ", b"a=acap:1 crypto:1 ", b"a=tcap:1 RTP/SAVP\r\n", b"a=group:BUNDLE ", b"a=mid:",
        b"a=bundle-only\r\n", b"|1:4", b"a=rtcp:1 IN IP4 ",
    ]
)  # fmt: skip
sip_like = st.lists(fragment | st.binary(max_size=8), max_size=60).map(b"".join)


def damaged(octets: bytes) -> st.SearchStrategy[bytes]:
    """A message with up to five runs of octets replaced by others."""
    cut = st.tuples(st.integers(0, len(octets)), st.integers(0, 20), fragment | st.binary(max_size=20))

    def apply(cuts: list[tuple[int, int, bytes]]) -> bytes:
        result = octets
        for at, size, new in cuts:
            result = result[:at] + new + result[at + size :]
        return result

    return st.lists(cut, min_size=1, max_size=5).map(apply)


def read(octets: bytes) -> SipMessage:
    """The message, which must be readable."""
    found = sip.scan(octets, SECRET, WANTED)
    assert found is not None
    return found


def texts(value: object) -> list[str]:
    """Every text in a record."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for item in value for text in texts(item)]
    if dataclasses.is_dataclass(value):
        return [text for field in dataclasses.fields(value) for text in texts(getattr(value, field.name))]
    return []


def canaries(text: str) -> list[str]:
    """The parts of the canary that a text holds."""
    return [CANARY[at : at + 5] for at in range(len(CANARY) - 4) if CANARY[at : at + 5] in text]


def bounded(found: SipMessage) -> bool:
    """Every cap of the contract."""
    names = (
        *(found.call_id, found.from_tag, found.to_tag, found.from_user, found.to_user, found.user_agent),
        found.replaces,
    )
    media = found.media or ()
    return (
        all(len(name) <= 128 for name in names)
        and len(media) <= 8
        and all(len(m.payload_types) <= 16 and len(m.cryptos) <= 8 and len(m.candidates) <= 16 for m in media)
        and all(len(m.address) <= 64 and len(m.rtcp_address) <= 64 and m.bundle <= 4 for m in media)
        and all(len(m.fingerprints) <= 4 and all(len(text) <= 208 for text in m.fingerprints) for m in media)
        and all(crypto.mki <= 128 for m in media for crypto in m.cryptos)
        and len(found.headers) <= len(WANTED)
        and len(found.session_ids) <= 2
        and all(len(uuid) == 32 and set(uuid) <= set("0123456789abcdef") for uuid in found.session_ids)
        and all(ord(c) >= 32 and not 127 <= ord(c) < 160 for text in texts(found) for c in text)
    )


# --- SIP ---------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300) | sip_like | damaged(INVITE) | damaged(RINGING) | damaged(TEXT))
@example(INVITE)
@example(TEXT)
@example(b"SIP/2.0 200")
def test_any_octets_are_read_within_bounds(octets: bytes) -> None:
    found = sip.scan(octets, SECRET, WANTED)
    assert found is None or (sip.probe(octets) and bounded(found))
    size = sip.frame(octets)
    assert -1 <= size <= len(octets)
    assert not (size > 0 and not sip.probe(octets))
    skipped = sip.resync(octets)
    assert min(1, len(octets)) <= skipped <= len(octets)
    assert skipped == len(octets) or sip.frame(octets[skipped:]) >= 0 or sip.probe(octets[skipped:])


SESSION_FINGERPRINTS = ("sha-256 " + ":".join(["AB"] * 32),)


def weaker(media: SdpMedia, whole: SdpMedia) -> bool:
    """A section of which fewer lines were seen: what is there is right, the rest is as if it had not been said."""
    inherited = {"sendrecv", whole.direction}
    mapped = dict(whole.payload_types)
    return (
        (media.media, media.port, media.profile) == (whole.media, whole.port, whole.profile)
        and media.address in {"", "192.0.2.10", whole.address}
        and media.direction in inherited
        and media.cryptos == whole.cryptos[: len(media.cryptos)]
        and media.candidates == whole.candidates[: len(media.candidates)]
        and all(encoding in {"", mapped[number]} for number, encoding in media.payload_types)
        and media.rtcp_port in {0, whole.rtcp_port}
        and media.rtcp_address == (whole.rtcp_address if media.rtcp_port else "")
        and media.bundle in {0, whole.bundle}
        and media.bundle_only in {False, whole.bundle_only}
        and media.potential_srtp == whole.potential_srtp
        and media.fingerprints in {SESSION_FINGERPRINTS, whole.fingerprints[: len(media.fingerprints)]}
    )


@pytest.mark.parametrize("octets", [INVITE, RINGING, TEXT], ids=["request", "response", "text"])
def test_message_cut_anywhere_says_less_and_nothing_else(octets: bytes) -> None:
    whole = read(octets)
    refused = 0
    for size in range(len(octets)):
        found = sip.scan(octets[:size], SECRET, WANTED)
        if found is None:
            refused += 1
            continue
        for field in ("method", "status", "cseq", "call_id"):
            assert getattr(found, field) == getattr(whole, field)
        for field in ("from_tag", "to_tag", "from_user", "to_user", "user_agent", "replaces", "credentials"):
            assert getattr(found, field) in {"", getattr(whole, field)}
        for field in ("session_ids", "headers"):
            assert getattr(found, field) in {(), getattr(whole, field)}
        for field in ("recording", "text"):
            assert getattr(found, field) in {False, getattr(whole, field)}
        assert not canaries(repr(found))
        if found.media is not None:
            assert whole.media is not None
            assert all(weaker(*pair) for pair in zip(found.media, whole.media, strict=False))
            assert len(found.media) <= len(whole.media)
    assert refused == octets.index(b"\n", octets.index(b"CSeq")) + 2


def test_whole_request_says_all_that_a_cut_one_may_lack() -> None:
    whole = read(INVITE)
    assert (whole.credentials, whole.replaces, whole.recording) == ("digest", "98732@example.com", True)
    assert (len(whole.session_ids), len(whole.headers), read(TEXT).text) == (2, 1, False)
    assert whole.media is not None
    audio, video = whole.media
    assert (audio.bundle, video.bundle, video.bundle_only, video.potential_srtp) == (1, 1, True, True)
    assert (audio.cryptos[0].mki, video.cryptos[0].potential) == (32, True)
    assert (audio.rtcp_address, len(audio.fingerprints), len(video.fingerprints)) == ("192.0.2.11", 1, 2)


MESSAGES = st.lists(
    st.sampled_from([INVITE, RINGING, INVITE.replace(b"\r\n\r\n--b1", b"\r\nX: y\r\n\r\n--b1", 1)]), max_size=4
)


def drain(stream: bytes, chunks: list[int]) -> list[bytes]:
    """The messages that sip.frame and sip.resync find when the stream comes in chunks."""
    found, buffer, at = [], b"", 0
    for size in [*chunks, len(stream)]:
        buffer += stream[at : at + size]
        at += size
        while buffer:
            framed = sip.frame(buffer)
            if framed == 0:
                break
            if framed > 0:
                found.append(buffer[:framed])
            buffer = buffer[framed if framed > 0 else sip.resync(buffer) :]
    return found


@given(
    MESSAGES,
    st.lists(st.integers(1, 400), max_size=40),
    st.sampled_from([b"", b"\r\n\r\n", b"lost\r\n", b"t=0 0\r\n\r\n"]),
)
def test_stream_in_chunks_gives_the_same_messages(messages: list[bytes], chunks: list[int], noise: bytes) -> None:
    stream = b"".join(noise + message for message in messages)
    assert drain(stream, chunks) == messages
    assert drain(stream, [1] * len(stream)) == messages


@given(damaged(INVITE + RINGING), st.lists(st.integers(1, 400), max_size=40))
def test_damaged_stream_in_chunks_comes_to_an_end(stream: bytes, chunks: list[int]) -> None:
    assert sum(map(len, drain(stream, chunks))) <= len(stream)


@given(token, token, token, token, st.integers(0, 2**32 - 1), st.integers(100, 699))
def test_built_response_is_read_back(
    call_id: str, from_tag: str, to_tag: str, user: str, cseq: int, status: int
) -> None:
    found = read(
        f"SIP/2.0 {status} x\r\nv: y\r\nt:<sip:{user}@h>;x=y;tag={to_tag}\r\nFROM: sip:{user}@h;tag={from_tag}\r\n"
        f"call-id:{call_id}\r\nCSEQ: {cseq} BYE\r\n\r\n".encode()
    )
    assert (found.call_id, found.from_tag, found.to_tag) == (call_id, from_tag, to_tag)
    assert (found.from_user, found.to_user, found.cseq, found.status, found.method) == (user, user, cseq, status, "BYE")


@given(
    st.lists(
        st.sampled_from(["1", "AES_CM_128_HMAC_SHA1_80", "inline:", "|2^20", "|1:4", ";", " ", "KDR=1", CANARY]),
        max_size=12,
    ),
    st.sampled_from(
        ["crypto", "crypto:1", "acap:1 crypto:1", "key-mgmt", "fmtp:0", "CRYPTO:2 AES_CM_128_HMAC_SHA1_80"]
    ),
    st.sampled_from(["m=audio 1 RTP/SAVP 0", "s=-"]),
)
def test_no_part_of_a_key_leaves(pieces: list[str], attribute: str, level: str) -> None:
    body = f"v=0\r\n{level}\r\na={attribute}:{''.join(pieces)} inline:{CANARY}\r\nk=clear:{CANARY}\r\n"
    assert not canaries(repr(read(RINGING.replace(b"l: 0", b"c: application/sdp") + body.encode())))


@given(
    st.lists(
        st.sampled_from(
            ["Digest ", "Basic ", "Bearer ", 'username="', '"', "response=", ",", "\r\n ", "=", " ", CANARY]
        ),
        max_size=12,
    ),
    st.sampled_from(["Authorization", "Proxy-Authorization", "Session-ID", "Require", "X-Call-ID", "Content-Type"]),
)
def test_no_part_of_credentials_leaves(pieces: list[str], header: str) -> None:
    """Nor of a header that is wanted, nor of a text."""
    value = f"{header}: {''.join(pieces)}{CANARY}\r\n".encode()
    found = read(TEXT.replace(b"c: message/cpim\r\nl: 59\r\n", value) + CANARY.encode())
    assert not canaries(repr(found))
    assert found.text or header == "Content-Type"


def test_key_leaves_as_a_digest_that_only_the_secret_gives() -> None:
    first, again, other = (sip.scan(INVITE, secret) for secret in (SECRET, SECRET, bytes(16)))
    digests = [found.media[0].cryptos[0].key_digest for found in (first, again, other) if found and found.media]
    assert digests[0] == digests[1] != digests[2]


# --- TLS and DTLS ------------------------------------------------------------------------------------------------


def client_hello() -> bytes:
    """The first octets that OpenSSL sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["sip/2", "h2"])
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="sip.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


HELLO = client_hello()


def as_datagram(record: bytes) -> bytes:
    """The same hello in DTLS 1.2, with an empty cookie."""
    body = b"\xfe\xfd" + record[11:43] + record[43 : 44 + record[43]] + b"\x00" + record[44 + record[43] :]
    message = b"\x01" + len(body).to_bytes(3) + bytes(5) + len(body).to_bytes(3) + body
    return b"\x16\xfe\xff" + bytes(8) + len(message).to_bytes(2) + message


DATAGRAM = as_datagram(HELLO)


def well_formed(found: tls.HelloFields) -> bool:
    names = (found.server_name, found.alpn_first, found.alpn)
    return found.result in {-1, 0, 1} and all(len(n) <= 255 and n.isprintable() and n.isascii() for n in names)


@given(
    st.binary(max_size=400) | damaged(HELLO) | st.binary(max_size=200).map(lambda tail: b"\x16\x03\x01\x00\xc8" + tail)
)
@example(HELLO)
def test_any_stream_gives_well_formed_fields(octets: bytes) -> None:
    found = scan_tls(octets)
    assert well_formed(found)
    assert not tls.probe_tls(octets) or octets[0] in range(20, 24)


@given(st.lists(st.binary(max_size=300) | damaged(DATAGRAM) | st.just(DATAGRAM), max_size=4))
@example([DATAGRAM, DATAGRAM])
def test_any_datagrams_give_well_formed_fields(datagrams: list[bytes]) -> None:
    assert well_formed(tls.scan_dtls(*datagrams))
    for datagram in datagrams:
        assert not tls.probe_dtls(datagram) or datagram[0] in range(20, 27)


def test_hello_means_the_same_in_a_stream_and_in_a_datagram() -> None:
    stream, datagram = scan_tls(HELLO), tls.scan_dtls(DATAGRAM)
    assert datagram._replace(client_version=0) == stream._replace(client_version=0)
    assert (datagram.server_name, datagram.client_version, datagram.alpn_first) == ("sip.example.com", 0xFEFD, "sip/2")


@given(st.binary(min_size=6, max_size=64))
def test_random_octets_are_hardly_ever_tls(octets: bytes) -> None:
    if tls.probe_tls(octets):
        assert octets[1] == 3
        assert octets[2] <= 4
        assert octets[0] in range(20, 24)
