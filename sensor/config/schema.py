"""What may be configured, and to what it defaults. Times are seconds of packet time.

These are plain dataclasses, so that a sensor without a configuration file never pays for importing the validator;
``sensor.config.load`` holds files against them with pydantic. Reference for operators: docs/CONFIGURATION.md.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from sensor.config.fields import (
    MAX_PORT,
    FaultsError,
    Header,
    IdleSeconds,
    IpAddress,
    Location,
    Name,
    Parsed,
    Port,
    Seconds,
    Section,
    ServerNames,
    Severities,
    TableSize,
    Tagged,
    Trusted,
    WeakCipher,
    WeakSuite,
    power_of_two_in,
    seconds_in,
    share,
    suggestion,
    whole_in,
)
from sensor.config.files import Secret, parse_signing_key
from sensor.config.network import (
    OUTSIDE,
    PRIVATE,
    Alerts,
    Attestation,
    Baseline,
    Host,
    KeyExchangeKind,
    ManagementPath,
    Pair,
    Segment,
    Vendor,
    Waiver,
)
from sensor.config.sinks import AnySink, FileSink
from sensor.model import Severity

if TYPE_CHECKING:
    from sensor.config.web_config import WebConfig

STDOUT = "stdout"  # the sink that is always there
MAX_EVIDENCE_SECONDS = 600
MAX_HEADERS = 8  # SIP headers that the core looks for
MAX_SOCKET = 107  # octets of its path (unix(7))
SIX_YEARS = 2191  # days at least: one leap day is among any six years (45 CFR 164.316(b)(2)(i))
MAX_THREADS, MAX_CPUS, MAX_NODES = 64, 8192, 1024


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LOOPBACK = Address("127.0.0.1", 9767)


def parse_address(value: object) -> Address:
    """Return the address that "127.0.0.1:9767" or "[::1]:9767" means; ValueError when it means none."""
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    try:
        ip = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
        if (
            port.isascii()
            and port.isdigit()
            and int(port) <= MAX_PORT
            and isinstance(ip, IPv6Address) == host.startswith("[")
        ):
            return Address(str(ip), int(port))
    except ValueError:
        pass
    raise ValueError("must be an address and a port, such as 127.0.0.1:9767 or [::1]:9767")


class WebConfigFile(NamedTuple):
    """A web configuration file, read with the configuration."""

    path: str
    config: WebConfig

    def __str__(self) -> str:
        """Return the path."""
        return self.path


def _web_config_file(value: object) -> WebConfigFile:
    if not isinstance(value, str):
        raise ValueError("must be the path of a web configuration file")  # noqa: TRY004
    from sensor.config.reader import ConfigError  # noqa: PLC0415  (here a file was read, and the validator is loaded)
    from sensor.config.web_config import load_web_config  # noqa: PLC0415

    try:
        return WebConfigFile(value, load_web_config(value))
    except ConfigError as error:
        raise FaultsError([((), line) for line in error.lines]) from None


def _node(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_NODES):
        raise ValueError(f"must be the number of a NUMA node, 0 to {MAX_NODES - 1}")
    return value


def _plain(path: str) -> str:
    """Return an absolute path without what makes two of one; links are not followed."""
    return os.path.normpath("/" + path.lstrip("/"))


def _directory(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.startswith("/") or "\0" in value):
        raise ValueError("must be the path of a directory from / on, such as /var/lib/legwatch-evidence")
    return value


def _socket(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.startswith("/") or "\0" in value):
        raise ValueError("must be the path of a socket from / on, such as /run/legwatch/status.sock")
    if value is not None and len(os.fsencode(value)) > MAX_SOCKET:
        raise ValueError(f"must have at most {MAX_SOCKET} octets, as every path of a socket")
    return value


Directory = Annotated[str | None, Parsed(_directory, {"type": ["string", "null"]})]


@dataclass(frozen=True, slots=True)
class ClearBeforeKey(Section):
    """How much media may run in clear while its keys are on their way: more of either is a finding."""

    packets: Annotated[int, whole_in(0, 1 << 20)] = 50
    seconds: Annotated[float, seconds_in(0)] = 1.0


@dataclass(frozen=True, slots=True)
class Tls(Section):
    """What TLS must be where it carries SIP, and DTLS where it keys media."""

    min_version: Literal["1.2", "1.3"] = "1.2"  # NIST SP 800-52r2
    allowed_ciphers: tuple[WeakCipher, ...] = ()  # weak ones that are accepted
    sip_ports: tuple[Port, ...] = (5061,)  # RFC 3261 section 18.2.1
    expiring_days: Annotated[int, whole_in(0, 3650)] = 30
    trust_system: bool = True  # the authorities of the operating system are trusted …
    trust_files: tuple[Trusted, ...] = ()  # … and those in these files
    accept_self_signed: bool = False
    # Of an issuer that nobody trusts: a finding wherever it is, "high" with an end outside; always "high"; none
    certificates: Literal["by-segment", "trusted", "any"] = "by-segment"
    server_names: ServerNames = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registration(Section):
    """How often servers may refuse one host before it is an attack, or a device with a wrong password."""

    window: Seconds = 60.0
    failures: Annotated[int, whole_in(2, 500)] = 20  # refusals of a host within it
    accounts: Annotated[int, whole_in(2, 500)] = 20  # accounts that it asks for within it, in vain
    device_window: Seconds = 600.0
    device_failures: Annotated[int, whole_in(2, 500)] = 10  # refusals of one account, of one host
    shared_window: Seconds = 3600.0
    shared_failures: Annotated[int, whole_in(2, 500)] = 30  # refusals of one account …
    shared_sources: Annotated[int, whole_in(2, 500)] = 5  # … of so many hosts


@dataclass(frozen=True, slots=True)
class Policy(Section):
    """What the network should be."""

    segments: tuple[Segment, ...] = (PRIVATE,)
    pairs: tuple[Pair, ...] = ()
    grace: Annotated[float, seconds_in(0)] = 2.0  # how long clear media may run while keys are on their way
    media_idle: IdleSeconds = 30.0  # media silent for longer has ended
    undetermined_after: Seconds = 30.0  # media of which nothing can be said becomes a finding
    not_observed_after: Seconds = 30.0  # so does media that was agreed and is not seen
    no_traffic_after: Seconds = 60.0
    no_voice_after: Seconds = 43_200.0  # longer than a night without a call
    max_loss: Annotated[float, share()] = 0.01  # of a minute's packets; beyond it the sensor is blind
    resolve_after: Seconds = 300.0  # clear signalling, exposed keys and loss are over after this long without more
    clear_before_key: ClearBeforeKey = field(default_factory=ClearBeforeKey)
    rtcp: Literal["beside-srtp", "encrypted"] = "beside-srtp"  # RTCP in clear matters beside encrypted media, or always
    allowed_suites: tuple[WeakSuite, ...] = ()  # weak ones that are accepted
    key_exchange: tuple[KeyExchangeKind, ...] = ()  # how keys may be exchanged; none: any way
    dscp: tuple[Annotated[int, whole_in(0, 63)], ...] = ()  # marks that media may have; none: any
    ntp_servers: tuple[IpAddress, ...] = ()  # from which voice hosts may take the time
    tls: Tls = field(default_factory=Tls)
    registration: Registration = field(default_factory=Registration)
    severities: Severities = field(default_factory=dict)
    hosts: tuple[Host, ...] = ()
    management: tuple[ManagementPath, ...] = ()
    vendors: tuple[Vendor, ...] = ()  # who outside may carry calls; none: nobody is asked for
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()  # what the organisation says itself; the report prints it
    baseline: Baseline = field(default_factory=Baseline)

    def __post_init__(self) -> None:
        """Refuse what two parts claim, and names of segments that do not exist."""
        faults = [*self._claimed_twice(), *self._unknown_segments()]
        if faults:
            raise FaultsError(faults)

    def _claimed_twice(self) -> list[tuple[Location, str]]:
        faults = self._segments_claimed_twice()
        paired: set[frozenset[str]] = set()
        for i, pair in enumerate(self.pairs):
            if frozenset(pair.between) in paired:
                faults.append((("pairs", i, "between"), "these two segments have a pair already"))
            paired.add(frozenset(pair.between))
        described: dict[str, tuple[Host | Vendor, ...]] = {"hosts": self.hosts, "vendors": self.vendors}
        for kind, parts in described.items():
            owners: dict[Hashable, str] = {}
            for i, part in enumerate(parts):
                for j, address in enumerate(part.addresses):
                    if address in owners:
                        faults.append(((kind, i, "addresses", j), f'{address} is taken by "{owners[address]}" already'))
                    owners[address] = part.name
        return faults

    def _segments_claimed_twice(self) -> list[tuple[Location, str]]:
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
        return faults

    def _unknown_segments(self) -> list[tuple[Location, str]]:
        segments = [segment.name for segment in self.segments]
        names = [OUTSIDE, *segments]
        named: list[tuple[Location, object]] = []
        for i, pair in enumerate(self.pairs):
            named += [(("pairs", i, "between", j), name) for j, name in enumerate(pair.between)]
        for i, path in enumerate(self.management):
            for key in ("clients", "servers"):
                named += [(("management", i, key, j), name) for j, name in enumerate(getattr(path, key))]
        faults: list[tuple[Location, str]] = [
            (at, f'no segment is called "{name}"{suggestion(name, names)}')
            for at, name in named
            if isinstance(name, str) and name not in names
        ]
        for i, waiver in enumerate(self.waivers):
            for j, name in enumerate(waiver.subjects):
                if name == OUTSIDE:  # it would waive findings of anybody
                    faults.append((("waivers", i, "subjects", j), f'"{OUTSIDE}" is no segment; name addresses'))
                elif isinstance(name, str) and name not in segments:
                    what = f'no segment is called "{name}"{suggestion(name, segments)}'
                    faults.append((("waivers", i, "subjects", j), what))
        return faults


@dataclass(frozen=True, slots=True)
class Capture(Section):
    """How packets are taken from an interface; a change needs a restart."""

    filter: str = ""  # BPF, as tcpdump writes it
    promiscuous: bool = True
    ring_mib: Annotated[int, whole_in(1, 4096)] = 64
    block_kib: Annotated[int, power_of_two_in(64, 4096)] = 128  # the ring's parts, which are handed over one by one …
    block_timeout_ms: Annotated[int, whole_in(1, 1000)] = 10  # … when they are full, or after so long
    threads: Annotated[int, whole_in(1, MAX_THREADS)] = 1  # each with an engine and its part of the ring
    cpus: tuple[Annotated[int, whole_in(0, MAX_CPUS - 1)], ...] = ()  # one a thread; none: as it is scheduled
    numa_node: Annotated[int | None, Parsed(_node)] = None  # the threads run on its CPUs, unless cpus names some
    flow_idle: IdleSeconds = 300.0  # any other flow silent for longer has ended
    call_headers: tuple[Header, ...] = ()  # SIP headers that join the legs of a call

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
class Limits(Section):
    """Capacities of the tables, fixed at start. A full table counts what it cannot hold."""

    flows: TableSize = 1 << 20
    streams: TableSize = 1 << 20
    dialogues: TableSize = 1 << 17
    findings: TableSize = 40_000


@dataclass(frozen=True, slots=True)
class Metrics(Section):
    """The metrics endpoint."""

    listen: Annotated[Address, Parsed(parse_address, {"type": "string"})] = LOOPBACK
    web_config_file: Annotated[WebConfigFile | None, Parsed(_web_config_file, {"type": "string"})] = None
    allow_unprotected: bool = False  # whoever reaches the address may read the metrics

    def __post_init__(self) -> None:
        """Refuse to let others in unknown, or read along, unless the operator says so."""
        protected = self.web_config_file is not None and self.web_config_file.config.protects
        if not (ipaddress.ip_address(self.listen.host).is_loopback or protected or self.allow_unprotected):
            msg = (
                f"{self.listen} is no loopback address: name a web_config_file with TLS and with users or verified "
                "client certificates, or set allow_unprotected: true"
            )
            raise FaultsError([(("listen",), msg)])


@dataclass(frozen=True, slots=True)
class Privacy(Section):
    """What leaves the process of telephone numbers, user names and addresses."""

    identities: Literal["pseudonym", "mask", "reveal"] = "pseudonym"
    addresses: Literal["show", "pseudonym"] = "show"
    rotate_days: Annotated[int, whole_in(0, 3650)] = 0  # after which pseudonyms have another key; 0: never


@dataclass(frozen=True, slots=True)
class State(Section):
    """Where the sensor keeps what outlives it: the baseline and the keys of pseudonyms."""

    directory: Directory = None  # None: $STATE_DIRECTORY, and without that nowhere


@dataclass(frozen=True, slots=True)
class Status(Section):
    """Where ``legwatch status`` and ``legwatch top`` ask; a change needs a restart."""

    # None: status.sock in $RUNTIME_DIRECTORY, and without that nowhere
    socket: Annotated[str | None, Parsed(_socket, {"type": ["string", "null"]})] = None


@dataclass(frozen=True, slots=True)
class Evidence(Section):
    """Headers of the packets that findings are about, in rotated capture files; a change needs a restart."""

    directory: Directory = None  # None: no packet is kept
    min_severity: Severity = "high"  # of a finding whose packets are kept …
    seconds: Annotated[float, seconds_in(1, MAX_EVIDENCE_SECONDS)] = 10.0  # … so long from its beginning …
    packets: Annotated[int, whole_in(1, 1 << 20)] = 200  # … and so many of its two hosts
    file_mib: Annotated[int, whole_in(1, 1024)] = 16
    files: Annotated[int, whole_in(1, 1000)] = 8  # the oldest makes room


@dataclass(frozen=True, slots=True)
class Ledger(Section):
    """What was seen, said and not seen, as entries that cannot be changed unnoticed; a change needs a restart."""

    directory: Directory = None  # None: there is no ledger
    key_file: Annotated[Secret, Parsed(parse_signing_key)] | None = None  # signs it
    former_key_file: Annotated[Secret, Parsed(parse_signing_key)] | None = None  # signed it until now
    transactions: bool = False  # calls and SIP transactions, too
    keep_days: Annotated[int, whole_in(1, 36_500)] = SIX_YEARS + 1
    budget_gib: Annotated[int, whole_in(1, 1 << 16)] = 20

    def __post_init__(self) -> None:
        """Refuse a ledger that nobody would sign."""
        if self.directory is not None and self.key_file is None:
            missing = "is missing, and a ledger is signed; `legwatch ledger new-key FILE` makes one"
            raise FaultsError([(("key_file",), missing)])


@dataclass(frozen=True, slots=True)
class Config(Section):
    """A configuration file."""

    site: Name = "default"  # where the sensor is, as its alerts say it
    sensor: Name | None = None  # None: the machine's name
    policy: Policy = field(default_factory=Policy)
    capture: Capture = field(default_factory=Capture)
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    privacy: Privacy = field(default_factory=Privacy)
    alerts: Alerts = field(default_factory=Alerts)
    state: State = field(default_factory=State)
    status: Status = field(default_factory=Status)
    evidence: Evidence = field(default_factory=Evidence)
    ledger: Ledger = field(default_factory=Ledger)
    sinks: tuple[Annotated[AnySink, Tagged("type")], ...] = ()  # where events go

    def __post_init__(self) -> None:
        """Refuse what has to be alone: another sink of one name or file, another kind of record in one directory."""
        faults: list[tuple[Location, str]] = []
        names: set[str] = {STDOUT}
        files: set[str] = set()
        for i, sink in enumerate(self.sinks):
            if sink.label in names:
                faults.append((("sinks", i), f'another sink is called "{sink.label}"; give one of them a name'))
            names.add(sink.label)
            if isinstance(sink, FileSink):
                path = _plain(sink.path)
                if path in files:
                    faults.append((("sinks", i, "path"), "another sink writes this file"))
                files.add(path)
        owners: dict[str, str] = {}
        for kind in ("state", "evidence", "ledger"):
            if (directory := getattr(self, kind).directory) is not None:
                owner = owners.setdefault(_plain(directory), kind)
                if owner != kind:
                    faults.append(((kind, "directory"), f"is that of {owner} already; each needs one of its own"))
        if faults:
            raise FaultsError(faults)
