"""The engine: packets in, records out.

One engine serves one capture thread. Packets are taken in batches of 32: decode all, prefetch the index slots, then the
flows, then the streams, and only then update, so that the memory of one packet arrives while another is decoded.
"""

import os
from functools import lru_cache
from importlib import resources

from cpython.unicode cimport PyUnicode_DecodeASCII
from cython cimport no_gc_clear
from libc.math cimport log10
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastpath.attempts cimport MAX_ATTEMPTS
from fastpath.block cimport PacketRef, PacketSource
from fastpath.core cimport Attempt as AttemptSlot
from fastpath.core cimport Core
from fastpath.dialogs cimport close_dialogs, open_dialogs
from fastpath.ending cimport CLOSED_IDLE_S, SECOND_NS, end_flow, idle_time, pass_time, serve_wheel
from fastpath.events cimport (
    EVENT_AGENT, EVENT_ATTEMPT, EVENT_CERTIFICATE, EVENT_CONTROL, EVENT_EVIDENCE, EVENT_EXPOSURE, EVENT_FLOW,
    EVENT_HANDSHAKE, EVENT_HELLO, EVENT_NAMED, EVENT_NEGOTIATION, EVENT_PAD, EVENT_SIP, EVENT_TONES, EVENT_VERDICT,
    EventAgent, EventApp, EventAttempt, EventChange, EventControl, EventEvidence, EventExposure, EventFlow,
    EventHandshake, EventHead, EventHello, EventNamed, EventNegotiation, EventRing, EventStream, EventTones,
    EventVerdict, ring_used,
)
from fastpath.exposure cimport aside
from fastpath.flow cimport (
    FLOW_A_IS_HIGH, FLOW_DEAD, Flow, Stream, add_flow, close_table, find_flow, guess_flow, open_table, put_on_wheel,
    reuse_flow,
)
from fastpath.fragments cimport close_fragments, open_fragments, release_done, take_fragment
from fastpath.hints cimport ENCODINGS, HINT_WAYS, Hint, HintPool, HintTable, counted, encoding, find_hint
from fastpath.legacy cimport IAX2_PORT, has_port
from fastpath.media cimport media_packet
from fastpath.mirror cimport TWINS, is_twin
from fastpath.names cimport APP_RTP, FATE_SCORED, FATE_WATCHED
from fastpath.octets cimport be24, load_acquire, prefetch, store_release
from fastpath.reasons cimport CLASSIFIED, REASONS, SHED_FLOW_TABLE, SHED_NEW_MEDIA
from fastpath.sip cimport want_headers
from fastpath.sip_records cimport agent_record, exposure_record, negotiation_record, sip_unpack
from fastpath.segments cimport tcp_segment
from fastpath.shedding cimport follow_backlog, is_shut, may_begin_media
from fastpath.talk cimport iax2_packet, udp_talk
from fastpath.tls cimport alpn_words
from fastpath.tones cimport MAX_TONES, Tone
from fastpath.verdict cimport CLEAR_BITS, CODEC_UNKNOWN, HINT_NONE, REJECT_BITS, UNIT, Judge, Tables
from fastpath.wire cimport (
    DECODE_FRAGMENT, DECODE_INNER, PROTO_UDP, Decoded, FlowKeyBits, decode_inner, decode_packet, hash_key, same_key,
)

from fastpath.records import (
    APP_NAMES, AppSeen, Attempt, Certificate, Change, Control, Evidence, FlowEnded, FlowKey, Handshake, Hello,
    MediaNamed, StreamStats, Tones, Verdict,
)

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* source, char* out, unsigned int size)
    int AF_INET, AF_INET6

cdef enum:
    BATCH = 32
    SECRET_OCTETS = 48
    MAX_KEYS = 65536            # of flows, as the sensor has them
    MAX_ENGINES = 256           # that share
    ID_BITS = 44                # of flows and dialogues in an engine; JSON holds them all (RFC 8259 section 6)

REASON_NAMES = (
    "classified", "ignored.arp", "ignored.llc", "ignored.lldp", "ignored.macsec", "ignored.mpls", "ignored.pppoe",
    "ignored.ppp", "ignored.ethertype", "ignored.linktype", "ignored.ip-fragment", "ignored.icmp", "ignored.igmp",
    "ignored.sctp", "ignored.esp", "ignored.gre", "ignored.l2tp", "ignored.hep", "ignored.tunnel-depth",
    "ignored.ip-protocol", "malformed.link", "malformed.vlan", "malformed.ipv4", "malformed.ipv6", "malformed.gre",
    "malformed.pppoe", "malformed.udp", "malformed.tcp", "shed.flow-table-full", "shed.new-media",
)
TUNNEL_NAMES = (
    "", "pppoe", "gre", "erspan1", "erspan2", "erspan3", "vxlan", "tzsp", "turn", "mpls", "geneve", "gtpu", "l2tp",
    "ipip", "6in4", "teredo", "hep3",
)
ON_THE_LINK = frozenset(("pppoe", "mpls"))      # between a link's tags and the packet
PROTECTION_NAMES = (None, "not-applicable", "not-observed", "undetermined", "encrypted", "clear")
GRADE_NAMES = (None, "inferred", "proved")
KEY_EXCHANGE_NAMES = ("", "dtls", "zrtp")
BASIS_NAMES = (
    "payload-structure", "tag-present", "dtls", "zrtp", "srtcp-index", "tag-length", "no-codec-fits", "rtcp-compound",
    "handshake", "null-cipher", "sip-start-line", "looks-uniform", "inconclusive", "too-few-packets", "cryptex",
)
ATTEMPT_NAMES = ("refused", "challenged", "unanswered", "followed", "accepted")
OUTCOME_NAMES = ("", "completed", "refused", "cut", "unknown")
FATE_NAMES = (
    "scored", "watched", "glance", "settled", "other-type", "empty", "duplicate", "behind", "stray",
)
STATIC_CODECS = {
    0: "PCMU", 3: "GSM", 4: "G723", 5: "DVI4", 6: "DVI4", 7: "LPC", 8: "PCMA", 9: "G722", 10: "L16", 11: "L16",
    12: "QCELP", 13: "CN", 14: "MPA", 15: "G728", 16: "DVI4", 17: "DVI4", 18: "G729", 25: "CelB", 26: "JPEG", 28: "nv",
    31: "H261", 32: "MPV", 33: "MP2T", 34: "H263",
}  # RFC 3551 tables 4 and 5
# Encoding names of tables whose own name is not the registered one in lower case (RFC 4855 and the payload formats).
ENCODING_NAMES = {
    "opus": "opus", "speex": "speex", "ilbc": "iLBC", "red": "red", "t140": "t140", "event": "telephone-event",
}
# What few octets of these hold, digits and text, could be told from their scores.
CODECS_NOT_TOLD = frozenset({"red", "t140", "telephone-event"})


def record_sizes():
    """Return the octets of a stream's record and of its judge's. For tests only."""
    return sizeof(Stream), sizeof(Judge)


@lru_cache(maxsize=1)
def shipped_tables():
    """Return the codec tables of the package. Raises ValueError when they are damaged."""
    return Tables(resources.files("fastpath").joinpath("tables", "tables.bin").read_bytes())


def thresholds():
    """Return the evidence that is called clear, and the fit at which a codec is rejected; in bits."""
    return CLEAR_BITS, -REJECT_BITS


@lru_cache(maxsize=4096)
def basis_words(uint32_t bits):
    """Return the words of a basis, the strongest first."""
    return tuple(name for i, name in enumerate(BASIS_NAMES) if bits >> i & 1)


cdef object log10_bound(int bits_in_units, bint told):
    """Return the bound on the probability under encryption, as log10; None without evidence.

    Not ``told``: no more than what every verdict has, for how far the evidence went beyond that depends on digits.
    """
    if bits_in_units <= 0:
        return None
    if not told:
        bits_in_units = min(bits_in_units, CLEAR_BITS * UNIT)
    return -bits_in_units / <double>UNIT * log10(2.0)


cdef str address_text(const uint64_t* words):
    cdef char text[64]
    cdef const uint8_t* octets = <const uint8_t*>words
    if words[0] == 0 and <uint32_t>words[1] == 0xFFFF0000U:
        inet_ntop(AF_INET, octets + 12, text, sizeof(text))
    else:
        inet_ntop(AF_INET6, octets, text, sizeof(text))
    return text.decode("ascii")


cdef object key_record(const EventHead* head):
    cdef const FlowKeyBits* k = &head.key
    cdef uint32_t outer = k.meta >> 20, inner = k.meta >> 8 & 0xFFF
    low = address_text(k.low), k.ports >> 16
    high = address_text(k.high), k.ports & 0xFFFF
    a, b = (high, low) if head.a_is_high else (low, high)
    vlans = (outer, inner) if outer else (inner,) if inner else ()
    return FlowKey("udp" if k.meta & 0xFF == PROTO_UDP else "tcp", a[0], a[1], b[0], b[1], vlans)


cdef tuple payload_type_list(const uint64_t* seen):
    cdef int i
    types = []
    for i in range(128):
        if seen[i >> 6] >> (i & 63) & 1:
            types.append(i)
    return tuple(types)


cdef class Shared:
    """What the engines of one sensor have in common: hints, and the secrets by which their digests compare."""

    cdef HintPool hints
    cdef bytes secret
    cdef uint64_t engines

    def __cinit__(self, uint32_t max_hints, bytes secret):
        if max_hints & (max_hints - 1) or not HINT_WAYS <= max_hints <= 1 << 24:
            raise ValueError("max_hints: a power of two from 4 to 16777216 is needed")
        if len(secret) != SECRET_OCTETS:
            raise ValueError(f"secret: {SECRET_OCTETS} octets are needed")
        self.secret = secret
        self.hints.entries = <Hint*>calloc(max_hints, sizeof(Hint))
        if self.hints.entries == NULL:
            raise MemoryError("no room for the hints")
        self.hints.bucket_mask = max_hints // HINT_WAYS - 1

    def __dealloc__(self):
        free(self.hints.entries)


@no_gc_clear        # the end of its flows still reads what it shares
cdef class Engine:
    """Follow flows, judge their media, and read their signalling.

    Args:
        max_flows: flows held at once; packets of further ones are shed and counted.
        max_streams: RTP streams held at once, those on probation included.
        event_bytes: room for records between two calls of ``drain``; a power of two.
        stream_bytes: what reassembly may hold in all, in octets.
        max_hints: addresses and ports whose payload types, as signalling has them, are held; a power of two.
        call_headers: names of SIP headers whose values cross as digests, at most eight.
        max_dialogs: SIP dialogues held at once; the rest makes room, those never confirmed first.
        media_idle_s: silence that ends a flow of media, in seconds of packet time; at most 500.
        flow_idle_s: silence that ends any other flow; at most 500.
        trace_flow: the flow (``flow`` of the records) whose every packet is said in an Evidence record; 0 for none.
        every_message: say each SIP message as it was read, in a SipMessage record. For tests only.
        secret: 48 octets for the keyed hashes and digests; random when None. For tests only.
        tables: codec tables to judge with; those of the package when None.
        share: an engine of the same sensor, whose hints, secrets and codec tables this one has, too, in place of the
            four arguments about them. Both may run at the same time; their flows and dialogues have other numbers.
    Raises:
        MemoryError: the tables do not fit into the address space.
        ValueError: an argument is out of range, or the shipped codec tables are damaged.
    """

    cdef Core core
    cdef Tables tables
    cdef Shared shared          # the core points into it, and into the tables
    cdef uint64_t number        # among those that share
    cdef dict keys              # of the flows that something was said of, so that they are made once

    def __cinit__(self, *, uint32_t max_flows=1 << 20, uint32_t max_streams=1 << 20, uint64_t event_bytes=1 << 25,
                  uint64_t stream_bytes=1 << 26, uint32_t max_hints=1 << 16, call_headers=(),
                  uint32_t max_dialogs=1 << 16, double media_idle_s=30, double flow_idle_s=300,
                  uint64_t trace_flow=0, bint every_message=False, bytes secret=None, Tables tables=None,
                  Engine share=None):
        cdef uint64_t first_id
        if event_bytes & (event_bytes - 1) or event_bytes < 1 << 17:
            raise ValueError("event_bytes: a power of two of at least 131072 is needed")
        if not 1 <= media_idle_s <= 500 or not 1 <= flow_idle_s <= 500:
            raise ValueError("idle times: 1 to 500 seconds are possible")
        if max_flows < 1 or max_streams < 1 or max_flows > 1 << 28 or max_streams > 1 << 28:
            raise ValueError("max_flows and max_streams: 1 to 268435456 are possible")
        if not 16 <= max_dialogs <= 1 << 24:
            raise ValueError("max_dialogs: 16 to 16777216 are possible")
        if share is None:
            self.shared = Shared(max_hints, os.urandom(SECRET_OCTETS) if secret is None else secret)
            self.tables = shipped_tables() if tables is None else tables
        else:
            self.shared = share.shared
            self.tables = share.tables
        if self.shared.engines == MAX_ENGINES:
            raise ValueError(f"share: {MAX_ENGINES} engines are possible")
        self.number = self.shared.engines
        self.shared.engines += 1
        first_id = self.number << ID_BITS
        want_headers(call_headers, &self.core.wanted)
        self.core.every_message = every_message
        open_dialogs(&self.core.dialogs, max_dialogs)
        open_fragments(&self.core.fragments)
        open_table(&self.core.table, max_flows, max_streams)
        self.core.table.next_id += first_id
        self.core.dialogs.next_id += first_id
        self.core.hints.message = first_id
        self.core.ring.base = <uint8_t*>calloc(1, event_bytes)
        if self.core.ring.base == NULL:
            raise MemoryError("no room for the event ring")
        self.core.ring.capacity = event_bytes
        self.core.memory.limit = stream_bytes
        self.core.media_idle_ns = <uint64_t>(media_idle_s * 1e9)
        self.core.flow_idle_ns = <uint64_t>(flow_idle_s * 1e9)
        self.core.least_idle_ns = <uint64_t>CLOSED_IDLE_S * SECOND_NS
        self.core.least_idle_ns = min(self.core.least_idle_ns, self.core.media_idle_ns, self.core.flow_idle_ns)
        self.core.finish_at = 1
        self.keys = {}
        self.core.traced = trace_flow
        self.core.tables = &self.tables.set
        self.core.hints.pool = &self.shared.hints
        self.core.tones.entries = <Tone*>calloc(MAX_TONES + 1, sizeof(Tone))
        if self.core.tones.entries == NULL:
            raise MemoryError("no room for telephone events")
        self.core.attempts = <AttemptSlot*>calloc(MAX_ATTEMPTS, sizeof(AttemptSlot))
        if self.core.attempts == NULL:
            raise MemoryError("no room for requests")
        self.core.mirror.twins = <uint64_t*>calloc(TWINS, sizeof(uint64_t))
        if self.core.mirror.twins == NULL:
            raise MemoryError("no room for twins")
        self.name_codecs()
        memcpy(&self.core.flow_secret, <const uint8_t*>self.shared.secret, 32)
        memcpy(self.core.key_secret, <const uint8_t*>self.shared.secret + 32, 16)

    def __dealloc__(self):
        cdef uint32_t number
        if self.core.ring.base != NULL:
            # Flows own what they allocated aside; ending them frees it.
            for number in range(1, self.core.table.fresh_flow):
                if self.core.table.flows[number].id:
                    end_flow(&self.core, number, 0)
        close_table(&self.core.table)
        close_dialogs(&self.core.dialogs)
        close_fragments(&self.core.fragments)
        free(self.core.ring.base)
        free(self.core.tones.entries)
        free(self.core.attempts)
        free(self.core.mirror.twins)

    cdef void name_codecs(self):
        # Encoding names of SDP to the codecs of the tables, and the laws of their lengths.
        cdef HintTable* hints = &self.core.hints
        cdef uint8_t codec
        cdef int i
        names = {name: number for number, name in enumerate(self.tables.codecs)}
        for i in range(ENCODINGS):
            codec = names.get(encoding[i].codec.decode("ascii"), HINT_NONE)
            hints.codec[i] = codec
            if codec != HINT_NONE:
                hints.law[codec].clock = encoding[i].clock
                hints.law[codec].units = encoding[i].units
                hints.law[codec].octets = encoding[i].octets
                hints.law[codec].other_units = encoding[i].other_units
                hints.law[codec].other_octets = encoding[i].other_octets

    @property
    def now_ns(self):
        """The latest packet time, in nanoseconds since the Unix epoch."""
        return self.core.now_ns

    def process(self, PacketSource source not None, int64_t budget=1 << 20):
        """Take packets from a source until it has no more, ``budget`` is used up, or the event buffer is half full.

        Returns 1 (call again), 0 (a live source had nothing for now), -1 (end) or -2 (the source is broken; its
        ``error`` says how). The GIL is released throughout.
        """
        cdef int status = 1
        with nogil:
            while budget > 0:
                if ring_used(&self.core.ring) > self.core.ring.capacity // 2:
                    break
                status = take_batch(&self.core, source)
                if status <= 0:
                    break
                budget -= status
                status = 1
        return status

    def advance(self, uint64_t now_ns):
        """Let packet time move on without a packet, so that idle flows end."""
        with nogil:
            if self.core.now_ns == 0:
                self.core.table.wheel_s = now_ns // SECOND_NS
            self.core.now_ns = max(now_ns, self.core.now_ns)
            follow_backlog(&self.core, 0)
            serve_wheel(&self.core)

    def finish(self):
        """End every flow, as the input has ended. Returns True while more remain: drain and call again."""
        cdef Core* c = &self.core
        cdef Flow* f
        # Flows end outside the wheel's order now, and their records leave its lists.
        memset(c.table.wheel, 0, sizeof(c.table.wheel))
        with nogil:
            while c.finish_round < 2 and ring_used(&c.ring) <= c.ring.capacity // 2:
                if c.finish_at == c.table.fresh_flow:
                    c.finish_at = 1
                    c.finish_round += 1
                    continue
                f = &c.table.flows[c.finish_at]
                if f.id and (f.app == APP_RTP or c.finish_round):
                    end_flow(c, c.finish_at, f.last_ns)
                if f.flags & FLOW_DEAD:
                    reuse_flow(&c.table, c.finish_at)
                c.finish_at += 1
        if c.finish_round < 2:
            return True
        c.finish_round = 0
        return False

    def counters(self):
        """Return the engine's counts by name; every name is there from the start.

        What engines share is counted by the first of them, so that sums are right.
        """
        cdef Core* c = &self.core
        cdef int i
        counts = {"received": c.received, "octets": c.octets}
        for i in range(REASONS):
            counts[REASON_NAMES[i]] = c.reason[i]
        counts["duplicates"] = c.duplicates
        counts["overload_stage"] = c.shedding.stage
        counts["overload_statistics"] = c.shedding.statistics
        counts["overload_looks"] = c.shedding.looks
        counts["truncated"] = c.mirror.truncated
        counts["media_one_way"] = c.mirror.one_way
        counts["media_both_ways"] = c.mirror.both_ways
        counts["gaps_common"] = c.mirror.common_gaps
        counts["gaps_unreported"] = c.mirror.unreported_gaps
        counts["streams_unreported"] = c.mirror.unreported_streams
        counts["flows"] = c.table.flow_count
        counts["flows_begun"] = (c.table.next_id & ((<uint64_t>1 << ID_BITS) - 1)) - 1
        counts["streams"] = c.table.stream_count
        counts["streams_begun"] = c.streams_begun
        counts["streams_refused"] = c.streams_refused
        counts["streams_replaced"] = c.streams_replaced
        counts["sip_messages"] = c.sip_messages
        counts["sip_unreadable"] = c.sip_unreadable
        counts["dialogs"] = c.dialogs.count
        counts["dialogs_evicted"] = c.dialogs.evicted
        counts["offer_octets"] = c.dialogs.offer_octets
        counts["offers_refused"] = c.dialogs.offers_refused
        counts["attempts_left_out"] = c.attempts_left_out
        counts["asides_refused"] = c.asides_refused
        counts["datagrams_reassembled"] = c.fragments.complete
        counts["datagrams_refused"] = c.fragments.refused
        counts["datagrams_expired"] = c.fragments.expired
        counts["datagrams_evicted"] = c.fragments.evicted
        counts["hints"] = counted(&c.hints.pool.count) if self.number == 0 else 0
        counts["hints_replaced"] = counted(&c.hints.pool.replaced) if self.number == 0 else 0
        counts["hints_given_up"] = counted(&c.hints.pool.given_up) if self.number == 0 else 0
        counts["tones"] = c.tones.count
        counts["tones_refused"] = c.tones.refused
        counts["reassembly_bytes"] = c.memory.used
        counts["reassembly_lost_bytes"] = c.memory.lost
        counts["reassembly_passed_bytes"] = c.memory.passed
        counts["conversations_refused"] = c.memory.refused
        counts["conversations_evicted"] = c.memory.evicted
        counts["events_lost"] = c.ring.lost
        counts["changes_lost"] = c.changes_lost
        counts["certificates_unreadable"] = c.certificates_unreadable
        counts["certificates_lost"] = c.certificates_lost
        return counts

    def hint(self, bytes address not None, uint16_t port, uint8_t payload_type):
        """Return the codec that signalling names, "" for none. For tests only.

        The address has 16 octets, IPv4 is mapped into IPv6.
        """
        cdef uint64_t words[2]
        cdef uint8_t codec
        if len(address) != 16:
            raise ValueError("address: 16 octets are needed")
        memcpy(words, <const uint8_t*>address, 16)
        codec = find_hint(&self.core.hints, words, port, payload_type, &self.core.flow_secret)
        return "" if codec == HINT_NONE else self.tables.codecs[codec]

    def drain(self):
        """Return the records since the last call, in the order in which they came to be."""
        cdef EventRing* ring = &self.core.ring
        cdef uint64_t tail = ring.tail, head = load_acquire(&ring.head)
        cdef EventHead* event
        out = []
        while tail != head:
            event = <EventHead*>(ring.base + (tail & (ring.capacity - 1)))
            if event.kind != EVENT_PAD:
                out.append(self.record(event))
            tail += event.size
        store_release(&ring.tail, tail)
        return out

    cdef object record(self, const EventHead* head):
        cdef const uint8_t* body = <const uint8_t*>head + sizeof(EventHead)
        cdef object key = self.keys.get(head.flow)
        if key is None:
            if len(self.keys) >= MAX_KEYS:
                self.keys.clear()
            key = key_record(head)
            if head.kind != EVENT_FLOW:
                self.keys[head.flow] = key
        elif head.kind == EVENT_FLOW:
            del self.keys[head.flow]
        if head.kind == EVENT_SIP:
            return sip_unpack(body + 8, (<const uint32_t*>body)[0], head.flow, head.ts_ns, key, head.from_a)
        if head.kind == EVENT_NEGOTIATION:
            return negotiation_record(<const EventNegotiation*>body, head, key)
        if head.kind == EVENT_EXPOSURE:
            return exposure_record(<const EventExposure*>body, head, key)
        if head.kind == EVENT_AGENT:
            return agent_record(<const EventAgent*>body, head, key)
        if head.kind == EVENT_FLOW:
            return self.flow_record(head, key)
        if head.kind == EVENT_VERDICT:
            return self.verdict_record(head, key)
        if head.kind == EVENT_EVIDENCE:
            return self.evidence_record(head)
        if head.kind == EVENT_CONTROL:
            return control_record(<const EventControl*>body, head, key)
        if head.kind == EVENT_TONES:
            return tones_record(<const EventTones*>body, head, key)
        if head.kind == EVENT_CERTIFICATE:
            return Certificate(head.flow, head.ts_ns, key, bool(head.from_a), body[8:8 + (<const uint32_t*>body)[0]])
        if head.kind == EVENT_NAMED:
            return named_record(<const EventNamed*>body, head, key)
        if head.kind == EVENT_ATTEMPT:
            return attempt_record(<const EventAttempt*>body, head, key)
        if head.kind == EVENT_HANDSHAKE:
            return handshake_record(<const EventHandshake*>body, head, key)
        if head.kind == EVENT_HELLO:
            return hello_record(<const EventHello*>body, head, key)
        return app_record(<const EventApp*>body, head, key)

    cdef str codec_name(self, uint16_t codec, int payload_type):
        # What the payload showed comes before what the payload type says.
        if codec != CODEC_UNKNOWN:
            name = self.tables.codecs[self.tables.set.table[codec].codec]
            return ENCODING_NAMES.get(name, name.upper())
        return STATIC_CODECS.get(payload_type, "")

    cdef object verdict_record(self, const EventHead* head, object key):
        cdef const EventVerdict* v = <const EventVerdict*>(<const uint8_t*>head + sizeof(EventHead))
        codec = self.codec_name(v.codec, v.payload_type)
        return Verdict(
            head.flow, head.ts_ns, key, v.ssrc, bool(head.from_a), v.payload_type, codec,
            PROTECTION_NAMES[v.protection], PROTECTION_NAMES[v.previous], GRADE_NAMES[v.grade], basis_words(v.basis),
            log10_bound(v.bits, codec not in CODECS_NOT_TOLD), v.packet, v.elapsed_ns, v.seq, v.timestamp,
            v.since_packet, None if v.tag < 0 else v.tag, v.missing,
        )

    cdef object evidence_record(self, const EventHead* head):
        cdef const EventEvidence* e = <const EventEvidence*>(<const uint8_t*>head + sizeof(EventHead))
        cdef bint told = e.told and e.scored and (e.fate == FATE_SCORED or e.fate == FATE_WATCHED)
        leads = self.codec_name(e.leads, -1) or "generic"
        hardest = self.codec_name(e.hardest, -1)
        if leads in CODECS_NOT_TOLD or hardest in CODECS_NOT_TOLD or not told:
            told, leads, hardest = False, "", ""
        return Evidence(
            head.flow, head.ts_ns, e.ssrc, bool(head.from_a), e.packet, e.elapsed_ns, e.seq, e.payload_type, e.octets,
            e.excess if e.has_law else None, FATE_NAMES[e.fate], e.scored, <double>e.best / UNIT if told else None,
            leads, <double>e.fit / UNIT if hardest else None, hardest, bool(told and e.rejected),
            PROTECTION_NAMES[e.protection], GRADE_NAMES[e.grade], basis_words(e.basis),
        )

    cdef object stream_record(self, const EventStream* s):
        types = payload_type_list(s.payload_types)
        codec = self.codec_name(s.codec, types[0] if types else -1)
        return StreamStats(
            s.ssrc, bool(s.from_a), types, codec, PROTECTION_NAMES[s.protection], GRADE_NAMES[s.grade],
            basis_words(s.basis), log10_bound(s.bits, codec not in CODECS_NOT_TOLD), s.decided_packet, s.decided_ns,
            s.packets, s.lost, s.duplicates, s.reordered,
            s.jitter_s * 1000.0 if s.jitter_s >= 0 else None, s.dscp, s.first_ns, s.last_ns,
            s.delay_us / 1000.0 if s.delay_us else None, s.reported_lost if s.reported_lost >= 0 else None,
            s.unreported,
        )

    cdef object flow_record(self, const EventHead* head, object key):
        cdef const EventFlow* e = <const EventFlow*>(<const uint8_t*>head + sizeof(EventHead))
        cdef const uint8_t* at = <const uint8_t*>e + sizeof(EventFlow)
        cdef const EventChange* change
        streams = []
        for _ in range(e.streams):
            streams.append(self.stream_record(<const EventStream*>at))
            at += sizeof(EventStream)
        changes = []
        for _ in range(e.changes):
            change = <const EventChange*>at
            changes.append(Change(change.packet, change.ts_ns, change.ssrc, PROTECTION_NAMES[change.before],
                                  PROTECTION_NAMES[change.after]))
            at += sizeof(EventChange)
        hello = hello_record(<const EventHello*>at, head, key) if e.hello else None
        streams.reverse()       # the core lists the latest first
        told = not CODECS_NOT_TOLD.intersection(stream.codec for stream in streams)
        return FlowEnded(
            head.flow, head.ts_ns, key, APP_NAMES[e.app], PROTECTION_NAMES[e.protection], GRADE_NAMES[e.grade],
            basis_words(e.basis), log10_bound(e.bits, told), e.decided_packet, e.decided_ns,
            KEY_EXCHANGE_NAMES[e.key_exchange], bool(e.rtcp_mux), PROTECTION_NAMES[e.rtcp_protection],
            basis_words(e.rtcp_basis), tuple(streams), tuple(changes),
            encapsulation(e.tunnels, len(key.vlans) > 1), hello, e.packets, e.octets, e.first_ns, e.last_ns,
        )


@lru_cache(maxsize=256)
def encapsulation(uint32_t tunnels, bint tagged_twice):
    """Return what is around a flow, the outermost first; its tags are of the link that its addresses are on."""
    names = [TUNNEL_NAMES[code] for code in [tunnels >> shift & 0xFF for shift in (24, 16, 8, 0)] if code]
    at = len(names)
    if tagged_twice:
        while at and names[at - 1] in ON_THE_LINK:
            at -= 1
        names.insert(at, "qinq")
    return tuple(names)


cdef object app_record(const EventApp* e, const EventHead* head, object key):
    macs = (e.mac[0][:6].hex(":"), e.mac[1][:6].hex(":")) if e.has_macs else ("", "")
    return AppSeen(head.flow, head.ts_ns, key, APP_NAMES[e.app], macs)


cdef object control_record(const EventControl* e, const EventHead* head, object key):
    return Control(head.flow, head.ts_ns, key, PROTECTION_NAMES[e.protection], basis_words(e.basis))


cdef object tones_record(const EventTones* e, const EventHead* head, object key):
    return Tones(head.flow, head.ts_ns, key, bool(head.from_a), e.ssrc, e.payload_type, e.packets)


cdef object named_record(const EventNamed* e, const EventHead* head, object key):
    return MediaNamed(head.flow, head.ts_ns, key, APP_NAMES[e.app], address_text(<const uint64_t*>e.address), e.port,
                      bool(e.keys))


cdef object attempt_record(const EventAttempt* e, const EventHead* head, object key):
    return Attempt(
        head.flow, head.ts_ns, key, bool(head.from_a), ATTEMPT_NAMES[e.kind], e.status, e.account, bool(e.fresh))


cdef object handshake_record(const EventHandshake* e, const EventHead* head, object key):
    cdef const uint8_t* chain = <const uint8_t*>e + sizeof(EventHandshake)
    cdef uint32_t at = 0, size
    certificates = []
    while at < e.chain:
        size = be24(chain + at)
        certificates.append(chain[at + 3:at + 3 + size])
        at += 3 + size
    return Handshake(
        head.flow, head.ts_ns, key, bool(head.from_a), "dtls" if e.is_dtls else "tls", OUTCOME_NAMES[e.outcome],
        e.client_version, e.version, e.cipher, e.group, PyUnicode_DecodeASCII(e.name, e.name_len, "replace"),
        PyUnicode_DecodeASCII(e.alpn, e.alpn_len, "replace"), alpn_words(e.alpn_offered), bool(e.resumed), e.alert,
        bool(e.alert_by_client), tuple(certificates), bool(e.left_out), e.client_certificates, e.srtp_profile,
    )


cdef object hello_record(const EventHello* e, const EventHead* head, object key):
    return Hello(
        head.flow, head.ts_ns, key, "dtls" if e.is_dtls else "tls", e.version, e.cipher,
        PyUnicode_DecodeASCII(e.name, e.name_len, "replace"), PyUnicode_DecodeASCII(e.alpn, e.alpn_len, "replace"),
        e.srtp_profile,
    )


cdef inline bint may_be_media(const Decoded* d) noexcept nogil:
    return d.proto == PROTO_UDP and d.payload_len > 1 and d.payload[0] >> 6 == 2 and not 200 <= d.payload[1] <= 207


cdef inline uint32_t flow_of(Core* c, const Decoded* d, uint32_t guessed) noexcept nogil:
    cdef uint32_t hash = <uint32_t>(d.hash >> 32), number
    cdef Flow* f
    if guessed and same_key(&c.table.flows[guessed].key, &d.key) and c.table.flows[guessed].id:
        number = guessed
    else:
        number = find_flow(&c.table, &d.key, hash)
    if number:
        f = &c.table.flows[number]
        if d.ts_ns <= f.last_ns + c.least_idle_ns or d.ts_ns <= f.last_ns + idle_time(c, f):
            return number
        end_flow(c, number, f.last_ns + idle_time(c, f))    # the wheel had not come to it yet
    if c.shedding.stage and may_be_media(d) and not may_begin_media(c, d.ts_ns):
        return 0
    number = add_flow(&c.table, &d.key, hash)
    if number == 0:
        return 0
    f = &c.table.flows[number]
    f.first_ns = d.ts_ns
    if d.tunnels and aside(c, f) != NULL:
        f.aside.tunnels = d.tunnels
    if d.from_high:
        f.flags |= FLOW_A_IS_HIGH
    # Media may end it sooner than anything else; whatever it turns out to be, it is looked at then.
    put_on_wheel(&c.table, number, (d.ts_ns + min(c.media_idle_ns, c.flow_idle_ns)) // SECOND_NS + 1)
    return number


cdef inline void update(Core* c, const Decoded* d, uint32_t number) noexcept nogil:
    cdef Flow* f = &c.table.flows[number]
    c.at_hand = d
    f.packets[d.from_high] += 1
    f.octets += d.wirelen
    if d.ts_ns > f.last_ns:
        f.last_ns = d.ts_ns
    if d.proto == PROTO_UDP:
        if d.payload_len:
            if d.payload[0] >> 6 == 2:
                # IAX2's full frames have the same first bits as RTP.
                if not has_port(f.key.ports, IAX2_PORT) or not iax2_packet(c, f, d):
                    media_packet(c, f, d)
            else:
                udp_talk(c, f, d)
    else:
        tcp_segment(c, f, d)


cdef int take_fragments(Core* c, Decoded* d) noexcept nogil:
    """Take a fragment: of a datagram, or of one in a tunnel whose own datagram it completes."""
    cdef int reason = DECODE_FRAGMENT
    while reason == DECODE_FRAGMENT:        # at most once for each tunnel that decode_inner allows, and once more
        reason = take_fragment(&c.fragments, d, &c.flow_secret)
        if reason == DECODE_INNER:
            reason = decode_inner(d)
    if reason == CLASSIFIED:
        d.hash = hash_key(&d.key, &c.flow_secret)
    return reason


cdef int take_batch(Core* c, PacketSource source) noexcept nogil:
    """Take up to BATCH packets. Returns how many, or what the source said."""
    cdef PacketRef refs[BATCH]
    cdef Decoded decoded[BATCH]
    cdef uint32_t guessed[BATCH]
    cdef uint32_t number
    cdef int got, i, n = 0, reason = CLASSIFIED
    got = source.fill(refs, BATCH)
    if got <= 0:
        return got
    for i in range(got):
        c.octets += refs[i].wirelen
        reason = decode_packet(&refs[i], &c.flow_secret, &decoded[n])
        c.mirror.truncated += decoded[n].cut
        if reason == DECODE_FRAGMENT:
            reason = take_fragments(c, &decoded[n])
        if reason != CLASSIFIED:
            c.reason[reason] += 1
            continue
        prefetch(&c.table.index[<uint32_t>(decoded[n].hash >> 32) & c.table.index_mask])
        n += 1
    c.received += got
    for i in range(n):
        guessed[i] = guess_flow(&c.table, <uint32_t>(decoded[i].hash >> 32))
        if guessed[i]:
            prefetch(&c.table.flows[guessed[i]])
            prefetch(<uint8_t*>&c.table.flows[guessed[i]] + 64)
    for i in range(n):
        if guessed[i] and decoded[i].proto == PROTO_UDP:
            number = c.table.flows[guessed[i]].recent[decoded[i].from_high]
            if number:
                prefetch(&c.table.streams[number])
                prefetch(<uint8_t*>&c.table.streams[number] + 64)
    for i in range(n):
        pass_time(c, decoded[i].ts_ns)
        number = flow_of(c, &decoded[i], guessed[i])
        if number == 0:
            # Room is what is missing, but for media that is not let in.
            c.reason[SHED_NEW_MEDIA if is_shut(c) and may_be_media(&decoded[i]) else SHED_FLOW_TABLE] += 1
            continue
        c.reason[CLASSIFIED] += 1
        if not may_be_media(&decoded[i]) and is_twin(c, &decoded[i]):
            c.duplicates += 1
            continue
        update(c, &decoded[i], number)
    c.at_hand = NULL
    release_done(&c.fragments)
    if reason != CLASSIFIED:
        pass_time(c, refs[got - 1].ts_ns)
    follow_backlog(c, source.backlog)
    return got
