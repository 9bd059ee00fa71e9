"""The records that the packet core hands to the sensor: the whole seam between the two.

They are made at event rate (a flow recognised, a verdict reached, a SIP message, a flow ended), never per packet but
for the one flow that an engine may be told to trace.
Times are nanoseconds since the Unix epoch by the packets' own clock. Addresses are text as RFC 5952 writes them.
No record holds audio, digits, keys or passwords: an ``a=crypto`` key is a salted digest before it gets here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class FlowKey(NamedTuple):
    """The two ends of a flow; ``a`` is the side that sent first."""

    proto: str  # "udp" or "tcp"
    a: str
    a_port: int
    b: str
    b_port: int
    vlans: tuple[int, ...]  # outermost first, priority tags left out


# What a flow carries, in the order of names.pxd; words beyond those of the output contract stay in the process.
APP_NAMES = (
    "other", "dns", "ntp", "snmp", "tftp", "http", "ftp", "telnet", "smtp", "imap", "pop3", "ldap", "smb", "rtsp",
    "ipsec", "wireguard", "openvpn", "stun", "turn", "zrtp", "dtls", "tls", "3cx-tunnel", "sccp", "mgcp", "megaco",
    "h323", "iax2", "msrp", "sip", "ws", "rtcp", "t38", "rtp",
)  # fmt: skip


@dataclass(slots=True)
class AppSeen:
    """What a flow carries became known, or known better (DTLS, then the media it keyed)."""

    flow: int  # never used again in a process
    ts_ns: int
    key: FlowKey
    app: str  # the values of the output contract: "sip", "rtp", "tls", …
    macs: tuple[str, str] = ("", "")  # of a and b in the packet that showed it; "" where the link has none


@dataclass(slots=True)
class Verdict:
    """The protection of one stream, when first reached and at every change."""

    flow: int
    ts_ns: int
    key: FlowKey
    ssrc: int
    from_a: bool
    payload_type: int
    codec: str  # "" when unknown
    protection: str  # "clear", "encrypted" or "undetermined"
    previous: str | None  # the protection before; None for the first verdict
    grade: str | None  # "proved" or "inferred", with "encrypted" only
    basis: tuple[str, ...]  # the strongest first
    log10_p: float | None  # bound on the probability of this evidence under encryption; with "clear" only
    packet: int  # number of the deciding packet among the stream's media packets, 1 = first
    elapsed_ns: int  # from the stream's first packet to the deciding one
    seq: int = 0  # RTP sequence number of the deciding packet …
    timestamp: int = 0  # … and its RTP timestamp
    since_packet: int = 1  # number of the first packet that the verdict rests on
    tag: int | None = None  # octets that its lengths show behind the codec's frames: tag and MKI; None: not known
    missing: int = 0  # packets of the stream until then that were not seen


@dataclass(slots=True)
class Control:
    """The protection of a flow's RTCP, when first known and at every change."""

    flow: int
    ts_ns: int
    key: FlowKey
    protection: str  # "clear", "encrypted" or "undetermined"
    basis: tuple[str, ...]


@dataclass(slots=True)
class Tones:
    """Telephone events (RFC 4733) that were seen in clear, said once for each stream; which ones is never said."""

    flow: int
    ts_ns: int
    key: FlowKey
    from_a: bool
    ssrc: int
    payload_type: int
    packets: int  # that showed it


@dataclass(slots=True)
class Certificate:
    """The end-entity certificate that one side of a DTLS handshake showed (1.2 and before: 1.3 encrypts it)."""

    flow: int
    ts_ns: int
    key: FlowKey
    from_a: bool
    der: bytes


@dataclass(slots=True)
class Hello:
    """The server's (or a DTLS server's) answer in a handshake: what was agreed."""

    flow: int
    ts_ns: int
    key: FlowKey
    kind: str  # "tls" or "dtls"
    version: int  # as on the wire (0x0303, 0xfefd), from supported_versions where present
    cipher: int  # IANA cipher suite number
    server_name: str  # SNI of the ClientHello, "" when not seen
    alpn: str  # protocol the server chose, "" when none
    srtp_profile: int  # use_srtp profile the server chose (RFC 5764), 0 when none


@dataclass(slots=True)
class Handshake:
    """How a TLS handshake ended, or that of a DTLS association: said once, when that is known."""

    flow: int
    ts_ns: int
    key: FlowKey
    from_a: bool  # the client is a
    kind: str  # "tls" or "dtls"
    outcome: str  # "completed"; "refused" by an alert, "cut" by a FIN or RST, "unknown" where octets are missing
    client_version: int  # the highest that the client offers, as on the wire; 0: its hello was not seen
    version: int  # what was agreed, as on the wire (0x0303, 0xfefd); 0: the server's hello was not seen
    cipher: int  # IANA cipher suite number
    group: int  # IANA supported group of the key exchange; 0: none, or not seen
    server_name: str  # SNI of the ClientHello, "" when there is none
    alpn: str  # protocol that the server chose; "" when none, and in TLS 1.3, which encrypts it
    alpn_offered: tuple[str, ...]  # of "sip", "http/1.1" and "h2": what the client offers
    resumed: bool  # an earlier session goes on: no certificate is shown (TLS 1.2 and before)
    alert: int  # description of the alert that ended it, -1 for none or an encrypted one
    alert_by_client: bool
    certificates: tuple[bytes, ...]  # DER, as the server showed them, its own first; () when none was seen
    certificates_left_out: bool  # it showed more than are kept
    client_certificates: int  # how many the client showed
    srtp_profile: int = 0  # use_srtp profile that the server chose (RFC 5764), 0 when none


@dataclass(slots=True)
class SdpCrypto:
    """One ``a=crypto`` line (RFC 4568): the suite, and a salted digest in place of the key."""

    tag: int
    suite: str
    key_digest: int
    unencrypted_srtp: bool
    unencrypted_srtcp: bool
    unauthenticated_srtp: bool
    mki: int = 0  # octets of the master key identifier behind each packet, 0 for none
    potential: bool = False  # a capability that an answer may choose (RFC 5939)


@dataclass(slots=True)
class SdpMedia:
    """One ``m=`` line with what applies to it from session level (RFC 8866)."""

    media: str  # "audio", "video", …
    port: int  # 0: refused (RFC 3264 section 6)
    profile: str  # "RTP/AVP", "UDP/TLS/RTP/SAVPF", …
    address: str  # from the nearest c= line; "" when there is none
    direction: str  # "sendrecv", "sendonly", "recvonly" or "inactive"
    payload_types: tuple[
        tuple[int, str], ...
    ]  # (number, encoding/clock as in rtpmap, "" when not mapped); SipMessage only
    cryptos: tuple[SdpCrypto, ...]
    fingerprints: tuple[str, ...]  # "sha-256 AB:CD…" as a=fingerprint carries it, normalised in case
    setup: str  # a=setup value, "" when none
    zrtp_hash: bool
    rtcp_mux: bool
    rtcp_port: int  # a=rtcp, 0 when none
    candidates: tuple[tuple[str, int], ...]  # addresses and ports of a=candidate, component 1
    bundle_only: bool = False  # port 0 refuses nothing (RFC 9143 section 6)
    potential_srtp: bool = False  # a secure profile is among the capabilities (RFC 5939)
    bundle: int = 0  # which BUNDLE group of the description it is in (RFC 9143), 1 = the first; 0: none
    rtcp_address: str = ""  # a=rtcp, "" when it names none: that of the media


@dataclass(slots=True)
class SipMessage:
    """One SIP message that was read from the wire, whole or cut (RFC 3261)."""

    flow: int
    ts_ns: int
    key: FlowKey
    from_a: bool
    method: str  # of the request; for a response the CSeq method
    status: int  # 0 for a request
    cseq: int
    call_id: str  # bounded; longer ones are cut and end in a digest
    from_tag: str
    to_tag: str
    from_user: str  # in memory only; leaves the process as a pseudonym
    to_user: str
    user_agent: str
    media: tuple[SdpMedia, ...] | None  # None: no SDP body
    session_ids: tuple[str, ...] = ()  # UUIDs of Session-ID (RFC 7989), the nil one left out
    headers: tuple[tuple[int, int], ...] = ()  # (which of the wanted ones, keyed digest of its value)
    replaces: str = ""  # Call-ID that Replaces names (RFC 3891), as call_id would have it
    credentials: str = ""  # "digest", "basic", "bearer" or "other"
    text: bool = False  # a MESSAGE whose body is in clear
    recording: bool = False  # asks for a recording session (RFC 7866)


@dataclass(slots=True)
class Negotiation:
    """What a dialogue offered or agreed on one hop, or that it is over; said only when that changes."""

    flow: int  # of the message
    ts_ns: int
    key: FlowKey
    from_a: bool
    dialog: int  # this dialogue on this hop; never used again in a process
    state: str  # "offered", "agreed" or "ended"
    call_id: str  # bounded; longer ones are cut and end in a digest
    from_tag: int  # keyed digests, 0 while not known
    to_tag: int
    from_user: str  # in memory only; leaves the process as a pseudonym
    to_user: str
    session_ids: tuple[str, ...]  # the two UUIDs of Session-ID (RFC 7989), the nil one left out
    headers: tuple[tuple[int, int], ...]  # (which of the engine's call_headers, keyed digest of its value)
    replaces: str  # the Call-ID of the dialogue that this one takes the place of (RFC 3891), "" for none
    recording: bool  # a recording session (RFC 7866)
    offer: tuple[SdpMedia, ...] | None  # None: was not seen
    answer: tuple[SdpMedia, ...] | None


@dataclass(slots=True)
class Exposure:
    """What a protocol in clear shows to whoever reads it: when a flow first does, then at most every ten seconds."""

    flow: int
    ts_ns: int
    key: FlowKey
    kind: str  # what is shown: "sip", "keys", "credentials", "text", "legacy", "media", "provisioning", …
    method: str  # of a SIP message, "" for other protocols
    status: int
    detail: tuple[str, ...]  # suites of the keys; scheme of SIP's credentials; what else is secret
    count: int  # messages since the last record of this kind and flow
    protocol: str = "sip"  # as AppSeen has it
    by_content: bool = False  # what is shown belongs to telephones by its own content (not asked of SIP)
    first: bool = True  # False: what a flow's end adds to what was said before


@dataclass(slots=True)
class MediaNamed:
    """An end that signalling other than SIP named for media."""

    flow: int
    ts_ns: int
    key: FlowKey
    app: str  # as AppSeen has it
    address: str
    port: int
    keys: bool = False  # SDES keys came with it, in clear


@dataclass(slots=True)
class Attempt:
    """A request that comes to nothing, or one of those that show that another did not."""

    flow: int
    ts_ns: int
    key: FlowKey
    from_a: bool  # a asks
    # "refused" in spite of credentials or for good; "challenged" and left; an INVITE to an extension that is
    # "unanswered"; "followed" is one of these two that was not left; "accepted" is a registration.
    kind: str
    status: int  # of the response, 0 for none
    account: int  # keyed digest of who was asked for
    fresh: bool  # refused: a challenge came between it and the one before


@dataclass(slots=True)
class Agent:
    """Who speaks SIP at one end of a flow, when first heard or changed."""

    flow: int
    ts_ns: int
    key: FlowKey
    from_a: bool
    user_agent: str  # bounded


@dataclass(slots=True)
class StreamStats:
    """One direction and SSRC of a flow, as counted to its end."""

    ssrc: int
    from_a: bool
    payload_types: tuple[int, ...]
    codec: str
    protection: str
    grade: str | None
    basis: tuple[str, ...]
    log10_p: float | None
    decided_packet: int  # 0: never
    decided_ns: int
    packets: int
    lost: int
    duplicates: int
    reordered: int
    jitter_ms: float | None  # None: clock rate unknown
    dscp: int
    first_ns: int
    last_ns: int
    delay_ms: float | None = None  # from the mirror to the receiver and back, by RTCP
    reported_lost: int | None = None  # packets that receivers said they lack since their first report
    unreported: int = 0  # packets that are missing here and that the receivers have


@dataclass(slots=True)
class Evidence:
    """One RTP packet of the flow that the engine was told to trace, and where it left its stream's evidence.

    Only such an engine makes these, one a packet. The state is that before a verdict is drawn from the packet: the
    Verdict that it brings comes next. Scores are None where the test took no packet, and where so few octets are
    behind them that they could be turned back into a digit or a letter.
    """

    flow: int
    ts_ns: int
    ssrc: int
    from_a: bool
    packet: int  # as in Verdict; one that does not count (a duplicate, a stray) has the number before
    elapsed_ns: int  # from the stream's first packet
    seq: int
    payload_type: int
    octets: int  # of payload
    excess: int | None  # octets beyond the codec's frames; None: how many those have is not known
    fate: str  # "scored", or why it was not: "settled", "duplicate", …
    scored: int  # packets that the test has taken since it began, or began anew
    clear_bits: float | None  # evidence for "clear"
    leads: str  # the codec that it is for, or "generic"; "" with None
    fit_bits: float | None  # how well the codec fits that is hardest to reject
    hardest: str  # that codec, "" when none is left or none was ever to be asked
    rejected: bool  # every codec that the payload type can mean was rejected; False with None
    protection: str
    grade: str | None
    basis: tuple[str, ...]


class Change(NamedTuple):
    """A stream's protection changed in mid-stream."""

    packet: int
    ts_ns: int
    ssrc: int
    before: str
    after: str


@dataclass(slots=True)
class FlowEnded:
    """Everything known of a flow when it went idle, was closed or the input ended."""

    flow: int
    ts_ns: int
    key: FlowKey
    app: str
    protection: str
    grade: str | None
    basis: tuple[str, ...]
    log10_p: float | None
    decided_packet: int  # 0: never
    decided_ns: int
    key_exchange: str  # what the packets show: "dtls", "zrtp" or "" (signalling may add)
    rtcp_mux: bool  # RTCP shares the 5-tuple
    rtcp_protection: str  # there, or else on the next ports; "clear", "encrypted", "undetermined" or "not-observed"
    rtcp_basis: tuple[str, ...]
    streams: tuple[StreamStats, ...]
    changes: tuple[Change, ...]
    encapsulation: tuple[str, ...]
    hello: Hello | None
    packets: int
    octets: int  # on the wire
    first_ns: int
    last_ns: int


Record = (
    AppSeen
    | Verdict
    | Control
    | Tones
    | Certificate
    | Hello
    | Handshake
    | Negotiation
    | Exposure
    | Agent
    | Attempt
    | MediaNamed
    | SipMessage
    | Evidence
    | FlowEnded
)
