"""What SDP in clear says of dynamic payload types: what is kept, what it is good for, and that it decides nothing.

RFC 3264 sections 5.1 and 6.1; RFC 8866 sections 5.7, 5.14 and 6.6; RFC 9143 for sections that share a port.
"""

import ipaddress
import random
from collections.abc import Callable, Iterable, Sequence
from importlib import resources

import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.engine import Engine, record_sizes
from fastpath.records import FlowEnded, Verdict
from fastpath.source import BufferSource
from fastpath.verdict import Tables, judge_payloads
from tests.packets import (
    B6,
    SECRET,
    T0,
    A,
    B,
    End,
    Outcome,
    Packet,
    ciphertext,
    ethernet,
    finish,
    g729,
    new_engine,
    observe,
    speech,
    stream,
    tcp,
    udp,
)

TABLES = Tables(resources.files("fastpath").joinpath("tables", "tables.bin").read_bytes())
PHONE, PROXY = End("192.0.2.1", 5060), End("192.0.2.2", 5060)
TYPE = 97
SOONEST = 20  # packets that must contradict a hinted codec
WITHOUT = 32  # packets until ciphertext on a dynamic type can be called so with nothing to go by


def section(
    *maps: tuple[int, str], port: int = B.port, ip: str = "", profile: str = "RTP/AVP", more: Sequence[str] = ()
) -> str:
    """An m= section with its rtpmaps; ``ip`` gives it a c= of its own."""
    lines = [f"m=audio {port} {profile} {' '.join(str(number) for number, _ in maps) or '0'}"]
    if ip:
        lines.append(f"c=IN IP{ipaddress.ip_address(ip).version} {ip}")
    lines += [f"a=rtpmap:{number} {encoding}" for number, encoding in maps]
    return "\r\n".join([*lines, *more]) + "\r\n"


def description(*sections: str, connection: str = f"c=IN IP4 {B.ip}\r\n") -> bytes:
    """An INVITE whose SDP has these sections."""
    body = f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{connection}t=0 0\r\n" + "".join(sections)
    return (
        "INVITE sip:b@example.com SIP/2.0\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
        f"Call-ID: 1@example.com\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        f"\r\n{body}"
    ).encode()


def said(octets: bytes, ts_ns: int = T0 - SECOND) -> Packet:
    """A frame with a SIP message."""
    return ts_ns, ethernet(udp(octets, PHONE, PROXY))


def hinted(encoding: str, *, ts_ns: int = T0 - SECOND) -> list[Packet]:
    """The frame of a description that gives the dynamic type a codec where the streams of these tests go to."""
    return [said(description(section((TYPE, encoding))), ts_ns)]


def heard(*messages: bytes, **options: int) -> Engine:
    """An engine that read messages, a millisecond apart."""
    engine = new_engine(**options)
    engine.process(BufferSource([said(octets, T0 + MS * number) for number, octets in enumerate(messages)]))
    assert engine.counters()["sip_messages"] == len(messages)
    return engine


def hint(engine: Engine, payload_type: int = TYPE, end: End = B) -> str:
    """The codec that a payload type means at an address and port."""
    address = ipaddress.ip_address(end.ip)
    octets = address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
    return engine.hint(octets, end.port, payload_type)


def media(outcome: Outcome) -> FlowEnded:
    """The only flow of media."""
    (flow,) = [flow for flow in outcome.of(FlowEnded) if flow.app == "rtp"]
    return flow


# What is kept


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("opus/48000/2", "opus"), ("OPUS/48000/2", "opus"), ("opus/16000", ""), ("AMR/8000", "amr"),
        ("AMR/8000/1", "amr"), ("amr-wb/16000", "amrwb"), ("AMR-WB/8000", ""), ("iLBC/8000", "ilbc"),
        ("ILBC/8000/1", "ilbc"), ("speex/8000", "speex"), ("speex/16000", "speexwb"), ("speex/32000", ""),
        ("G726-16/8000", "g726-16"), ("G726-24/8000", "g726-24"), ("G726-32/8000", "g726-32"),
        ("g726-40/8000", "g726-40"), ("AAL2-G726-16/8000", "aal2-16"), ("AAL2-G726-24/8000", "aal2-24"),
        ("AAL2-G726-32/8000", "aal2-32"), ("AAL2-G726-40/8000", "aal2-40"), ("L16/8000", "l16"), ("L16/44100/1", "l16"),
        ("L16/44100/2", ""), ("GSM/8000", "gsm"), ("GSM-EFR/8000", ""), ("PCMU/8000", "pcmu"), ("PCMA/8000", "pcma"),
        ("PCMU/16000", ""), ("PCMU/8000/2", ""), ("G722/8000", "g722"), ("G729/8000", "g729"), ("G729D/8000", ""),
        ("G723/8000", "g723"), ("CN/16000", "cn"), ("telephone-event/8000", "event"),
        ("telephone-event/48000", "event"),
        ("red/8000", "red"), ("RED/48000/2", "red"), ("t140/1000", "t140"), ("H264/90000", "h264"),
        ("H265/90000", "h265"), ("H263-1998/90000", "h263p"), ("H263-2000/90000", "h263p"), ("H263/90000", ""),
        ("VP8/90000", "vp8"), ("VP9/90000", "vp9"), ("AV1/90000", "av1"), ("MP4V-ES/90000", "mp4v"),
        ("JPEG/90000", "jpeg"), ("CODEC2/8000", "codec2"), ("rtx/90000", ""), ("iLBC", ""), ("iLBC/", ""),
        ("/8000", ""),
        ("iLBC/8000x", ""), ("iLBC/x", ""), ("iLB/8000", ""), ("iLBCC/8000", ""), ("iLBC/4294975296", ""), ("/", ""),
        ("iLBC/8000/99999999999", ""), ("@pus/48000", ""),
    ],
)  # fmt: skip
def test_encoding_name_and_clock_name_the_codec(encoding: str, codec: str) -> None:
    assert hint(heard(description(section((TYPE, encoding))))) == codec


@pytest.mark.parametrize(
    ("profile", "kept"),
    [
        ("RTP/AVP", True), ("RTP/AVPF", True), ("RTP/SAVP", True), ("RTP/SAVPF", True), ("UDP/TLS/RTP/SAVP", True),
        ("udp/tls/rtp/savpf", True), ("TCP/RTP/AVP", False), ("TCP/TLS/RTP/SAVPF", False), ("UDP/DTLS/SCTP", False),
        ("udptl", False), ("RTP/", False), ("RTP/AVPX", False), ("UDP/TLS/", False), ("RTP/SAVPFF", False),
    ],
)  # fmt: skip
def test_only_rtp_over_udp_gives_hints(profile: str, kept: bool) -> None:
    assert (hint(heard(description(section((TYPE, "iLBC/8000"), profile=profile)))) == "ilbc") == kept


@pytest.mark.parametrize("payload_type", [0, 3, 18, 34, 35, 95, 96, 127])
def test_only_dynamic_types_have_hints(payload_type: int) -> None:
    engine = heard(description(section((payload_type, "iLBC/8000"))))
    assert (hint(engine, payload_type) == "ilbc", engine.counters()["hints"]) == (
        payload_type >= 35,
        payload_type >= 35,
    )


def test_hint_belongs_to_its_address_port_and_type() -> None:
    engine = heard(description(section((TYPE, "iLBC/8000"), (98, "opus/48000/2"), (99, "unknown/8000"))))
    assert [hint(engine, number) for number in (96, 97, 98, 99)] == ["", "ilbc", "opus", ""]
    assert hint(engine, TYPE, End(B.ip, B.port + 1)) == ""
    assert hint(engine, TYPE, A) == ""


def test_connection_of_the_section_comes_before_that_of_the_session() -> None:
    own = End("203.0.113.5", 4000)
    engine = heard(description(section((TYPE, "iLBC/8000"), port=own.port, ip=own.ip), section((98, "opus/48000/2"))))
    assert (hint(engine, TYPE, own), hint(engine, 98, B), hint(engine, TYPE, End(B.ip, own.port))) == (
        "ilbc",
        "opus",
        "",
    )
    engine = heard(description(section((TYPE, "iLBC/8000"), ip=B.ip), connection=""))
    assert hint(engine) == "ilbc"


@pytest.mark.parametrize("address", [B6.ip, "2001:0DB8:0001:0:0::20", "2001:db8:1::32"])
def test_address_of_version_6_is_compared_by_its_value(address: str) -> None:
    engine = heard(description(section((TYPE, "iLBC/8000"), ip=address)))
    assert hint(engine, TYPE, End(address, B.port)) == "ilbc"
    assert (hint(engine, TYPE, End(B6.ip, B.port)) == "ilbc") == (not address.endswith("32"))


@pytest.mark.parametrize(
    "connection",
    [
        "", "c=IN IP4 phone.example.com\r\n", "c=IN IP4 0.0.0.0\r\n", "c=IN IP6 ::\r\n", "c=IN IP4\r\n", "c=\r\n",
        "c=IN IP4 192.0.2.256\r\n", f"c=IN IP4 {'1' * 64}\r\n", "c=IN IP4 192.0.2\r\n",
    ],
)  # fmt: skip
def test_description_without_an_address_gives_no_hint(connection: str) -> None:
    engine = heard(description(section((TYPE, "iLBC/8000")), connection=connection))
    assert engine.counters()["hints"] == 0


def test_rejected_section_gives_no_hint() -> None:
    engine = heard(description(section((TYPE, "iLBC/8000"), port=0), section((98, "opus/48000/2"))))
    assert (engine.counters()["hints"], hint(engine, TYPE, End(B.ip, 0)), hint(engine, 98)) == (1, "", "opus")


def test_later_description_replaces_the_earlier_one() -> None:
    first = description(section((TYPE, "iLBC/8000"), (98, "opus/48000/2")))
    engine = heard(first, description(section((TYPE, "AMR/8000"))))
    assert (hint(engine), hint(engine, 98), engine.counters()["hints"]) == ("amr", "", 1)
    assert hint(heard(first, description(section()))) == ""


def test_sections_that_share_a_port_are_kept_together() -> None:
    engine = heard(description(section((TYPE, "opus/48000/2")), section((98, "VP8/90000"))))
    assert (hint(engine, TYPE), hint(engine, 98), engine.counters()["hints"]) == ("opus", "vp8", 1)


@pytest.mark.parametrize("shared", [False, True])
def test_types_beyond_the_eighth_are_left_out(shared: bool) -> None:
    maps = [(96 + number, "iLBC/8000") for number in range(12)]
    sections = [section(*maps[:6]), section(*maps[6:])] if shared else [section(*maps)]
    engine = heard(description(*sections))
    assert [hint(engine, number) for number, _ in maps] == ["ilbc"] * 8 + [""] * 4


def test_hint_in_a_stream_of_tcp_is_kept() -> None:
    engine = new_engine()
    octets = description(section((TYPE, "iLBC/8000")))
    engine.process(BufferSource([(T0, ethernet(tcp(octets, PHONE, PROXY)))]))
    assert hint(engine) == "ilbc"


def test_names_are_resolved_in_the_tables_in_use() -> None:
    assert hint(heard(description(section((TYPE, "EVS/16000"))))) == ""
    engine = Engine(secret=SECRET, tables=Tables(TABLES.blob))
    engine.process(BufferSource(hinted("iLBC/8000")))
    assert hint(engine) == "ilbc"


# Room


def at(number: int) -> End:
    """One of many ends."""
    return End(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 10_000 + number % 7)


def described(numbers: Iterable[int]) -> list[bytes]:
    """A description for each of these ends."""
    return [description(section((TYPE, "iLBC/8000"), port=at(number).port, ip=at(number).ip)) for number in numbers]


def test_oldest_of_a_full_bucket_makes_room() -> None:
    # Four places are one bucket; the first end is described again and so is not the oldest.
    engine = heard(*described([0, 1, 2, 3, 0, 4]), max_hints=4)
    assert [hint(engine, TYPE, at(number)) for number in range(5)] == ["ilbc", "", "ilbc", "ilbc", "ilbc"]
    counters = engine.counters()
    assert (counters["hints"], counters["hints_replaced"]) == (4, 1)


@pytest.mark.parametrize("room", [4, 64, 1024])
def test_room_is_never_exceeded_and_what_made_room_is_counted(room: int) -> None:
    engine = heard(*described(range(3000)), max_hints=room)
    counters = engine.counters()
    assert counters["hints"] <= room
    assert counters["hints"] + counters["hints_replaced"] == 3000
    assert sum(hint(engine, TYPE, at(number)) == "ilbc" for number in range(3000)) == counters["hints"]
    assert hint(engine, TYPE, at(2999)) == "ilbc"


def test_table_that_is_large_enough_loses_few() -> None:
    assert heard(*described(range(2000)), max_hints=4096).counters()["hints_replaced"] < 200


@pytest.mark.parametrize("room", [0, 1, 2, 3, 5, 100, 1 << 25])
def test_room_that_is_no_power_of_two_or_out_of_range_is_refused(room: int) -> None:
    with pytest.raises(ValueError, match="max_hints"):
        Engine(max_hints=room)


def test_records_keep_their_size() -> None:
    """Four cache lines a stream: what is added makes each packet's way longer."""
    assert record_sizes()[0] == 256
    assert record_sizes()[1] <= 128


# What a hint is good for

LAWS = [
    ("iLBC/8000", 38), ("GSM/8000", 33), ("G729/8000", 20), ("PCMU/8000", 160), ("PCMA/8000", 160), ("G722/8000", 160),
    ("G726-16/8000", 40), ("G726-24/8000", 60), ("G726-32/8000", 80), ("G726-40/8000", 100), ("AAL2-G726-32/8000", 80),
    ("L16/8000", 320),
]  # fmt: skip


EVEN = ("G726-16/8000", "L16/8000")  # white noise in these is even


@pytest.mark.parametrize(("encoding", "octets"), [law for law in LAWS if law[0] not in EVEN])
@pytest.mark.parametrize("tag", [4, 10])
def test_tag_behind_the_frames_of_a_hinted_codec_is_inferred_soon(encoding: str, octets: int, tag: int) -> None:
    outcome = observe(hinted(encoding) + stream(ciphertext(300, octets + tag), payload_type=TYPE))
    ((protection, packet),) = outcome.verdicts
    assert (protection, packet <= 80) == ("encrypted", True)
    assert packet >= SOONEST
    flow = media(outcome)
    assert (flow.grade, flow.basis) == ("inferred", ("tag-length", "no-codec-fits"))


@pytest.mark.parametrize(("encoding", "octets"), [law for law in LAWS if law[0] in EVEN])
@pytest.mark.parametrize("tag", [4, 10, 16])
def test_tag_behind_what_may_be_white_noise_is_waited_for(encoding: str, octets: int, tag: int) -> None:
    """A NULL cipher's tag is even too. White noise for as long as the last look takes is no call."""
    outcome = observe(hinted(encoding) + stream(ciphertext(500, octets + tag), payload_type=TYPE))
    assert [packet >= 200 for _, packet in outcome.verdicts] in ([], [True])
    assert "tag-length" not in media(outcome).basis


@pytest.mark.parametrize("encoding", ["AMR/8000", "speex/8000", "opus/48000/2", "unknown/8000"])
def test_hint_without_a_law_makes_nothing_sooner(encoding: str) -> None:
    packets = stream(ciphertext(400, 48), payload_type=TYPE)
    ((protection, packet),) = observe(hinted(encoding) + packets).verdicts
    assert (protection, packet >= WITHOUT) == ("encrypted", True)


def test_hint_holds_towards_its_writer_only() -> None:
    back = stream(ciphertext(300, 48), src=B, dst=A, payload_type=TYPE)
    assert observe(hinted("iLBC/8000") + back).verdicts == observe(back).verdicts


@pytest.mark.parametrize("late", [1, 10, 40])
def test_description_that_comes_after_the_media_is_used(late: int) -> None:
    packets = stream(ciphertext(300, 48), payload_type=TYPE)
    packets += hinted("iLBC/8000", ts_ns=T0 + late * 20 * MS + MS)
    ((protection, packet),) = observe(sorted(packets)).verdicts
    assert (protection, packet < 130) == ("encrypted", True)


def test_hint_of_a_later_payload_type_is_used() -> None:
    plain = stream(speech(60))
    after = stream(ciphertext(300, 48), payload_type=TYPE, first=1060, start_ns=T0 + 60 * 20 * MS)
    outcome = observe(hinted("iLBC/8000") + plain + after)
    assert [verdict[0] for verdict in outcome.verdicts] == ["clear", "encrypted"]
    assert outcome.verdicts[1][1] <= 60 + 100


def test_hint_of_an_earlier_payload_type_is_forgotten() -> None:
    before = stream(ciphertext(12, 48), payload_type=TYPE)
    after = stream(ciphertext(300, 48), payload_type=98, first=1012, start_ns=T0 + 12 * 20 * MS)
    assert "tag-length" not in media(observe(hinted("iLBC/8000") + before + after)).basis


@pytest.mark.parametrize(("encoding", "name"), [("PCMU/8000", "PCMU"), ("iLBC/8000", ""), ("opus/48000/2", "")])
def test_codec_of_a_static_type_is_named_on_a_dynamic_one_where_it_is_hinted(encoding: str, name: str) -> None:
    outcome = observe(hinted(encoding) + stream(speech(100), payload_type=TYPE))
    assert (media(outcome).protection, media(outcome).streams[0].codec == "PCMU") == ("clear", bool(name))


@pytest.mark.parametrize("tag", [4, 10])
def test_null_cipher_is_named_where_the_hint_is_true(tag: int) -> None:
    rng = random.Random(tag)
    payloads = [payload + rng.randbytes(tag) for payload in speech(100)]
    flow = media(observe(hinted("PCMU/8000") + stream(payloads, payload_type=TYPE)))
    assert (flow.protection, flow.basis) == ("clear", ("payload-structure", "tag-present"))


@pytest.mark.parametrize("portion", [1, 7, 40])
def test_any_portions_give_the_same_verdicts(portion: int) -> None:
    packets = hinted("iLBC/8000") + stream(ciphertext(100, 48), payload_type=TYPE)
    engine = new_engine()
    for start in range(0, len(packets), portion):
        engine.process(BufferSource(packets[start : start + portion]))
    assert engine.drain() + finish(engine) == observe(packets).records


# A hint decides nothing: SDP may lie


def opus(count: int, octets: int) -> list[bytes]:
    """Opus at a constant rate: an octet that says the mode, then what an arithmetic coder leaves (RFC 6716)."""
    rng = random.Random(octets)
    return [b"\x78" + rng.randbytes(octets - 1) for _ in range(count)]


def amr(count: int, octets: int) -> list[bytes]:
    """AMR, octet-aligned: the mode request, a table of contents, speech bits (RFC 4867 section 4.4)."""
    rng = random.Random(octets)
    return [b"\xf0\x3c" + rng.randbytes(octets - 2) for _ in range(count)]


def pcmu(count: int, octets: int) -> list[bytes]:
    """Speech as G.711 codes it."""
    return speech(count, octets=octets)


CLEAR = [opus, amr, pcmu]
LIES = [encoding for encoding, _ in LAWS]


@pytest.mark.parametrize("tag", [4, 10, 12, 16, 18])
@pytest.mark.parametrize(("encoding", "octets"), LAWS)
@pytest.mark.parametrize("clear", CLEAR)
def test_clear_media_as_long_as_a_hinted_codec_and_a_tag_are_never_encrypted(
    clear: Callable[[int, int], list[bytes]], encoding: str, octets: int, tag: int
) -> None:
    outcome = observe(hinted(encoding) + stream(clear(300, octets + tag), payload_type=TYPE))
    assert [kind for kind, _ in outcome.verdicts] == ["clear"]
    (found,) = media(outcome).streams
    assert found.protection == "clear"
    # Where the payload shows another codec than the hint, the hint's law says nothing of a tag.
    assert ("tag-present" in found.basis) <= (found.codec in encoding)


@pytest.mark.parametrize(("encoding", "octets"), [(encoding, law) for encoding, law in LAWS if law < 100])
@pytest.mark.parametrize("clear", [opus, amr, pcmu])
def test_clear_media_of_their_own_length_are_never_encrypted_by_a_hint(
    clear: Callable[[int, int], list[bytes]], encoding: str, octets: int
) -> None:
    for own in (20, 33, 60, 160):
        outcome = observe(hinted(encoding) + stream(clear(300, own), payload_type=TYPE))
        assert [kind for kind, _ in outcome.verdicts] == ["clear"], (own, octets)


@pytest.mark.parametrize("encoding", LIES)
@pytest.mark.parametrize("octets", [10, 20, 30, 40, 60])
def test_lying_hint_adds_no_verdict_to_those_on_g729(encoding: str, octets: int) -> None:
    """Little shows in it. A table of its own is what tells it from ciphertext; a hint of something else must not."""
    packets = stream(g729(200, octets), payload_type=TYPE)
    assert "encrypted" not in [kind for kind, _ in observe(packets).verdicts]
    assert "encrypted" not in [kind for kind, _ in observe(hinted(encoding) + packets).verdicts]


@pytest.mark.parametrize("encoding", LIES)
@pytest.mark.parametrize("octets", [20, 31, 33, 38, 40, 60, 80, 100, 160, 320])
def test_length_of_another_codecs_frames_is_not_taken_for_a_tag(encoding: str, octets: int) -> None:
    outcome = observe(hinted(encoding) + stream(ciphertext(400, octets), payload_type=TYPE))
    assert "tag-length" not in media(outcome).basis


@pytest.mark.parametrize("encoding", LIES)
@pytest.mark.parametrize("octets", [40, 60, 80, 100, 160, 320])
def test_white_noise_of_samples_stays_undetermined_whatever_the_hint(encoding: str, octets: int) -> None:
    outcome = observe(hinted(encoding) + stream(ciphertext(500, octets), payload_type=TYPE))
    assert (outcome.verdicts, media(outcome).basis) == ([], ("looks-uniform",))


@pytest.mark.parametrize("clock", [16_000, 48_000])
def test_clock_of_another_codec_is_not_that_of_the_hint(clock: int) -> None:
    """The length of 20 ms of iLBC and a tag, for as many timestamp units, but these are no 20 ms."""
    gap = 160 * SECOND // clock
    packets = [
        (T0 + gap * number, *packet[1:]) for number, packet in enumerate(stream(ciphertext(400, 48), payload_type=TYPE))
    ]
    assert "tag-length" not in media(observe([*hinted("iLBC/8000"), *packets])).basis


@pytest.mark.parametrize("kind", ["speech", "ciphertext", "null"])
def test_hint_for_a_static_type_changes_nothing(kind: str) -> None:
    payloads = {
        "speech": speech(200),
        "ciphertext": ciphertext(200),
        "null": [payload + bytes(10) for payload in speech(200)],
    }[kind]
    lie = [said(description(section((0, "iLBC/8000"), (8, "opus/48000/2"))))]
    told, alone = observe(lie + stream(payloads)), observe(stream(payloads))
    assert media(told).streams == media(alone).streams
    assert told.verdicts == alone.verdicts


def test_descriptions_that_change_all_the_time_do_not_hide_clear_media() -> None:
    for seed in range(5):
        rng = random.Random(seed)
        packets = stream(opus(400, 48), payload_type=TYPE)
        for number in range(400):
            packets += hinted(rng.choice(LIES), ts_ns=T0 + number * 20 * MS - MS)
        ((protection, packet),) = observe(sorted(packets)).verdicts
        assert (protection, packet <= 40) == ("clear", True)


# The bound, whatever is hinted: chosen by header and signalling, it may not depend on the ciphertext


@pytest.mark.parametrize(("encoding", "octets"), LAWS)
@pytest.mark.parametrize("mki", [1, 4, 8])
@pytest.mark.parametrize("tag", [4, 10, 16])
def test_srtp_as_long_as_the_hinted_frames_is_never_clear(encoding: str, octets: int, mki: int, tag: int) -> None:
    """With a lying hint nothing seems to follow the frames, yet a constant MKI stands at their end."""
    rng = random.Random(octets * mki * tag)
    identifier = bytes(mki - 1) + b"\x01"
    uniform = max(1, octets - mki - tag)
    payloads = [
        rng.randbytes(uniform + tag) + identifier
        if tag == 16
        else rng.randbytes(uniform) + identifier + rng.randbytes(tag)
        for _ in range(400)
    ]
    outcome = observe(hinted(encoding) + stream(payloads, payload_type=TYPE))
    assert "clear" not in [verdict.protection for verdict in outcome.of(Verdict)]


@pytest.mark.parametrize("codec", ["ilbc", "pcmu", "g729", "opus", "g726-32", "codec2", "jpeg"])
@pytest.mark.parametrize(("octets", "tail"), [(24, -1), (48, 10), (80, -1)])
def test_evidence_under_the_null_obeys_its_bound_with_a_hint(codec: str, octets: int, tail: int) -> None:
    # Ville: P(sup E >= 2^j) <= 2^-j. Five standard deviations above the bound would be a defect, not chance.
    streams = 300
    most = [
        max(bits for bits, *_ in judge_payloads(TABLES, ciphertext(24, octets, seed=seed), TYPE, tail=tail, hint=codec))
        for seed in range(streams)
    ]
    for j in range(1, 12):
        expected = streams * 2.0**-j
        assert sum(bits >= j for bits in most) <= expected + 5 * expected**0.5 + 1, j


def test_weights_of_all_that_a_dynamic_type_can_be_judged_by_sum_to_at_most_one() -> None:
    """The dynamic tables, the generic experts, and those of any static type behind a hint, which weigh 2^-5 of it."""
    weights = dict.fromkeys(range(-1, 128), 0.0)
    count = int.from_bytes(TABLES.blob[6:8], "little")
    for number in range(count):
        entry = TABLES.blob[16 + 48 * number : 64 + 48 * number]
        weights[int.from_bytes(entry[20:22], "little", signed=True)] += 2.0 ** -entry[19]
    generic = 12 * 2.0**-5
    assert weights[-1] + generic + max(weights[kind] for kind in range(128)) * 2.0**-5 <= 1
