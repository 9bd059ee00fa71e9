"""What the analysis says and the sinks carry: legs, findings, and the health of the sensor itself.

Words as everywhere in the project: a *leg* is one dialogue's media between two endpoints; a *finding* is one statement
of policy about one subject, opened when it becomes true, updated while it lasts, resolved when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, NamedTuple, Protocol

from fastpath.records import Attempt, FlowEnded

Protection = Literal["encrypted", "clear", "undetermined", "not-observed"]
Signalled = Literal["clear", "srtp-sdes", "srtp-dtls", "zrtp", "optional", "unknown"]
Comparison = Literal["agree", "clear-despite-srtp", "encrypted-despite-clear", "undecided", "unsignalled"]
KeyExchange = Literal["sdes", "sdes-exposed", "dtls", "zrtp", "none", "unknown"]
Severity = Literal["info", "low", "medium", "high", "critical"]
Trust = Literal["trusted", "untrusted", "unknown"]
FindingState = Literal["open", "resolved", "waived"]
# Of a finding; "restored": it was open when the sensor ended, and still is
Step = Literal["opened", "updated", "resolved", "restored"]

# What flows carry that the output contract has no word for: "other" there, and named beside it
UNNAMED_APPS = frozenset(("smb", "rtsp", "ipsec", "wireguard", "openvpn"))
# Of several, the state that is said of all together
WORSE: dict[Protection, int] = {"not-observed": 0, "encrypted": 1, "undetermined": 2, "clear": 3}
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a finding is about: ``kind`` is "leg", "signalling", "tls-server", "sensor", …; unused parts are ""."""

    kind: str
    a: str = ""
    b: str = ""
    name: str = ""


@dataclass(slots=True)
class Finding:
    """One finding through its life; the same object is handed out at every step of it."""

    code: str
    severity: Severity
    state: FindingState
    subject: Subject
    segments: tuple[str, ...]
    evidence: list[str]  # statements, each with its figures; no identity that the output may not show
    controls: tuple[str, ...]  # HIPAA Security Rule clauses, "164.312(e)(1)"
    first_ns: int
    last_ns: int
    count: int = 1
    waived_by: str | None = None
    id: str = ""  # the same for the same code and subject, whenever it is opened
    since_ns: int = 0  # when the first packet came that it is about; 0: not known
    names: dict[str, str] = field(default_factory=dict)  # pseudonyms of addresses in it, as they were told at first


@dataclass(frozen=True, slots=True)
class Quality:
    """What the network did to a leg's worst stream, and what that sounds like at best."""

    loss: float  # share of its packets that did not come here
    jitter_ms: float | None  # RFC 3550 section 6.4.1; None: its clock rate is not known
    delay_ms: float | None  # one way, half of what RTCP in clear shows; None: it shows nothing
    r: float | None  # ITU-T G.107; None: the codec has no published values
    mos: float | None
    dscp: int


@dataclass(slots=True)
class Leg:
    """One leg: what was promised for it and what its packets showed, kept apart."""

    a: str  # hosts; the media's own addresses once media was seen
    b: str
    media: str  # "audio", "video", …; "audio" when no SDP was seen
    signalling: Literal["clear", "tls", "unknown"]
    signalled: Signalled
    observed: Protection
    comparison: Comparison
    key_exchange: KeyExchange
    assessed: float  # share of its time that was well observed, 0 to 1
    flows: list[int] = field(default_factory=list)
    quality: Quality | None = None  # None: no media was seen
    recording: bool = False  # of a recording session (SIPREC)
    call: str | None = None  # pseudonym of the call
    first_ns: int = 0
    last_ns: int = 0
    segments: tuple[str, str] = ("outside", "outside")  # of a and of b


@dataclass(frozen=True, slots=True)
class CallLeg:
    """A leg as its call's record names it."""

    a: str
    b: str
    media: str
    signalled: Signalled
    observed: Protection


@dataclass(frozen=True, slots=True)
class Call:
    """Legs that belong together, and what joins them."""

    call: str  # pseudonym, as its legs have it
    caller: str  # pseudonyms, "" where no signalling named them
    callee: str
    recording: bool
    legs: tuple[CallLeg, ...]
    joined_by: tuple[str, ...]  # evidence across Call-IDs, the strongest first
    first_ns: int
    last_ns: int

    @property
    def observed(self) -> Protection:
        """The worst of its legs' states."""
        return max((leg.observed for leg in self.legs), key=WORSE.__getitem__, default="not-observed")


@dataclass(slots=True)
class Endpoint:
    """An address that speaks SIP or exchanges media."""

    address: str
    mac: str = ""  # of the device, or of the router before it; "" where the link shows none
    user_agent: str = ""
    media: Protection | None = None  # as last seen; None: it exchanged none
    signalling: Protection | None = None
    first_ns: int = 0
    last_ns: int = 0


class Chain(NamedTuple):
    """What is known of a server's certificates; of one that cannot be read everything but ``readable`` is empty."""

    readable: bool
    fingerprint: str = ""  # SHA-256 of the server's own, hexadecimal
    key: str = ""  # "RSA 2048", "EC 256", …
    signature: str = ""  # hash, "sha256"
    self_signed: bool = False
    not_before_ns: int = 0
    not_after_ns: int = 0
    names: tuple[str, ...] = ()  # in lower case; they never leave the process
    weak: tuple[str, ...] = ()  # why, of any certificate in it
    trust: Trust = "unknown"
    reason: str = ""  # why it is not trusted

    def is_for(self, name: str) -> bool:
        """Say whether a host name or address is among the names (RFC 9525 section 6.3)."""
        name = name.lower().rstrip(".")
        return any(_matches(pattern, name) for pattern in self.names)


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith("*."):
        return pattern.rstrip(".") == name
    return not _is_address(name) and "." in name and name.partition(".")[2] == pattern[2:].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class TlsServer:
    """A server of TLS that carries SIP."""

    address: str
    port: int
    basis: str  # why it is known to carry SIP: "port", "alpn" or "earlier-flow"
    versions: list[int] = field(default_factory=list)  # agreed, as on the wire
    ciphers: list[int] = field(default_factory=list)  # agreed, IANA numbers
    groups: list[int] = field(default_factory=list)  # of the key exchange, IANA numbers
    names: list[str] = field(default_factory=list)  # that clients asked for
    handshakes: dict[str, int] = field(default_factory=dict)  # by outcome
    resumed: int = 0
    certificate: str = "not-seen"  # "readable", "unreadable", "not-observable" (TLS 1.3, a resumed session)
    chain: Chain | None = None
    first_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class FlowContext:
    """What the signalling adds to a flow that ended."""

    signalled: Signalled
    key_exchange: KeyExchange
    carries: str | None = None  # "sip" on TLS and WebSocket flows known to carry it …
    carries_basis: str | None = None  # … by "port", "alpn", "subprotocol" or an "earlier-flow"


class Sink(Protocol):
    """Where results go. Every method returns at once; a sink that fails counts it and never raises."""

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """A flow is over."""

    def leg_ended(self, leg: Leg) -> None:
        """A leg is over; its record is final."""

    def call_ended(self, call: Call) -> None:
        """A call is over, after its legs."""

    def attempted(self, attempt: Attempt) -> None:
        """Somebody asked something of a server, and it came to nothing or did not."""

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """The input has ended, or an endpoint had to make room; its record is final."""

    def tls_server_ended(self, server: TlsServer) -> None:
        """The input has ended, or a server had to make room; its record is final."""

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """A finding was opened, updated or resolved, or it is known from before."""


class QuietSink:
    """A sink that takes everything and does nothing; others override what they care for."""

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Do nothing."""

    def leg_ended(self, leg: Leg) -> None:
        """Do nothing."""

    def call_ended(self, call: Call) -> None:
        """Do nothing."""

    def attempted(self, attempt: Attempt) -> None:
        """Do nothing."""

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Do nothing."""

    def tls_server_ended(self, server: TlsServer) -> None:
        """Do nothing."""

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Do nothing."""
