"""The SIP and SDP scanner: what is SIP, where a message ends, and what it says (RFC 3261, 8866, 4568, 5763)."""

import base64
import time

import pytest

from fastpath import sip
from fastpath.records import SdpCrypto, SdpMedia, SipMessage

SECRET = bytes(range(16))
KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"  # the shape of RFC 4568 section 9.1: 30 octets in base64


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\r\n" for text in texts).encode("latin-1")


def message(
    start: str = "INVITE sip:bob@biloxi.example.com SIP/2.0",
    headers: tuple[str, ...] = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
    length: int | None = None,
) -> bytes:
    """A message with the usual headers, of which those given replace the ones with the same name."""
    usual = {
        "Via": "SIP/2.0/UDP pc33.atlanta.example.com;branch=z9hG4bK776asdhds",
        "To": "Bob <sip:bob@biloxi.example.com>",
        "From": "Alice <sip:alice@atlanta.example.com>;tag=1928301774",
        "Call-ID": "a84b4c76e66710@pc33.atlanta.example.com",
        "CSeq": "314159 INVITE",
    }
    given = {header.split(":")[0].strip() for header in headers}
    kept = [f"{name}: {value}" for name, value in usual.items() if name not in given]
    tail = [f"Content-Type: {content_type}"] if body else []
    return lines(start, *kept, *headers, *tail, f"Content-Length: {len(body) if length is None else length}", "") + body


def sdp(*media: str, session: tuple[str, ...] = ("c=IN IP4 192.0.2.10",)) -> bytes:
    return lines("v=0", "o=alice 2890844526 2890844526 IN IP4 192.0.2.10", "s=-", *session, "t=0 0", *media)


def read(octets: bytes) -> SipMessage:
    """The message, which must be readable."""
    found = sip.scan(octets, SECRET)
    assert found is not None
    return found


def described(*media: str, session: tuple[str, ...] = ("c=IN IP4 192.0.2.10",)) -> tuple[SdpMedia, ...]:
    """The media of an INVITE with this description."""
    found = read(message(body=sdp(*media, session=session))).media
    assert found is not None
    return found


def crypto(value: str) -> SdpCrypto:
    (audio,) = described("m=audio 49170 RTP/SAVP 0", f"a=crypto:{value}")
    (line,) = audio.cryptos
    return line


# --- probe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n",
        b"REGISTER sips:ss2.biloxi.example.com SIP/2.0\r\nVia",
        b"ACK tel:+12015550123 SIP/2.0\r\n",
        b"INVITE urn:service:sos SIP/2.0\r\n",
        b"NEWMETHOD9 soap.beep://192.0.2.103:3002 SIP/2.0\r\n",  # RFC 4475 section 3.3.4
        b"INVITE sip:bob@biloxi.exam",  # cut by the snap length
        b"SIP/2.0 200 OK\r\n",
        b"SIP/2.0 180",
        b"sip/2.0 404 Not Found\r\n",  # RFC 3261 section 7.1: the version has no case
    ],
)
def test_start_line_of_sip_is_sip(octets: bytes) -> None:
    assert sip.probe(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\r\n\r\n",  # RFC 5626 section 4.4.1: keep-alive
        b"GET /index.html HTTP/1.1\r\n",
        b"GET http://example.com/ HTTP/1.1\r\n",
        b"GET http://example.com/very/long",
        b"DESCRIBE rtsp://example.com/media.mp4 RTSP/1.0\r\n",
        b"OPTIONS rtsp://example.com/media.mp4",
        b"HTTP/1.1 200 OK\r\n",
        b"RTSP/1.0 200 OK\r\n",
        b"OPTIONS sip:example.com HTTP/1.1\r\n",
        b"INVITE sip:bob@example.com SIP/7.0\r\n",  # RFC 4475 section 3.1.2.16
        b"SIP/2.0 999 Out of range\r\n",
        b"SIP/2.0 2000 OK\r\n",
        b"SIP/2.0 20",
        b"INVITE",
        b"INVITE sip",
        b"INVITE sip:\x00\x01\x02\x03",
        b"INVITE  sip:bob@example.com SIP/2.0\r\n",
        b"EHLO sip.example.com\r\n",
        b"\x80\x00\x00\x01" + bytes(100),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"A" * 5000,
    ],
)
def test_other_octets_are_not_sip(octets: bytes) -> None:
    assert not sip.probe(octets)
    assert sip.scan(octets) is None


# --- framing -----------------------------------------------------------------------------------------------------


def test_stream_with_two_messages_frames_the_first() -> None:
    first = message(body=sdp("m=audio 49170 RTP/AVP 0"))
    assert sip.frame(first + message(body=b"")) == len(first)


def test_stream_cut_anywhere_needs_more() -> None:
    whole = message(body=sdp("m=audio 49170 RTP/AVP 0"))
    assert {sip.frame(whole[:size]) for size in range(len(whole))} == {0}


@pytest.mark.parametrize(
    "header", ["l: 4", "L:4", "Content-Length : 4", "content-length:\r\n 4", "Content-Length: 0004"]
)
def test_content_length_in_every_form_ends_the_message(header: str) -> None:
    head = lines("OPTIONS sip:example.com SIP/2.0", "Via: x", header, "")
    assert sip.frame(head + b"bodyNEXT") == len(head) + 4


@pytest.mark.parametrize("header", ["Max-Forwards: 70", "Content-Length: -999", "Content-Length: none"])
def test_stream_without_content_length_has_no_body(header: str) -> None:
    head = lines("OPTIONS sip:example.com SIP/2.0", header, "")
    assert sip.frame(head + b"v=0\r\n") == len(head)


@pytest.mark.parametrize("octets", [b"\r\n\r\n", b"v=0\r\n", b"\x17\x03\x03", b"GET / HTTP/1.1\r\n\r\n"])
def test_stream_that_is_not_sip_is_refused(octets: bytes) -> None:
    assert sip.frame(octets) == -1


@pytest.mark.parametrize(("body", "expected"), [(65535, True), (65536, False)])
def test_message_is_framed_up_to_its_limit(body: int, expected: bool) -> None:
    head = len(lines("OPTIONS sip:example.com SIP/2.0", "Content-Length: 65000", ""))
    octets = lines("OPTIONS sip:example.com SIP/2.0", f"Content-Length: {body - head}", "")
    assert len(octets) == head
    assert sip.frame(octets + bytes(body)) == (body if expected else -1)


@pytest.mark.parametrize(
    "filler", [b"A" * 70000, b"INVITE sip:" + b"a" * 70000, b"OPTIONS sip:a SIP/2.0\r\n" + b"A: b\r\n" * 12000]
)
def test_stream_that_never_ends_a_message_is_refused(filler: bytes) -> None:
    assert sip.frame(filler) == -1


def test_resync_finds_the_next_start_line() -> None:
    assert sip.resync(b"\r\n" + message()) == 2
    assert sip.resync(b"lost\r\na=sendrecv\r\n" + message(start="SIP/2.0 200 OK")) == 18


def test_resync_moves_on_from_a_message_that_was_refused() -> None:
    assert sip.resync(message() + message()) == len(message())


def test_resync_keeps_a_start_line_that_may_be_cut() -> None:
    assert sip.resync(b"lost\r\nINVI") == 6
    assert sip.resync(b"lost\r\nSIP/2.0 1") == 6
    assert sip.resync(b"lost\r\n\x17\x03\x03") == 9
    assert sip.resync(b"") == 0


# --- headers -----------------------------------------------------------------------------------------------------


def test_invite_of_rfc_3261_section_24_2_is_read() -> None:
    octets = lines(
        "INVITE sip:bob@biloxi.com SIP/2.0",
        "Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1",
        "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8 ;received=192.0.2.1",
        "Max-Forwards: 69",
        "To: Bob <sip:bob@biloxi.com>",
        "From: Alice <sip:alice@atlanta.com>;tag=1928301774",
        "Call-ID: a84b4c76e66710",
        "CSeq: 314159 INVITE",
        "Contact: <sip:alice@pc33.atlanta.com>",
        "Content-Type: application/sdp",
        "Content-Length: 142",
        "",
    )
    found = read(octets)
    assert (found.method, found.status, found.cseq) == ("INVITE", 0, 314159)
    assert (found.call_id, found.from_tag, found.to_tag) == ("a84b4c76e66710", "1928301774", "")
    assert (found.from_user, found.to_user) == ("alice", "bob")
    assert found.media is None


def test_response_of_rfc_3261_section_24_2_names_the_method_of_its_cseq() -> None:
    octets = lines(
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP server10.biloxi.com;branch=z9hG4bK4b43c2ff8.1;received=192.0.2.3",
        "To: Bob <sip:bob@biloxi.com>;tag=a6c85cf",
        "From: Alice <sip:alice@atlanta.com>;tag=1928301774",
        "Call-ID: a84b4c76e66710",
        "CSeq: 314159 INVITE",
        "Server: Example Gateway 2",
        "Content-Length: 0",
        "",
    )
    found = read(octets)
    assert (found.method, found.status, found.cseq) == ("INVITE", 200, 314159)
    assert (found.from_tag, found.to_tag) == ("1928301774", "a6c85cf")
    assert found.user_agent == "Example Gateway 2"


def test_torturous_invite_is_read() -> None:
    """The shape of RFC 4475 section 3.1.1.1: white space, folding, compact and odd-cased names, quoted traps."""
    body = sdp("m=audio 49217 RTP/AVP 0 12")
    octets = (
        lines(
            "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
            "TO :",
            " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
            r'from   : "J Rosenberg \\\"<sip:wrong@x>;tag=no"       <sip:jdrosen@example.com>',
            "  ;",
            "  tag = 98asjd8",
            "MaX-fOrWaRdS: 0068",
            "Call-ID: wsinv.ndaksdj@192.0.2.1",
            "Content-Length   : " + str(len(body)),
            "cseq: 0009",
            "  INVITE",
            "Via  : SIP  /   2.0",
            " /UDP",
            "    192.0.2.2;branch=390skdjuw",
            "s :",
            "NewFangledHeader:   newfangled value",
            " continued newfangled value",
            "UnknownHeaderWithUnusualValue: ;;,,;;,;",
            "Content-Type: application/sdp",
            'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam',
            "",
        )
        + body
    )
    found = read(octets)
    assert (found.method, found.cseq, found.call_id) == ("INVITE", 9, "wsinv.ndaksdj@192.0.2.1")
    assert (found.from_user, found.from_tag) == ("jdrosen", "98asjd8")
    assert (found.to_user, found.to_tag) == ("vivekg", "1918181833n")
    assert found.media is not None
    assert found.media[0].port == 49217
    assert sip.frame(octets) == len(octets)


def test_compact_names_mean_the_long_ones() -> None:
    body = sdp("m=audio 49170 RTP/AVP 0")
    octets = (
        lines(
            "INVITE sip:bob@example.com SIP/2.0",
            "i: one@two",
            "f: <sip:a@example.com>;tag=1",
            "t: <sip:b@example.com>;tag=2",
            "CSeq: 1 INVITE",
            "c: application/sdp",
            f"l: {len(body)}",
            "",
        )
        + body
    )
    found = read(octets)
    assert (found.call_id, found.from_user, found.from_tag, found.to_tag) == ("one@two", "a", "1", "2")
    assert found.media is not None


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("<sip:alice@example.com>", "alice"),
        ("<sip:alice:secret@example.com>", "alice"),
        ("<sip:+12015550123;phone-context=x@example.com;user=phone>", "+12015550123"),
        ("<tel:+1-201-555-0123;ext=7>", "+1-201-555-0123"),
        ("tel:911", "911"),
        ("sip:bob@example.com;tag=x", "bob"),
        ("<sip:%2A97%23@example.com>", "*97#"),
        ("<sip:%0d%00x@example.com>", "%0d%00x"),
        ("<sip:example.com>", ""),
        ("<sip:@example.com>", ""),
        ("<https://example.com/a@b>", ""),
        ('"sip:wrong@x" <sips:right@example.com>', "right"),
        ("<sip:unclosed@example.com", "unclosed"),
    ],
)
def test_user_is_read_without_password_and_parameters(value: str, user: str) -> None:
    assert read(message(headers=(f"From: {value}",))).from_user == user


@pytest.mark.parametrize(
    ("parameters", "tag"),
    [
        (';x="a;tag=no";tag=yes', "yes"),
        (";TAG = yes ;x", "yes"),
        (";tag=yes x", "yes"),
        (";tagged=no", ""),
        (";tag", ""),
    ],
)
def test_tag_is_read_among_other_parameters(parameters: str, tag: str) -> None:
    assert read(message(headers=(f"To: <sip:b@example.com;tag=no>{parameters}",))).to_tag == tag


@pytest.mark.parametrize("missing", ["Call-ID", "CSeq"])
def test_message_without_dialogue_is_refused(missing: str) -> None:
    assert sip.scan(message(headers=(f"{missing}:",))) is None


def test_call_id_at_its_cap_stays_and_beyond_ends_in_a_digest() -> None:
    at_cap, beyond = "c" * 128, "c" * 129
    assert read(message(headers=(f"Call-ID: {at_cap}",))).call_id == at_cap
    cut = read(message(headers=(f"Call-ID: {beyond}",))).call_id
    assert len(cut) == 128
    assert cut.startswith("c" * 111 + "~")
    assert int(cut[112:], 16)
    assert cut != read(message(headers=(f"Call-ID: {'c' * 4096}",))).call_id
    assert cut != sip.scan(message(headers=(f"Call-ID: {beyond}",)), bytes(16)).call_id  # type: ignore[union-attr]


def test_control_characters_never_survive() -> None:
    hostile = "".join(map(chr, [*range(1, 10), *range(11, 13), *range(14, 32), *range(127, 256)]))
    found = read(
        message(headers=(f"User-Agent: a{hostile}b", f"Call-ID: a{hostile}", f"From: <sip:{hostile}@x>;tag={hostile}"))
    )
    for text in (found.user_agent, found.call_id, found.from_user, found.from_tag):
        assert not [c for c in text if ord(c) < 32 or 127 <= ord(c) < 160]
    assert found.user_agent.startswith("a")


def test_first_of_a_repeated_header_counts() -> None:
    found = read(message(headers=("Call-ID: first", "Call-ID: second", "CSeq: 7 INVITE", "CSeq: 8 BYE")))
    assert (found.call_id, found.cseq, found.method) == ("first", 7, "INVITE")


def test_cseq_beyond_its_range_is_bounded() -> None:
    """RFC 4475 section 3.1.2.4 has such numbers."""
    assert read(message(headers=("CSeq: 36893488147419103232 INVITE",))).cseq == 0xFFFFFFFF


# --- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 10, 100_000, 99_999_999_999])
def test_lying_content_length_loses_no_media(length: int) -> None:
    found = read(message(body=sdp("m=audio 49170 RTP/AVP 0"), length=length))
    assert found.media is not None
    assert found.media[0].port == 49170


def test_content_length_that_ends_a_line_ends_the_body() -> None:
    body = sdp("m=audio 49170 RTP/AVP 0")
    found = read(message(body=body) + sdp("m=audio 6666 RTP/AVP 0"))
    assert found.media is not None
    assert [m.port for m in found.media] == [49170]


def test_description_without_its_content_type_is_found() -> None:
    found = read(message(body=sdp("m=audio 49170 RTP/AVP 0"), content_type="text/plain"))
    assert found.media is not None


def test_last_line_without_line_end_counts_in_a_whole_body() -> None:
    body = sdp("m=audio 49170 RTP/AVP 0", "a=inactive").removesuffix(b"\r\n")
    found = read(message(body=body))
    assert found.media is not None
    assert found.media[0].direction == "inactive"


@pytest.mark.parametrize("content_type", ["application/isup", "text/plain", "application/sdp-other", "message/sipfrag"])
def test_other_body_is_no_description(content_type: str) -> None:
    assert read(message(body=b"x=1\r\nm=audio 1 RTP/AVP 0\r\n", content_type=content_type)).media is None


def part(content_type: str, body: bytes, boundary: str = "b1") -> bytes:
    return lines(f"--{boundary}", f"Content-Type: {content_type}", "Content-Disposition: session", "") + body + b"\r\n"


def test_description_in_a_multipart_body_is_found() -> None:
    body = (
        part("application/isup", b"\x01\x02\r\n--b10\r\n")
        + part("application/sdp", sdp("m=audio 49170 RTP/AVP 0"))
        + part("application/sdp", sdp("m=audio 6666 RTP/AVP 0"))
        + b"--b1--\r\n"
    )
    found = read(message(body=body, content_type="multipart/mixed;boundary=b1"))
    assert found.media is not None
    assert [m.port for m in found.media] == [49170]


def test_description_in_a_nested_multipart_body_is_found() -> None:
    inner = part("text/plain", b"x", "in") + part("application/sdp", sdp("m=audio 49170 RTP/AVP 0"), "in")
    body = part('multipart/alternative; boundary="in"', inner + b"--in--") + b"--b1--\r\n"
    found = read(message(body=body, content_type='multipart/mixed; a="boundary=no"; Boundary="b1"'))
    assert found.media is not None
    assert found.media[0].port == 49170


def test_multipart_after_its_nested_part_goes_on() -> None:
    inner = part("text/plain", b"x", "in") + b"--in--"
    body = part("multipart/alternative;boundary=in", inner) + part("application/sdp", sdp("m=audio 9 RTP/AVP 0"))
    found = read(message(body=body + b"--b1--\r\n", content_type="multipart/mixed;boundary=b1"))
    assert found.media is not None


@pytest.mark.parametrize(("parts", "found"), [(31, True), (32, False)])
def test_multipart_is_read_up_to_its_cap(parts: int, found: bool) -> None:
    body = part("text/plain", b"x") * parts + part("application/sdp", sdp("m=audio 1 RTP/AVP 0")) + b"--b1--\r\n"
    assert (read(message(body=body, content_type="multipart/mixed;boundary=b1")).media is not None) is found


LOWER = ":".join(["ab"] * 32)

# --- SDP ---------------------------------------------------------------------------------------------------------


def test_session_level_holds_where_the_media_says_nothing() -> None:
    audio, video = described(
        "m=audio 49170 UDP/TLS/RTP/SAVPF 111",
        "m=video 51372 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP6 2001:DB8:0:0::1/127",
        "a=fingerprint:SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
        "a=setup:active",
        "a=sendonly",
        session=("c=IN IP4 224.2.36.42/127", f"a=fingerprint:sha-256 {LOWER}", "a=setup:actpass", "a=recvonly"),
    )
    assert (audio.address, audio.setup, audio.direction) == ("224.2.36.42", "actpass", "recvonly")
    assert audio.fingerprints == (f"sha-256 {LOWER.upper()}",)
    assert (video.address, video.setup, video.direction) == ("2001:db8::1", "active", "sendonly")
    assert video.fingerprints == ("sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",)


def test_offer_in_the_shape_of_rfc_5763_is_read() -> None:
    (audio,) = described(
        "m=audio 6056 UDP/TLS/RTP/SAVP 0",
        "a=tcap:1 UDP/TLS/RTP/SAVP RTP/AVP",
        "a=pcfg:1 t=1",
        session=(
            "a=setup:actpass",
            "a=fingerprint: SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
            "c=IN IP4 192.0.2.1",
        ),
    )
    assert (audio.profile, audio.setup) == ("UDP/TLS/RTP/SAVP", "actpass")
    assert audio.fingerprints[0].startswith("sha-1 4A:AD")


def test_fingerprints_of_several_hashes_are_all_kept() -> None:
    """RFC 8122 section 5 allows one line a hash."""
    long, short = ":".join(["0A"] * 64), ":".join(["aB"] * 20)
    (audio,) = described(
        "m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=fingerprint:SHA-512 {long}", f"a=fingerprint:sha-1 {short}",
        f"a=fingerprint:sha3-999 {short}", session=(f"a=fingerprint:sha-256 {LOWER}",),
    )  # fmt: skip
    five = [f"a=fingerprint:sha-256 {i:02X}:{LOWER[3:]}" for i in range(5)]
    (capped,) = described("m=audio 9 UDP/TLS/RTP/SAVPF 0", *five)
    assert len(capped.fingerprints) == 4
    assert audio.fingerprints == (f"sha-512 {long}", f"sha-1 {short.upper()}", f"sha3-999 {short.upper()}")


HASHES = {"md2": 16, "md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}


@pytest.mark.parametrize("name", HASHES)
def test_fingerprint_has_as_many_octets_as_its_hash_gives(name: str) -> None:
    """RFC 8122 section 5."""
    given = {
        octets: described("m=audio 9 RTP/SAVP 0", f"a=fingerprint:{name.upper()} " + ":".join(["aB"] * octets))[0]
        for octets in (HASHES[name] - 1, HASHES[name], HASHES[name] + 1)
    }
    assert [octets for octets, audio in given.items() if audio.fingerprints] == [HASHES[name]]
    assert given[HASHES[name]].fingerprints == (f"{name} " + ":".join(["AB"] * HASHES[name]),)


@pytest.mark.parametrize(
    "value",
    [
        "sha-256",
        "sha-256 XY",
        "sha-256 " + "AB:" * 40000,
        "x AB:",
        "x A",
        "x AB-CD",
        "x :AB:",
        "x " + "AB:" * 64 + "AB",
        "a" * 17 + " AB",
        "\x01 AB",
    ],
)
def test_fingerprint_that_is_none_is_left_out(value: str) -> None:
    (audio,) = described("m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=fingerprint:{value}")[:1]
    assert audio.fingerprints == ()


def test_payload_types_carry_their_rtpmap() -> None:
    (audio,) = described(
        "m=audio 49170/2 RTP/AVP 0 96 101 200 x",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:97 other/8000",
    )
    assert audio.payload_types == ((0, ""), (96, "opus/48000/2"), (101, "telephone-event/8000"))
    assert (audio.media, audio.port, audio.profile) == ("audio", 49170, "RTP/AVP")


@pytest.mark.parametrize("profile", ["udptl", "UDPTL", "TCP", "UDP/TLS/UDPTL", "TCP/RTP/AVP", "TCP/TLS/RTP/SAVP"])
def test_fax_crosses_with_its_profile(profile: str) -> None:
    """ITU-T T.38 Annex D, RFC 7345 section 4: its format is no payload type."""
    (image,) = described(f"m=image 49400 {profile} t38", "a=T38FaxVersion:0", "a=T38FaxUdpEC:t38UDPRedundancy")
    assert (image.media, image.port, image.profile, image.payload_types) == ("image", 49400, profile, ())


def test_refused_and_held_media_are_told() -> None:
    first, second = described("m=audio 0 RTP/AVP 0", "m=video 5000 RTP/AVP 31", "a=inactive")
    assert (first.port, first.direction, second.direction) == (0, "sendrecv", "inactive")


def test_rtcp_zrtp_and_candidates_are_read() -> None:
    (audio,) = described(
        "m=audio 49170 RTP/AVP 0",
        "a=rtcp:53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD",  # RFC 3605 section 2.1
        "a=rtcp-mux",
        "a=zrtp-hash:1.10 fe30efd02423cb054e50efd0248742ac7a52c8f91bc2df881ae642c371ba46df",
        "a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host",  # RFC 8839 section 5.1
        "a=candidate:1 2 UDP 2130706430 203.0.113.141 8999 typ host",
        "a=candidate:2 1 udp 1694498815 2001:DB8::A 45664 typ srflx raddr 203.0.113.141 rport 8998",
        "a=candidate:3 1 tcp 1 192.0.2.3 9 typ host tcptype active",
        "a=candidate:4 1 udp 1 8b0a5bd0-1111.local 5000 typ host",
    )
    assert (audio.rtcp_port, audio.rtcp_mux, audio.zrtp_hash) == (53020, True, True)
    assert audio.rtcp_address == "2001:2345:6789:abcd:ef01:2345:6789:abcd"
    assert audio.candidates == (("203.0.113.141", 8998), ("2001:db8::a", 45664))
    (audio,) = described("m=audio 49170 RTP/AVP 0", "a=rtcp:53020")
    assert (audio.rtcp_port, audio.rtcp_address) == (53020, "")


def test_caps_of_a_description_hold() -> None:
    cryptos = [f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}" for tag in range(1, 20)]
    candidates = [f"a=candidate:1 1 UDP 1 192.0.2.{n} 5000 typ host" for n in range(1, 40)]
    media = described(*["m=audio 49170 RTP/SAVP " + " ".join(map(str, range(40))), *cryptos, *candidates] * 20)
    assert len(media) == 8
    assert {(len(m.payload_types), len(m.cryptos), len(m.candidates)) for m in media} == {(16, 8, 16)}


@pytest.mark.parametrize(("count", "kept"), [(7, 7), (8, 8), (9, 8)])
def test_media_are_kept_up_to_their_cap(count: int, kept: int) -> None:
    assert len(described(*["m=audio 49170 RTP/AVP 0"] * count)) == kept


def test_attributes_after_a_broken_media_line_are_not_given_to_another() -> None:
    (audio,) = described("m=audio 49170 RTP/AVP 0", "m=video x RTP/AVP 31", "a=inactive", "c=IN IP4 192.0.2.99")
    assert (audio.direction, audio.address) == ("sendrecv", "192.0.2.10")


def test_largest_message_that_is_kept_fits_the_ring() -> None:
    """Every text at its cap in every one of eight media."""
    media = [
        "m=" + "a" * 40 + " 65535 " + "P" * 100 + " " + " ".join(map(str, range(100, 116))),
        "c=IN IP4 " + "h" * 200,
        *[f"a=rtpmap:{n} " + "e" * 100 for n in range(100, 116)],
        *[f"a=crypto:4294967295 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"] * 8,
        *["a=candidate:1 1 UDP 1 1111:2222:3333:4444:5555:6666:7777:8888 65535 typ host"] * 16,
        *["a=fingerprint:" + "f" * 16 + " " + ":".join(["AB"] * 64)] * 4,
        "a=rtcp:1 IN IP4 " + "h" * 200,
    ]
    long = "x" * 300
    party = f"<sip:{long}@x>;tag={long}"
    octets = message(
        headers=(
            *(f"User-Agent: {long}", f"Call-ID: {long}", f"From: {party}", f"To: {party}", f"Replaces: {long}"),
            f"Session-ID: {'a' * 32};remote={'b' * 32}",
            *(f"X-{n}: {n}" for n in range(8)),
        ),
        body=sdp(*media * 8),
    )
    found = sip.scan(octets, SECRET, tuple(f"x-{n}" for n in range(8)))
    assert found is not None
    assert len(found.headers) == 8
    assert found.media is not None
    assert len(found.media[7].fingerprints) == 4
    assert len(found.media) == 8
    assert found.media[7].candidates[15] == ("1111:2222:3333:4444:5555:6666:7777:8888", 65535)


# --- a=crypto ----------------------------------------------------------------------------------------------------


def test_crypto_of_rfc_4568_section_9_1_is_read() -> None:
    line = crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:32")
    assert (line.tag, line.suite) == (1, "AES_CM_128_HMAC_SHA1_80")
    assert line.key_digest
    assert (line.unencrypted_srtp, line.unencrypted_srtcp, line.unauthenticated_srtp) == (False, False, False)
    assert (line.mki, line.potential) == (32, False)


@pytest.mark.parametrize(
    ("parameters", "octets"),
    [
        ("", 0),
        ("|2^20", 0),
        ("|1048576", 0),
        ("|2^20|1:4", 4),
        ("|1:4", 4),
        ("|66051:128", 128),
        ("|2^20|1:129", 0),
        ("|1:0", 0),
        ("|1:", 0),
        ("|:4", 4),
        ("|||", 0),
        (f"|2^20;inline:{KEY}|2^20|2:4", 0),
        (f"|2^20|1:4;inline:{KEY}|2^20|2:4", 4),
    ],
)
def test_mki_s_length_is_read_and_its_value_is_not(parameters: str, octets: int) -> None:
    """RFC 4568 section 6.1."""
    line = crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{parameters} KDR=1")
    assert line.mki == octets
    assert line.key_digest == crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}").key_digest
    assert "66051" not in repr(line)


@pytest.mark.parametrize(
    ("parameter", "flags"),
    [
        ("UNENCRYPTED_SRTP", (True, False, False)),
        ("unencrypted_srtcp", (False, True, False)),
        ("Unauthenticated_SRTP", (False, False, True)),
        ("KDR=24 FEC_ORDER=SRTP_FEC WSH=64", (False, False, False)),
        (f"FEC_KEY=inline:{KEY}|2^20|1:4", (False, False, False)),
        ("-UNENCRYPTED_SRTP UNENCRYPTED_SRTP=1 XUNENCRYPTED_SRTP", (False, False, False)),
    ],
)
def test_session_parameter_is_read_in_any_case(parameter: str, flags: tuple[bool, bool, bool]) -> None:
    """RFC 4568 section 6.3; the strings of its grammar have no case (RFC 5234 section 2.3)."""
    line = crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} {parameter}")
    assert (line.unencrypted_srtp, line.unencrypted_srtcp, line.unauthenticated_srtp) == flags
    assert line.mki == 0


@pytest.mark.parametrize("value", ["", "1", "1 ", "x AES_CM_128_HMAC_SHA1_80 inline:AAAA", f"1 inline:{KEY}"])
def test_crypto_that_is_none_is_left_out(value: str) -> None:
    (audio,) = described("m=audio 49170 RTP/SAVP 0", f"a=crypto:{value}")
    assert audio.cryptos == ()


def test_crypto_with_session_parameters_is_read() -> None:
    """RFC 4568 section 6.3."""
    line = crypto(
        f"2 F8_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 "
        "KDR=1 UNENCRYPTED_SRTP UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP FEC_ORDER=FEC_SRTP"
    )
    assert (line.tag, line.suite) == (2, "F8_128_HMAC_SHA1_80")
    assert line.unencrypted_srtp
    assert line.unencrypted_srtcp
    assert line.unauthenticated_srtp


@pytest.mark.parametrize(
    "suite",
    [
        "AES_CM_128_HMAC_SHA1_32",
        "SEED_CTR_128_HMAC_SHA1_80",
        "SEED_128_CCM_80",
        "SEED_128_GCM_96",
        "AES_192_CM_HMAC_SHA1_80",
        "AES_192_CM_HMAC_SHA1_32",
        "AES_256_CM_HMAC_SHA1_80",
        "AES_256_CM_HMAC_SHA1_32",
        "AEAD_AES_128_GCM",
        "AEAD_AES_256_GCM",
        "AEAD_ARIA_128_GCM",
        "AEAD_ARIA_256_GCM",
        "ARIA_128_CTR_HMAC_SHA1_80",
        "ARIA_256_CTR_HMAC_SHA1_32",
        "AES_CM_256_HMAC_SHA1_80",
    ],
)
def test_every_registered_suite_is_named(suite: str) -> None:
    assert crypto(f"1 {suite} inline:{KEY}").suite == suite
    assert crypto(f"1 {suite.lower()} inline:{KEY}").suite == suite


def test_key_digest_is_of_the_key_alone() -> None:
    digest = crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}").key_digest
    assert crypto(f"9 AEAD_AES_256_GCM INLINE:{KEY}==|2^31|1:1 KDR=1").key_digest == digest
    assert crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-1]}").key_digest != digest


def test_two_spellings_of_a_key_have_one_digest() -> None:
    """RFC 4648 section 3.5: the last digit has bits that say nothing."""
    spelt = {crypto(f"1 AEAD_AES_128_GCM inline:{text}").key_digest for text in ("AQID/w==", "AQID/w", "AQID/x==")}
    assert spelt == {siphash(SECRET, b"\x01\x02\x03\xff")}


@pytest.mark.parametrize(
    "parameter",
    [
        "uri:example",
        "inline:",
        "inline:====",
        "inline:|2^20",
        "inline:A",
        "inline:AAA_",
        "inline:AA=A",
        "inline:" + "A" * 90,
    ],
)
def test_key_that_is_none_has_no_digest(parameter: str) -> None:
    assert crypto(f"1 AES_CM_128_HMAC_SHA1_80 {parameter}").key_digest == 0


def test_digests_are_siphash_2_4() -> None:
    """The vector of the SipHash paper (2012), appendix A: octets 0 to 14 under the key 0 to 15."""
    assert siphash(SECRET, bytes(range(15))) == 0xA129CA6149BE45E5
    assert crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}").key_digest == siphash(SECRET, base64.b64decode(KEY))
    call_id = read(message(headers=("Call-ID: " + "a" * 203,))).call_id
    assert call_id.endswith("~" + format(siphash(SECRET, b"a" * 203), "016x"))


def siphash(secret: bytes, octets: bytes) -> int:
    """SipHash-2-4, written from the paper."""
    mask = (1 << 64) - 1
    k0, k1 = (int.from_bytes(secret[at : at + 8], "little") for at in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turn(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & mask

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[2] = (v[2] + v[3]) & mask
            v[1] = turn(v[1], 13) ^ v[0]
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[1]) & mask
            v[0] = (v[0] + v[3]) & mask
            v[1] = turn(v[1], 17) ^ v[2]
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)

    whole = len(octets) // 8 * 8
    words = [int.from_bytes(octets[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append(int.from_bytes(octets[whole:], "little") | (len(octets) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@pytest.mark.parametrize(
    "attribute",
    [
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"crypto:1 inline:{KEY}",
        f"crypto:1 {KEY} inline:{KEY}",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline: {KEY} {KEY}",
        f"crypto:{KEY}",
        f"acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"key-mgmt:mikey {KEY}",
    ],
)
def test_no_octet_of_a_key_leaves(attribute: str) -> None:
    text = repr(described("m=audio 49170 RTP/SAVP 0", f"a={attribute}", f"k=base64:{KEY}"))
    assert not [at for at in range(len(KEY) - 3) if KEY[at : at + 4] in text]


# --- bounded work ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(message(headers=tuple(f"X-{n}: {n}" for n in range(4000))), id="headers"),
        pytest.param(lines("OPTIONS sip:a SIP/2.0") + b"i:\r\n" * 16000, id="empty headers"),
        pytest.param(lines("OPTIONS sip:a SIP/2.0") + b"\n " * 32000, id="folds"),
        pytest.param(message(headers=("Call-ID: " + "c" * 60000,)), id="call-id"),
        pytest.param(message(headers=("From: " + '"' * 60000,)), id="quotes"),
        pytest.param(message(headers=("From: <sip:a@b>" + ";" * 60000,)), id="parameters"),
        pytest.param(message(headers=("From: <sip:a@b>" + ";tag" * 15000,)), id="tags"),
        pytest.param(message(body=b"v=0\r\n" + b"m=a 1 b 1\n" * 6000), id="media"),
        pytest.param(message(body=b"v=0\r\nm=a 1 b 1\r\n" + b"a=rtpmap:1 x\n" * 4500), id="rtpmap"),
        pytest.param(message(body=b"v=0\r\nm=a 1 b 1\r\n" + b"a=crypto:1 x inline:y\n" * 2700), id="crypto"),
        pytest.param(message(body=b"v=0\r\n" + b"a=fingerprint:x A" * 3500), id="fingerprint"),
        pytest.param(message(headers=("Require: " + "," * 60000,)), id="require"),
        pytest.param(message(headers=("Session-ID: " + ";remote" * 8000,)), id="session-id"),
        pytest.param(message(headers=("Authorization: Digest " + ",response" * 6000,)), id="credentials"),
        pytest.param(message(headers=('Authorization: Digest "' + '\\"' * 30000,)), id="quoted credentials"),
        pytest.param(
            message(body=b"v=0\r\na=group:BUNDLE" + b" x" * 15000 + b"\r\n" + b"m=a 1 b 1\r\na=mid:y\r\n" * 1500),
            id="bundle",
        ),
        pytest.param(
            message(body=b"v=0\r\na=group:BUNDLE" + b" x" * 15000 + b"\r\nm=a 1 b 1\r\n" + b"a=mid:y\r\n" * 3000),
            id="mid",
        ),
        pytest.param(message(body=b"v=0\r\nm=a 1 b 1\r\na=crypto:1 x inline:" + b"A" * 60000), id="key"),
        pytest.param(message(body=b"v=0\r\nm=a 1 b 1\r\na=crypto:1 x inline:A" + b"|" * 60000), id="lifetimes"),
        pytest.param(
            message(body=b"v=0\r\nm=a 1 b 1\r\n" + b"a=candidate:1 1 udp 1 1.1.1.1 1 typ relay raddr 1.1.1.1\n" * 1100),
            id="candidates",
        ),
        pytest.param(
            message("MESSAGE sip:a SIP/2.0", ("CSeq: 1 MESSAGE",), b"c:x\n" * 15000, "message/cpim"), id="cpim"
        ),
        pytest.param(message(body=b"--b\r\n\r\n" * 8000, content_type="multipart/mixed;boundary=b"), id="parts"),
        pytest.param(
            message(body=b"--b\nc:multipart/x;boundary=b\n\n" * 2000, content_type="multipart/x;boundary=b"),
            id="nested parts",
        ),
        pytest.param(b"INVITE sip:" * 5000, id="start lines"),
        pytest.param(b"A sip:\n" * 9000, id="start lines by line"),
    ],
)
def test_pathological_message_takes_bounded_time(octets: bytes) -> None:
    """A millisecond is what 64 KiB may take; the machine of the tests gets 20 times that, best of three."""

    def elapsed() -> float:
        start = time.perf_counter()
        sip.probe(octets)
        sip.frame(octets)
        sip.resync(octets)
        sip.scan(octets)
        return time.perf_counter() - start

    assert min(elapsed() for _ in range(3)) < 0.02


# --- what a message exposes, and to what it belongs --------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ('Authorization: Digest username="bob", realm="r", nonce="n", uri="sip:r", response="0123"', "digest"),
        ('Proxy-Authorization: digest realm="a, response=\\"x\\"",\r\n response = "0123"', "digest"),
        ("Authorization: Basic Ym9iOnNlY3JldA==", "basic"),
        ("Authorization: Bearer abc.def", "bearer"),
        ('Authorization: Digest username="bob", response=""', ""),  # RFC 3310 section 3.3
        ('Authorization: Digest username="response=x"', ""),
        ("Authorization: Digest\r\n username=bob,\r\n\tresponse=0123", "digest"),
        ("Authorization: Digest response=, username=bob", ""),
        ("Authorization: Digest", ""),
        ("Authorization: Basic", ""),
        ("Authorization: Negotiate abc", "other"),
        ('WWW-Authenticate: Digest realm="r", nonce="n", response="0"', ""),
        ("Authorization:", ""),
    ],
)
def test_credentials_are_known_by_their_scheme(header: str, scheme: str) -> None:
    assert read(message(headers=(header,))).credentials == scheme


def test_credentials_in_a_response_are_none() -> None:
    assert read(message("SIP/2.0 200 OK", ("Authorization: Basic Ym9iOnNlY3JldA==",))).credentials == ""


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", b"hello", True),
        ("message/cpim", b"hello", True),
        ("", b"hello", True),
        ("text/plain", b"", False),
        ("application/im-iscomposing+xml", b"<x/>", False),
        ("application/pkcs7-mime; smime-type=enveloped-data", b"x", False),
        ("Application/X-PKCS7-MIME", b"x", False),
        ("multipart/encrypted; boundary=b", b"x", False),
        ("multipart/encrypted", b"x", False),
        ("multipart/mixed;boundary=b", b"--b\r\n\r\nhello\r\n--b--\r\n", True),  # RFC 4475 section 3.1.1.11
        ("message/cpim", b"From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nhello", True),
        ("message/cpim", b"From: <im:a@b>\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n<x/>", False),
        ("message/cpim", b"NS: x\r\n\r\nContent-type: multipart/encrypted;boundary=b\r\n\r\nx", False),
        ("message/cpim", b"Content-Type: message/imdn+xml\r\n\r\nContent-Type: text/plain\r\n\r\nhello", True),
        ("message/imdn+xml", b"<x/>", False),
    ],
)
def test_text_of_a_message_is_known_to_be_in_clear(content_type: str, body: bytes, expected: bool) -> None:
    octets = message("MESSAGE sip:bob@example.com SIP/2.0", ("CSeq: 1 MESSAGE",), body, content_type or "x")
    if not content_type:
        octets = octets.replace(b"Content-Type: x\r\n", b"")
    assert read(octets).text is expected


@pytest.mark.parametrize(("length", "expected"), [(0, False), (5, True), (99, True)])
def test_text_ends_where_content_length_says(length: int, expected: bool) -> None:
    """RFC 3261 section 18.3: what comes behind in a datagram is none of it."""
    octets = message("MESSAGE sip:bob@example.com SIP/2.0", ("CSeq: 1 MESSAGE",), b"hello", "text/plain", length)
    assert read(octets).text is expected


def test_text_of_any_other_request_is_none() -> None:
    assert not read(message(body=b"hello", content_type="text/plain")).text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000",
            ("ab30317f1a784dc48ff824d0d3715d86",),
        ),
        (
            "AB30317F1A784DC48FF824D0D3715D86 ; remote = 47755a9de7794ba387653f2099600ef2",
            ("ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2"),
        ),
        ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", ()),
        ("zz30317f1a784dc48ff824d0d3715d86", ()),
        (";remote=", ()),
    ],
)
def test_session_id_gives_the_uuids_that_are_not_nil(value: str, expected: tuple[str, ...]) -> None:
    """RFC 7989 sections 5 and 6."""
    assert read(message(headers=(f"Session-ID: {value}",))).session_ids == expected


def test_replaces_names_a_call_id_as_that_call_has_it() -> None:
    """RFC 3891 section 6.1; a long one is cut to the same digest."""
    for call_id in ("98732@sip.example.com", "x" * 4096):
        assert (
            read(message(headers=(f"Replaces: {call_id} ;from-tag=r33th4x0r;to-tag=ff87ff",))).replaces
            == read(message(headers=(f"Call-ID: {call_id}",))).call_id
        )


@pytest.mark.parametrize(
    ("value", "expected"), [("siprec", True), ("timer, SIPREC", True), ("siprecs", False), ("", False)]
)
def test_recording_session_is_known_by_what_it_requires(value: str, expected: bool) -> None:
    """RFC 7866 section 6.1.1."""
    assert read(message(headers=(f"Require: {value}",))).recording is expected


METADATA = b"<?xml version='1.0'?><recording/>\r\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/rs-metadata", METADATA),
        ("Application/RS-Metadata+xml", METADATA),
        (
            "multipart/mixed;boundary=b1",
            part("application/sdp", sdp("m=audio 1 RTP/AVP 0")) + part("application/rs-metadata+xml", METADATA),
        ),
        (
            "multipart/mixed;boundary=b1",
            part("application/rs-metadata", b"v=0\r\n") + part("application/sdp", sdp("m=audio 1 RTP/AVP 0")),
        ),
        (
            "multipart/mixed;boundary=b1",
            part("multipart/mixed;boundary=in", part("application/rs-metadata", METADATA, "in") + b"--in--\r\n"),
        ),
    ],
)
def test_recording_session_is_known_by_its_metadata(content_type: str, body: bytes) -> None:
    """RFC 7866 section 7.1.1: metadata comes in a part of its own, before the description or after it."""
    found = read(message(body=body + b"--b1--\r\n", content_type=content_type))
    assert found.recording
    assert (found.media is not None) == (b"m=audio" in body)


def test_every_require_is_read() -> None:
    """RFC 3261 section 7.3.1: a list may be spread over several header fields."""
    assert read(message(headers=("Require: timer", "Require: 100rel,\r\n siprec"))).recording


def test_headers_that_are_wanted_cross_as_digests() -> None:
    wanted = ("X-Call-ID", "x-other", "absent")

    def digests(*headers: str) -> tuple[tuple[int, int], ...]:
        found = sip.scan(message(headers=headers), SECRET, wanted)
        assert found is not None
        assert "4711" not in repr(found)
        return found.headers

    (one,) = digests("x-call-id: 4711")
    assert one[0] == 0
    assert digests("X-Call-ID:   4711  ", "X-Call-ID: 1") == (one,)
    assert digests("X-Call-ID: 4712") != (one,)
    assert digests("X-Other: 4711", "x-call-id: 4711") == (one, (1, one[1]))
    assert digests("Subject: 4711") == ()


@pytest.mark.parametrize("headers", [("x",) * 9, ("x" * 33,), ("",), ("x y",), ("x:",), ("x\xe4",)])
def test_headers_that_cannot_be_wanted_are_refused(headers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="call_headers"):
        sip.scan(message(), SECRET, headers)


def test_secure_profile_among_capabilities_is_potential() -> None:
    """RFC 5939 sections 3.4.1 and 3.4.2: a key in a capability can be read as well as any."""
    (audio,) = described(
        "m=audio 53456 RTP/AVP 0 18",
        "a=tcap:1 RTP/SAVPF RTP/SAVP RTP/AVPF",
        "a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32",
        "a=pcfg:1 t=1|2 a=1",
    )
    assert audio.potential_srtp
    assert [(crypto.suite, crypto.potential, crypto.mki) for crypto in audio.cryptos] == [
        ("AES_CM_128_HMAC_SHA1_32", True, 32)
    ]
    assert audio.cryptos[0].key_digest
    (audio,) = described("m=audio 53456 RTP/AVP 0", "a=tcap:1 RTP/AVPF")
    assert not audio.potential_srtp


def test_line_that_another_one_s_port_is_offered_for_is_marked() -> None:
    """RFC 9143 section 6."""
    audio, video = described("m=audio 9000 RTP/AVP 0", "m=video 0 RTP/AVP 31", "a=bundle-only")
    assert (audio.bundle_only, video.bundle_only, video.port) == (False, True, 0)


def test_lines_of_a_bundle_are_known_by_their_tags() -> None:
    """RFC 9143 section 7.1: there may be several groups, and lines in none."""
    lines_of = ("0", "b", "c", "B", "b2")
    media = [text for mid in lines_of for text in ("m=audio 9000 RTP/AVP 0", f"a=mid:{mid}")]
    groups = ("a=group:LS 0 B", "a=group:bundle 0  b", "a=group:BUNDLE", "a=group:BUNDLE x c")
    found = described(*media, "m=audio 9000 RTP/AVP 0", "a=group:BUNDLE late", "a=mid:late", session=groups)
    assert [line.bundle for line in found] == [1, 1, 3, 0, 0, 0]


def test_first_mid_of_a_line_counts() -> None:
    audio, video = described(
        *("m=audio 9000 RTP/AVP 0", "a=mid:x", "a=mid:0", "m=video 9002 RTP/AVP 31", "a=mid:0", "a=mid:x"),
        session=("a=group:BUNDLE 0",),
    )
    assert (audio.bundle, video.bundle) == (0, 1)


# --- limits ------------------------------------------------------------------------------------------------------


def test_what_matters_is_found_among_ten_thousand_headers() -> None:
    octets = lines(
        *("INVITE sip:a SIP/2.0", *["A:b"] * 5000, "Session-ID: ab30317f1a784dc48ff824d0d3715d86", *["A:b"] * 5000),
        *("i: one", "CSeq: 1 INVITE", "Require: siprec", ""),
    )
    found = read(octets)
    assert (found.call_id, found.recording, len(found.session_ids)) == ("one", True, 1)


def test_header_folded_over_and_over_is_one() -> None:
    """RFC 3261 section 7.3.1."""
    found = read(
        message(
            headers=(
                "Session-ID:" + "\r\n " * 500 + "ab30317f1a784dc48ff824d0d3715d86\r\n\t;\r\n remote\r\n ="
                "\r\n 47755a9de7794ba387653f2099600ef2",
                "Replaces:\r\n 98732@sip.example.com\r\n ;from-tag=a",
                "Require\t:\r\n timer,\r\n\tsiprec",
            )
        )
    )
    assert found.session_ids == ("ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2")
    assert (found.replaces, found.recording) == ("98732@sip.example.com", True)


def test_nul_octets_end_nothing() -> None:
    body = sdp(
        "m=audio 49170 RTP/SAVP 0", f"a=x:\0\0a=crypto:9 x inline:{KEY}", f"a=crypto:1 AES_256_CM\0 inline:{KEY}"
    )
    found = read(message(headers=("X: \0", "Replaces: a\0b;from-tag=c", "Session-ID: " + "0\0" * 16), body=body))
    assert found.media is not None
    assert [(line.tag, line.suite) for line in found.media[0].cryptos] == [(1, "")]
    assert found.replaces.startswith("a?b~")
    assert found.session_ids == ()


@pytest.mark.parametrize("octets", [65535, 65536, 100_000])
def test_message_beyond_its_limit_is_read_up_to_it(octets: int) -> None:
    head = message(headers=("Session-ID: ab30317f1a784dc48ff824d0d3715d86",), body=sdp("m=audio 49170 RTP/AVP 0"))
    found = read(head + b"a=x\r\n" * (octets // 5))
    assert found.session_ids == ("ab30317f1a784dc48ff824d0d3715d86",)
    assert found.media is not None


@pytest.mark.parametrize(("depth", "found"), [(4, True), (5, False)])
def test_multipart_is_nested_up_to_its_cap(depth: int, found: bool) -> None:
    body = part("application/sdp", sdp("m=audio 1 RTP/AVP 0"), f"b{depth}")
    for level in range(depth - 1, 0, -1):
        body = part(f"multipart/mixed;boundary=b{level + 1}", body, f"b{level}")
    assert (read(message(body=body, content_type="multipart/mixed;boundary=b1")).media is not None) is found


# --- the shapes of RFC 4475 --------------------------------------------------------------------------------------

WORD = "word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(
            message(
                "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't@x SIP/2.0",
                (
                    f"Call-ID: {WORD}",
                    "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~",
                    'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)@example.com>',
                ),
            ),
            {"call_id": WORD, "cseq": 139122385, "to_user": "1_unusual.URI~(to-be!sure)"},
            id="3.1.1.2 characters of every kind",
        ),
        pytest.param(
            message(headers=("From: <sip:I%20have%20spaces@example.net>;tag=938", "To: <sip:%75se%72@example.com>")),
            {"from_user": "I%20have%20spaces", "to_user": "user"},
            id="3.1.1.3 escapes",
        ),
        pytest.param(
            message(headers=("To: <sip:null-%00-null@example.com>", "From: sip:%00@example.com;tag=1")),
            {"to_user": "null-%00-null", "from_user": "%00"},
            id="3.1.1.4 escaped NUL",
        ),
        pytest.param(
            message("RE%47IST%45R sip:registrar.example.com SIP/2.0", ('From: "%Z%45" <sip:resource@x>;tag=f232j',)),
            {"method": "RE%47IST%45R", "from_tag": "f232j"},
            id="3.1.1.5 a method with what looks like escapes",
        ),
        pytest.param(
            message(headers=("From: caller<sip:caller@example.com>;tag=323",)),
            {"from_user": "caller", "from_tag": "323"},
            id="3.1.1.6 no space before the URI",
        ),
        pytest.param(
            message(
                headers=(
                    f'To: "I have a user name of {"extreme " * 20}proportion"<sip:user@example.com:6000;x={"u" * 300}>',
                    f"F: sip:{'amazing' * 9}@example.net;tag=12{'982424' * 20};{'unknown' * 40}name=value",
                    *(f"v: SIP/2.0/TCP sip{n}.example.com" for n in range(40)),
                    f"Call-ID: {'longreq.one' + 'really' * 20}",
                )
            ),
            {"to_user": "user", "from_user": "alice"},  # the first From counts
            id="3.1.1.7 long values",
        ),
        pytest.param(
            message("REGISTER sip:example.com SIP/2.0", ("CSeq: 8 REGISTER", "Content-Type: application/sdp"))
            + message(headers=("Call-ID: behind", "Require: siprec")),
            {"method": "REGISTER", "call_id": "a84b4c76e66710@pc33.atlanta.example.com", "recording": False},
            id="3.1.1.8 octets behind the message",
        ),
        pytest.param(
            message("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", ("To: sip:user;x=a@example.org",)),
            {"method": "OPTIONS", "to_user": ""},  # without <> parameters are the header's: RFC 3261 section 20
            id="3.1.1.9 semicolons in the user",
        ),
        pytest.param(
            message(headers=("Via: SIP/2.0/SPX 192.0.2.1", "Via: SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bK3")),
            {"method": "INVITE"},
            id="3.1.1.10 transports",
        ),
        pytest.param(
            message("SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe"), {"status": 200}, id="3.1.1.12 an unusual reason"
        ),
        pytest.param(message("SIP/2.0 100 "), {"status": 100, "method": "INVITE"}, id="3.1.1.13 no reason"),
        pytest.param(
            message(headers=('Contact: "Joe" <sip:joe@example.org>;;;;', "Via: x;;,;,,")),
            {"from_tag": "1928301774"},
            id="3.1.2.1 separators without anything between",
        ),
        pytest.param(
            message(body=sdp("m=audio 49170 RTP/AVP 0"), length=9999), {"has_media": True}, id="3.1.2.2 too long"
        ),
        pytest.param(
            message(body=sdp("m=audio 49170 RTP/AVP 0"), length=-999), {"has_media": True}, id="3.1.2.3 negative length"
        ),
        pytest.param(
            message("SIP/2.0 503 Service Unavailable", ("CSeq: 9292394834772304023312 OPTIONS",)),
            {"status": 503, "cseq": 0xFFFFFFFF, "method": "OPTIONS"},
            id="3.1.2.5 scalars beyond their range",
        ),
        pytest.param(
            message(headers=('To: "Mr. J. User <sip:j.user@example.com>;tag=no',)),
            {"to_user": "", "to_tag": ""},
            id="3.1.2.6 a quote that is not closed",
        ),
        pytest.param(message("INVITE <sip:user@example.com> SIP/2.0"), None, id="3.1.2.7 brackets"),
        pytest.param(
            message("INVITE sip:user@example.com; lr SIP/2.0"), {"method": "INVITE"}, id="3.1.2.8 space inside"
        ),
        pytest.param(message("INVITE  sip:user@example.com  SIP/2.0"), None, id="3.1.2.9 several spaces"),
        pytest.param(
            message("OPTIONS sip:a@example.com SIP/2.0  "), {"method": "OPTIONS"}, id="3.1.2.10 spaces behind"
        ),
        pytest.param(
            message("INVITE sip:user@example.com?Route=%3Csip:sip.example.com%3E SIP/2.0"),
            {"method": "INVITE"},
            id="3.1.2.11 headers in the URI",
        ),
        pytest.param(
            message(headers=('To: "Watson, Thomas" < sip:t.watson@example.org >;tag=1',)),
            {"to_user": "t.watson", "to_tag": "1"},
            id="3.1.2.14 spaces in an address",
        ),
        pytest.param(
            message(headers=("From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43",)),
            {"from_user": "a.g.bell", "from_tag": "43"},
            id="3.1.2.15 a name that needs quotes",
        ),
        pytest.param(
            message("OPTIONS sip:user@example.com SIP/2.0", ("CSeq: 8 INVITE",)),
            {"method": "OPTIONS", "cseq": 8},
            id="3.1.2.17 another method in CSeq",
        ),
        pytest.param(
            message("SIP/2.0 4294967301 better not break the receiver"), None, id="3.1.2.19 a status too large"
        ),
    ],
)
def test_torture_is_read_as_far_as_it_says_something(octets: bytes, expected: dict[str, object] | None) -> None:
    found = sip.scan(octets, SECRET)
    if expected is None:
        assert found is None
        return
    assert found is not None
    for field, value in expected.items():
        assert (found.media is not None if field == "has_media" else getattr(found, field)) == value
