"""What the network should be: its parts, who is in them, what must hold between them, what is accepted for a while."""

from __future__ import annotations

import ipaddress
import string
from dataclasses import dataclass, field
from typing import Annotated, Literal

from sensor.config.fields import (
    Day,
    Ends,
    FaultsError,
    IpAddress,
    Location,
    Name,
    Parsed,
    Range,
    Seconds,
    Section,
    Severities,
    Text,
    WeakCipher,
    WeakSuite,
    seconds_in,
    suggestion,
    whole_in,
)
from sensor.policy.catalogue import CATALOGUE, CONTROLS

Kind = Literal["voice", "server", "sbc", "trunk", "remote", "management", "data"]
Role = Literal["pbx", "sbc", "relay", "recorder", "voicemail", "provisioning"]
Requirement = Literal["encrypted", "any"]
KeyExchangeKind = Literal["sdes", "dtls", "zrtp"]

VOICE_KINDS: frozenset[Kind] = frozenset(("voice", "server", "sbc", "trunk", "remote"))
OUTSIDE = "outside"  # the name of everything that no segment holds
_PROTOCOLS = frozenset((
    *("http", "https", "ssh", "telnet", "snmp", "ftp", "tftp", "ldap", "smtp", "imap", "pop3", "dns", "ntp", "sip"),
    *("tls", "any"),
))  # fmt: skip
_MAX_PORT = 0xFFFF
MAX_STATEMENT = 2000  # characters
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Segment(Section):
    """A named part of the network, and what must hold for traffic with an end in it.

    An address belongs to the segment with the longest matching range; failing that to the one that names its VLAN,
    then to the one that names the interface it was seen on.
    """

    name: Name
    kind: Kind = "voice"
    cidrs: tuple[Range, ...] = ()
    vlans: tuple[Annotated[int, whole_in(1, 4094)], ...] = ()
    interfaces: tuple[str, ...] = ()
    media: Requirement = "encrypted"
    signalling: Requirement = "encrypted"
    isolated: bool = False  # only segments of the telephone system, and whom a pair or a path lets in, may talk to it
    severities: Severities = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a segment that nothing can belong to, or that takes the name of the rest of the world."""
        faults: list[tuple[Location, str]] = []
        if self.name == OUTSIDE:
            faults.append((("name",), f'"{OUTSIDE}" is the name of everything that no segment holds'))
        if not (self.cidrs or self.vlans or self.interfaces):
            faults.append(((), "needs at least one of cidrs, vlans and interfaces"))
        if faults:
            raise FaultsError(faults)


@dataclass(frozen=True, slots=True)
class Pair(Section):
    """What must hold between two segments, in place of what each asks for by itself; None: as without the pair."""

    between: tuple[Name, Name]
    media: Requirement | None = None
    signalling: Requirement | None = None
    rtcp: Literal["beside-srtp", "encrypted"] | None = None
    min_tls: Literal["1.2", "1.3"] | None = None
    allowed_ciphers: tuple[WeakCipher, ...] | None = None
    allowed_suites: tuple[WeakSuite, ...] | None = None
    key_exchange: tuple[KeyExchangeKind, ...] | None = None
    certificates: Literal["trusted", "any"] | None = None
    access: Literal["allowed", "denied"] | None = None
    grace: Annotated[float | None, seconds_in(0)] = None
    undetermined_after: Annotated[float | None, seconds_in(1)] = None
    severities: Severities = field(default_factory=dict)


# RFC 1918, RFC 6598 (carrier-grade NAT), RFC 1122 (loopback), RFC 3927 and RFC 4291 (link-local), RFC 4193 (ULA)
PRIVATE = Segment(
    "voice",
    cidrs=tuple(
        ipaddress.ip_network(text)
        for text in (
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "fc00::/7", "fe80::/10", "::1/128",
        )
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host(Section):
    """A machine of the telephone system, and what it is there for."""

    name: Name
    role: Role
    addresses: tuple[IpAddress, ...]

    def __post_init__(self) -> None:
        """Refuse a host that is nowhere."""
        if not self.addresses:
            raise FaultsError([(("addresses",), "needs at least one address")])


def _protocol(value: object) -> str:
    if isinstance(value, str):
        transport, _, port = value.partition("/")
        if value in _PROTOCOLS or (
            transport in ("tcp", "udp") and port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT
        ):
            return value
    raise ValueError(
        f'must be tcp or udp with a port, such as "tcp/22", or one of {", ".join(sorted(_PROTOCOLS))}'
        f"{suggestion(str(value), _PROTOCOLS)}"
    )


def _name_at_least_one(section: Section, *keys: str) -> None:
    faults: list[tuple[Location, str]] = [
        ((key,), "must name at least one") for key in keys if not getattr(section, key)
    ]
    if faults:
        raise FaultsError(faults)


@dataclass(frozen=True, slots=True)
class ManagementPath(Section):
    """A way on which hosts may be managed: ranges or segments at either end, and the protocols that may be used."""

    clients: tuple[Ends, ...]
    servers: tuple[Ends, ...]
    protocols: tuple[Annotated[str, Parsed(_protocol, {"type": "string"})], ...] = ("any",)

    def __post_init__(self) -> None:
        """Refuse a path that nobody can take."""
        _name_at_least_one(self, "clients", "servers", "protocols")


@dataclass(frozen=True, slots=True)
class Agreement(Section):
    """A Business Associate Agreement (45 CFR 164.504(e)) as the organisation's inventory has it."""

    signed: Day
    expires: Day | None = None  # None: it has no end

    def __post_init__(self) -> None:
        """Refuse an agreement that ends before it begins."""
        if self.expires is not None and self.expires < self.signed:
            raise FaultsError([(("expires",), "is before the day on which it was signed")])


@dataclass(frozen=True, slots=True)
class Vendor(Section):
    """Somebody outside who carries calls."""

    name: Text
    addresses: tuple[Range, ...]
    role: Text = "carrier"
    contact: Text | None = None
    baa: Agreement | None = None
    baa_required: bool = True  # False: a mere conduit, or one that sees no patient's information

    def __post_init__(self) -> None:
        """Refuse a vendor that is nowhere."""
        if not self.addresses:
            raise FaultsError([(("addresses",), "needs at least one range")])


def _code(value: object) -> str:
    if isinstance(value, str) and value in CATALOGUE:
        return value
    raise ValueError(f"unknown finding code{suggestion(str(value), CATALOGUE)}")


@dataclass(frozen=True, slots=True)
class Waiver(Section):
    """What somebody accepts for a while: findings of these codes, of which an end is one of the subjects."""

    subjects: tuple[Ends, ...]
    codes: tuple[Annotated[str, Parsed(_code, {"enum": list(CATALOGUE)})], ...]
    owner: Text
    reason: Text
    until: Day  # the last day, UTC

    def __post_init__(self) -> None:
        """Refuse a waiver of nothing."""
        _name_at_least_one(self, "subjects", "codes")


def _control(value: object) -> str:
    if value in CONTROLS:
        return str(value)
    raise ValueError(f"must be a control that the report knows{suggestion(str(value), CONTROLS)}")


def _statement(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_STATEMENT or not value.replace("\n", "").isprintable():
        raise ValueError(f"must be a text of 1 to {MAX_STATEMENT} characters")
    return value


def _sha256(value: object) -> str:
    if isinstance(value, str) and len(value) == _SHA256_DIGITS and set(value.lower()) <= set(string.hexdigits):
        return value.lower()
    raise ValueError(f"must be {_SHA256_DIGITS} hexadecimal digits, as sha256sum prints them")


@dataclass(frozen=True, slots=True)
class Attestation(Section):
    """What the organisation says itself of a control, which no network sensor can see; the report prints it."""

    control: Annotated[str, Parsed(_control, {"enum": list(CONTROLS)})]
    statement: Annotated[str, Parsed(_statement, {"type": "string", "maxLength": MAX_STATEMENT})]
    by: Text
    date: Day  # on which it was said
    file: Text | None = None  # where the document is, a path or an address
    sha256: Annotated[str | None, Parsed(_sha256, {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"})] = None  # its own

    def __post_init__(self) -> None:
        """Refuse the digest of nothing."""
        if self.sha256 is not None and self.file is None:
            raise FaultsError([(("sha256",), "is the digest of a file, and no file is named")])


@dataclass(frozen=True, slots=True)
class Baseline(Section):
    """How the baseline of endpoints is learned, against which new ones and lost protection are held."""

    learn: Annotated[float, seconds_in(0, 90 * 86_400)] = 7 * 86_400.0  # from the first start on
    forget_after: Annotated[float, seconds_in(3600, 3650 * 86_400)] = 180 * 86_400.0  # an endpoint not seen for longer


@dataclass(frozen=True, slots=True)
class Alerts(Section):
    """How findings become alerts."""

    settle: Annotated[float, seconds_in(0)] = 60.0  # a finding that comes back within it is the same alert
    burst: Annotated[int, whole_in(1, 100_000)] = 20  # alerts of one code within the window; the rest is one summary
    window: Seconds = 60.0
    runbooks: Text = "docs/runbooks"  # where the runbooks are, a path or an address; "/CODE.md" is added
