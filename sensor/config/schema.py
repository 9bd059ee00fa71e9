"""What may be configured, and to what it defaults. Times are seconds of packet time.

These are plain dataclasses, so that a sensor without a configuration file never pays for importing the validator;
``sensor.config.load`` holds files against them with pydantic. Reference for operators: docs/CONFIGURATION.md.
"""

from __future__ import annotations

import ipaddress
import string
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Literal, NamedTuple

from sensor.config.fields import FaultsError, Location, Name, Parsed, Tagged, suggestion
from sensor.config.fields import Section as _Section
from sensor.config.fields import seconds as _seconds
from sensor.config.fields import whole as _whole
from sensor.config.files import TrustFile, parse_trust_file
from sensor.config.sinks import AnySink
from sensor.model import SEVERITIES, Severity
from sensor.policy.catalogue import CATALOGUE
from sensor.policy.suites import is_weak
from sensor.policy.tls_suites import WEAK_CIPHERS

Kind = Literal["voice", "server", "sbc", "trunk", "remote", "management", "data"]
Requirement = Literal["encrypted", "any"]

MAX_PORT = 0xFFFF
MAX_HEADERS, MAX_HEADER = 8, 32  # headers that the core looks for, and the octets of a name
MAX_THREADS, MAX_CPUS, MAX_NODES = 64, 8192, 1024
_TOKEN = frozenset(string.ascii_letters + string.digits + "-.!%*_+`'~")  # RFC 3261 section 25.1
MAX_IDLE_SECONDS = 500  # the reach of the engine's expiry wheel
OUTSIDE = "outside"  # the name of everything that no segment holds


def _network(value: object) -> IPv4Network | IPv6Network:
    if not isinstance(value, str):
        raise ValueError("must be an address range as text, such as 10.20.0.0/16")  # noqa: TRY004  (pydantic reports ValueError, not TypeError)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        msg = f'"{value}" has bits set beyond its prefix; write {ipaddress.ip_network(value, strict=False)}'
    except ValueError:
        msg = f'"{value}" is not an address range such as 10.20.0.0/16 or fd00:20::/32'
    raise ValueError(msg)


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LOOPBACK = Address("127.0.0.1", 9767)


def parse_address(value: object) -> Address:
    """Return the address that "127.0.0.1:9767" or "[::1]:9767" means; ValueError when it means none, or no loopback."""
    msg = "must be an address and a port, such as 127.0.0.1:9767 or [::1]:9767"
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    try:
        ip = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
        if (
            port.isascii()
            and port.isdigit()
            and int(port) <= MAX_PORT
            and isinstance(ip, IPv6Address) == host.startswith("[")
        ):
            if ip.is_loopback:
                return Address(str(ip), int(port))
            msg = "must be a loopback address: metrics have no authentication; let a proxy carry them"
    except ValueError:
        pass
    raise ValueError(msg)


def _power_of_two(low: int, high: int) -> Parsed:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high or value & (value - 1):
            raise ValueError(f"must be a power of two from {low} to {high}")
        return value

    return Parsed(parse)


def _node(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_NODES):
        raise ValueError(f"must be the number of a NUMA node, 0 to {MAX_NODES - 1}")
    return value


def _severities(value: object) -> dict[str, Severity]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of finding codes to severities")  # noqa: TRY004
    faults: list[tuple[Location, str]] = []
    for code, severity in value.items():
        if code not in CATALOGUE:
            faults.append(((code,), f"unknown finding code{suggestion(str(code), CATALOGUE)}"))
        elif severity not in SEVERITIES:
            faults.append(((code,), f"must be one of {', '.join(SEVERITIES)}"))
    if faults:
        raise FaultsError(faults)
    return value


def _weak_suite(value: object) -> str:
    if not isinstance(value, str) or not is_weak(value):
        raise ValueError("must be a weak suite by its registered name, such as AES_CM_128_HMAC_SHA1_32")
    return value


def _weak_cipher(value: object) -> str:
    if not isinstance(value, str) or value not in WEAK_CIPHERS:
        raise ValueError("must be a weak cipher suite by its registered name, such as TLS_RSA_WITH_AES_128_CBC_SHA")
    return value


def _server_names(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of addresses to the names of which a certificate must have one")  # noqa: TRY004
    faults: list[tuple[Location, str]] = []
    names: dict[str, tuple[str, ...]] = {}
    for address, wanted in value.items():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            faults.append(((address,), f'"{address}" is not an address'))
        if not isinstance(wanted, list) or not wanted or not all(isinstance(name, str) and name for name in wanted):
            faults.append(((address,), "must be a list of names"))
        else:
            names[address] = tuple(wanted)
    if faults:
        raise FaultsError(faults)
    return names


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(value))  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(f'"{value}" is not an address') from None


def _header(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_HEADER or not _TOKEN.issuperset(value):
        raise ValueError(f"must be the name of a SIP header of at most {MAX_HEADER} characters, such as X-Call-ID")
    return value.lower()


Network = Annotated[IPv4Network | IPv6Network, Parsed(_network)]
Seconds = Annotated[float, _seconds(1)]
IdleSeconds = Annotated[float, _seconds(1, MAX_IDLE_SECONDS)]
TableSize = Annotated[int, _whole(16, 1 << 24)]


@dataclass(frozen=True, slots=True)
class Segment(_Section):
    """A named part of the network, and what must hold for traffic with an end in it.

    An address belongs to the segment with the longest matching range; failing that to the one that names its VLAN,
    then to the one that names the interface it was seen on.
    """

    name: Name
    kind: Kind = "voice"
    cidrs: tuple[Network, ...] = ()
    vlans: tuple[Annotated[int, _whole(1, 4094)], ...] = ()
    interfaces: tuple[str, ...] = ()
    media: Requirement = "encrypted"
    signalling: Requirement = "encrypted"

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
class Pair(_Section):
    """What must hold between two segments, in place of what each asks for by itself."""

    between: tuple[Name, Name]
    media: Requirement | None = None  # None: as the segments say
    signalling: Requirement | None = None


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
class ClearBeforeKey(_Section):
    """How much media may run in clear while its keys are on their way: more of either is a finding."""

    packets: Annotated[int, _whole(0, 1 << 20)] = 50
    seconds: Annotated[float, _seconds(0)] = 1.0


@dataclass(frozen=True, slots=True)
class Tls(_Section):
    """What TLS must be where it carries SIP, and DTLS where it keys media."""

    min_version: Literal["1.2", "1.3"] = "1.2"  # NIST SP 800-52r2
    allowed_ciphers: tuple[Annotated[str, Parsed(_weak_cipher)], ...] = ()  # weak ones that are accepted
    sip_ports: tuple[Annotated[int, _whole(1, MAX_PORT)], ...] = (5061,)  # RFC 3261 section 18.2.1
    expiring_days: Annotated[int, _whole(0, 3650)] = 30
    trust_system: bool = True  # the authorities of the operating system are trusted …
    trust_files: tuple[Annotated[TrustFile, Parsed(parse_trust_file)], ...] = ()  # … and those in these files
    accept_self_signed: bool = False
    server_names: Annotated[Mapping[str, tuple[str, ...]], Parsed(_server_names)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registration(_Section):
    """How often servers may refuse one host before it is an attack, or a device with a wrong password."""

    window: Seconds = 60.0
    failures: Annotated[int, _whole(2, 500)] = 20  # refusals of a host within it
    accounts: Annotated[int, _whole(2, 500)] = 20  # accounts that it asks for within it, in vain
    device_window: Seconds = 600.0
    device_failures: Annotated[int, _whole(2, 500)] = 10  # refusals of one account, of one host
    shared_window: Seconds = 3600.0
    shared_failures: Annotated[int, _whole(2, 500)] = 30  # refusals of one account …
    shared_sources: Annotated[int, _whole(2, 500)] = 5  # … of so many hosts


@dataclass(frozen=True, slots=True)
class Policy(_Section):
    """What the network should be."""

    segments: tuple[Segment, ...] = (PRIVATE,)
    pairs: tuple[Pair, ...] = ()
    grace: Annotated[float, _seconds(0)] = 2.0  # how long clear media may run while keys are on their way
    media_idle: IdleSeconds = 30.0  # media silent for longer has ended
    undetermined_after: Seconds = 30.0  # media of which nothing can be said becomes a finding
    not_observed_after: Seconds = 30.0  # so does media that was agreed and is not seen
    no_traffic_after: Seconds = 60.0
    no_voice_after: Seconds = 43_200.0  # longer than a night without a call
    resolve_after: Seconds = 300.0  # clear signalling, exposed keys and loss are over after this long without more
    clear_before_key: ClearBeforeKey = field(default_factory=ClearBeforeKey)
    rtcp: Literal["beside-srtp", "encrypted"] = "beside-srtp"  # RTCP in clear matters beside encrypted media, or always
    allowed_suites: tuple[Annotated[str, Parsed(_weak_suite)], ...] = ()  # weak ones that are accepted
    dscp: tuple[Annotated[int, _whole(0, 63)], ...] = ()  # marks that media may have; none: any
    ntp_servers: tuple[Annotated[str, Parsed(_address)], ...] = ()  # from which voice hosts may take the time
    tls: Tls = field(default_factory=Tls)
    registration: Registration = field(default_factory=Registration)
    severities: Annotated[Mapping[str, Severity], Parsed(_severities)] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what two segments claim, and pairs of segments that do not exist."""
        faults: list[tuple[Location, str]] = []
        claimed: dict[tuple[str, Hashable], str] = {}
        for i, segment in enumerate(self.segments):
            claims: list[tuple[str, Hashable, Location]] = [("name", segment.name, ("name",))]
            for key in ("cidrs", "vlans", "interfaces"):
                claims += [(key, value, (key, j)) for j, value in enumerate(getattr(segment, key))]
            for key, value, at in claims:
                if owner := claimed.get((key, value)):
                    faults.append((("segments", i, *at), f'{value} is taken by segment "{owner}" already'))
                else:
                    claimed[key, value] = segment.name
        names = [OUTSIDE, *(segment.name for segment in self.segments)]
        paired: set[frozenset[str]] = set()
        for i, pair in enumerate(self.pairs):
            faults += [
                (("pairs", i, "between", j), f'no segment is called "{name}"{suggestion(name, names)}')
                for j, name in enumerate(pair.between)
                if name not in names
            ]
            if frozenset(pair.between) in paired:
                faults.append((("pairs", i, "between"), "these two segments have a pair already"))
            paired.add(frozenset(pair.between))
        if faults:
            raise FaultsError(faults)


@dataclass(frozen=True, slots=True)
class Capture(_Section):
    """How packets are taken from an interface; a change needs a restart."""

    filter: str = ""  # BPF, as tcpdump writes it
    promiscuous: bool = True
    ring_mib: Annotated[int, _whole(1, 4096)] = 64
    block_kib: Annotated[int, _power_of_two(64, 4096)] = 1024  # the ring's parts, which are handed over one by one …
    block_timeout_ms: Annotated[int, _whole(1, 1000)] = 10  # … when they are full, or after so long
    threads: Annotated[int, _whole(1, MAX_THREADS)] = 1  # each with an engine and its part of the ring
    cpus: tuple[Annotated[int, _whole(0, MAX_CPUS - 1)], ...] = ()  # one a thread; none: where the scheduler puts them
    numa_node: Annotated[int | None, Parsed(_node)] = None  # the threads run on its CPUs, unless cpus names some
    flow_idle: IdleSeconds = 300.0  # any other flow silent for longer has ended
    call_headers: tuple[Annotated[str, Parsed(_header)], ...] = ()  # SIP headers that join the legs of a call

    def __post_init__(self) -> None:
        """Refuse more headers than the core looks for, and threads without a CPU or a block of their own."""
        faults: list[tuple[Location, str]] = []
        if len(self.call_headers) > MAX_HEADERS:
            faults.append((("call_headers",), f"at most {MAX_HEADERS} headers are possible"))
        if self.cpus and len(self.cpus) != self.threads:
            faults.append((("cpus",), f"must name one CPU for each of the {self.threads} threads"))
        elif len(set(self.cpus)) < len(self.cpus):
            faults.append((("cpus",), "names a CPU twice"))
        if self.ring_mib * 1024 < self.threads * self.block_kib:
            least = -(-self.threads * self.block_kib // 1024)
            faults.append((("ring_mib",), f"must be at least {least}, a block of {self.block_kib} KiB for each thread"))
        if faults:
            raise FaultsError(faults)


@dataclass(frozen=True, slots=True)
class Limits(_Section):
    """Capacities of the tables, fixed at start. A full table counts what it cannot hold."""

    flows: TableSize = 1 << 20
    streams: TableSize = 1 << 20
    dialogues: TableSize = 1 << 17
    findings: TableSize = 10_000


@dataclass(frozen=True, slots=True)
class Metrics(_Section):
    """The metrics endpoint."""

    listen: Annotated[Address, Parsed(parse_address)] = LOOPBACK


@dataclass(frozen=True, slots=True)
class Privacy(_Section):
    """What leaves the process of telephone numbers and user names."""

    identities: Literal["pseudonym", "reveal"] = "pseudonym"


@dataclass(frozen=True, slots=True)
class Config(_Section):
    """A configuration file."""

    policy: Policy = field(default_factory=Policy)
    capture: Capture = field(default_factory=Capture)
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    privacy: Privacy = field(default_factory=Privacy)
    sinks: tuple[Annotated[AnySink, Tagged("type")], ...] = ()  # where events go

    def __post_init__(self) -> None:
        """Refuse two sinks of one name: their counts and their spools would be one."""
        names: set[str] = set()
        faults: list[tuple[Location, str]] = []
        for i, sink in enumerate(self.sinks):
            if sink.label in names:
                faults.append((("sinks", i), f'another sink is called "{sink.label}"; give one of them a name'))
            names.add(sink.label)
        if faults:
            raise FaultsError(faults)
