"""The servers of TLS that carries SIP, and how their handshakes go."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from sensor.model import Subject, TlsServer
from sensor.policy import tls as rules
from sensor.policy import tls_suites as suites
from sensor.policy.claims import NS, end

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastpath.records import AppSeen, Handshake, Hello
    from sensor.config.schema import Policy
    from sensor.findings import Book, Claim
    from sensor.model import Chain
    from sensor.policy.segments import Required, Segments
    from sensor.tls.certificates import Certificates

MAX_SERVERS = 4096
MAX_PAIRS = 1 << 16  # of client and server, and of those whose handshakes fail
MAX_HOSTS = 1 << 16
FORGET_NS = 7 * 86_400 * NS  # a server that nobody has asked for so long is not held any more
MAX_SAID = 8  # versions, suites and names of a server

Basis = Literal["port", "alpn", "earlier-flow"]
End = tuple[str, int]
Key = TypeVar("Key", bound=Hashable)


class _Pair(NamedTuple):
    """A client and a server, as the holder of what is true between them; ``reason`` where handshakes fail."""

    kind: str
    client: str
    server: End
    reason: tuple[str, int, bool] = ("", -1, False)


class _Server:
    """A server, as the holder of what is true of its certificate."""

    __slots__ = ("chain", "client", "external", "names", "next_ns", "record", "required", "vlans")

    def __init__(self, record: TlsServer, required: Required, client: str, vlans: tuple[int, ...]) -> None:
        self.record = record
        self.required = required
        self.client = client  # the last one
        self.vlans = vlans
        self.external = False
        self.names: tuple[str, ...] = ()  # of which the certificate must have one
        self.chain: Chain | None = None
        self.next_ns = 0  # when time alone changes what is true; 0: never


class TlsServers:
    """Judges handshakes; ``gone`` is told of a server that made room, and of all at the end."""

    def __init__(
        self,
        book: Book,
        segments: Segments,
        policy: Policy,
        certificates: Certificates,
        gone: Callable[[TlsServer], None],
    ) -> None:
        self.evicted = 0
        self._book = book
        self._segments = segments
        self._policy = policy
        self._certificates = certificates
        self._gone = gone
        self._servers: dict[End, _Server] = {}  # the one heard of last at the end, as in the others
        self._pairs: dict[_Pair, None] = {}
        self._passing: dict[_Pair, int] = {}  # what is over when it was not seen again for a while, with when it was
        self._sip_ends: dict[End, None] = {}  # known to carry SIP
        self._hosts: dict[str, None] = {}  # ends of TLS that carries SIP
        self._completed: dict[tuple[str, End], None] = {}  # clients and servers that came together once
        self._flows: dict[int, Basis] = {}

    def __len__(self) -> int:
        """Return the number of servers held."""
        return len(self._servers)

    def carries_sip(self, host: str) -> bool:
        """Say whether a host has exchanged SIP under TLS."""
        return host in self._hosts

    def expiries(self) -> list[tuple[str, int]]:
        """Return the addresses of the servers whose certificates were read, and when these end."""
        known = [(server.record.address, server.chain) for server in list(self._servers.values())]
        return [(address, chain.not_after_ns) for address, chain in known if chain is not None and chain.readable]

    def records(self) -> list[TlsServer]:
        """Return what is known of the servers."""
        return [server.record for server in self._servers.values()]

    def is_sip(self, flow: int) -> bool:
        """Say whether a flow is known to carry SIP."""
        return flow in self._flows

    def sip_seen(self, record: AppSeen) -> None:
        """Take that SIP is read in clear: TLS to the same address and port will carry it, too."""
        for known in ((record.key.a, record.key.a_port), (record.key.b, record.key.b_port)):
            _keep(self._sip_ends, known, MAX_HOSTS)

    def tls_seen(self, record: AppSeen) -> bool:
        """Take a flow of TLS. Return whether its ports alone say that it carries SIP."""
        key, ports = record.key, self._policy.tls.sip_ports
        if key.a_port in ports or key.b_port in ports:
            self._carries(record, "port")
            return True
        return False

    def hello(self, record: Hello) -> None:
        """Take the server's hello, long before it is known how the handshake ends."""
        if record.alpn.startswith("sip"):
            self._carries(record, "alpn")

    def flow_ended(self, flow: int) -> Basis | None:
        """Forget a flow. Return why it is known to have carried SIP, None where it is not."""
        return self._flows.pop(flow, None)

    def handshake(self, record: Handshake) -> None:
        """Take how a handshake ended."""
        key = record.key
        client, server = (key.a, key.a_port), (key.b, key.b_port)
        if not record.from_a:
            client, server = server, client
        required = self._segments.required(client[0], server[0], key.vlans)
        if record.kind == "dtls":
            if record.srtp_profile and required.media and record.outcome == "completed":
                self._media(record, _Pair("dtls", client[0], server), required)
            return
        basis = self._flows.get(record.flow) or self._basis(record, server)
        if basis is None:
            return
        self._carries(record, basis)
        if basis == "alpn":
            _keep(self._sip_ends, server, MAX_HOSTS)
        known = self._server(server, record, basis, required, client[0])
        self._count(known.record, record)
        if record.outcome in ("completed", "unknown"):
            known.external = self._is_external(client[0], server[0], record)
            self._certificate(known, record, server)
        if not required.signalling:
            return
        if record.outcome == "completed":
            _keep(self._completed, (client[0], server), MAX_PAIRS)
            self._agreed(record, _Pair("tls", client[0], server), required)
        elif record.outcome != "unknown" and self._is_expected(client[0], server, record):
            reason = (record.outcome, record.alert, record.alert_by_client)
            self._passes(
                record, _Pair("failed", client[0], server, reason), rules.unfinished(record, required, required.policy)
            )

    def sweep(self, now_ns: int) -> None:
        """Let go of what was not seen again for the policy's time, and see what time alone has changed."""
        before_ns = now_ns - int(self._policy.resolve_after * NS)
        for holder, last_ns in list(self._passing.items()):
            if not before_ns <= last_ns <= now_ns:
                del self._passing[holder]
                self._book.hold(holder, (), last_ns)
        for end_, server in list(self._servers.items()):
            if now_ns - server.record.last_ns > FORGET_NS:
                self._forget(end_, now_ns)
            elif server.next_ns and now_ns >= server.next_ns:
                self._judge(server, now_ns)

    def reload(self, segments: Segments, policy: Policy, now_ns: int) -> None:
        """Judge by another policy: certificates now, the rest with the next handshake."""
        self._segments, self._policy = segments, policy
        for end_, server in self._servers.items():
            server.required = segments.required(server.client, end_[0], server.vlans)
            server.names = self._wanted(server.record.names, end_)
            self._judge(server, max(now_ns, server.record.last_ns))

    def close(self) -> None:
        """Say every server, after the last record."""
        for server in self._servers.values():
            self._gone(server.record)
        self._servers.clear()

    def _basis(self, record: Handshake, server: End) -> Basis | None:
        if server[1] in self._policy.tls.sip_ports:
            return "port"
        if record.alpn.startswith("sip") or (not record.alpn and "sip" in record.alpn_offered):
            return "alpn"
        return "earlier-flow" if server in self._sip_ends else None

    def _carries(self, record: AppSeen | Hello | Handshake, basis: Basis) -> None:
        self._flows.setdefault(record.flow, basis)
        for host in (record.key.a, record.key.b):
            _keep(self._hosts, host, MAX_HOSTS)

    def _server(self, end_: End, record: Handshake, basis: Basis, required: Required, client: str) -> _Server:
        known = self._servers.pop(end_, None)
        if known is None:
            if len(self._servers) >= MAX_SERVERS:
                self._forget(next(iter(self._servers)), record.ts_ns)
                self.evicted += 1
            server = TlsServer(*end_, basis, first_ns=record.ts_ns)
            known = _Server(server, required, client, record.key.vlans)
        self._servers[end_] = known
        known.required, known.client, known.vlans = required, client, record.key.vlans
        return known

    def _forget(self, end_: End, now_ns: int) -> None:
        server = self._servers.pop(end_)
        self._gone(server.record)
        self._book.hold(server, (), now_ns)

    def _count(self, server: TlsServer, record: Handshake) -> None:
        server.last_ns = max(server.last_ns, record.ts_ns)
        server.handshakes[record.outcome] = server.handshakes.get(record.outcome, 0) + 1
        server.resumed += record.resumed
        if record.outcome != "completed":
            return
        agreed = (
            (server.versions, record.version),
            (server.ciphers, record.cipher),
            (server.groups, record.group),
        )
        for said, value in agreed:
            if value and value not in said and len(said) < MAX_SAID:
                said.append(value)
        if record.server_name and record.server_name not in server.names and len(server.names) < MAX_SAID:
            server.names.append(record.server_name)

    def _certificate(self, known: _Server, record: Handshake, end_: End) -> None:
        if record.certificates:
            known.chain = self._certificates.read(record.certificates, record.ts_ns)
            known.record.chain = known.chain
            known.record.certificate = "readable" if known.chain.readable else "unreadable"
        elif record.outcome == "completed" and known.chain is None and not suites.is_anonymous(record.cipher):
            known.record.certificate = "not-observable"
        known.names = self._wanted([record.server_name] if record.server_name else [], end_)
        self._judge(known, record.ts_ns)

    def _wanted(self, said: list[str], end_: End) -> tuple[str, ...]:
        """Return the names of which a certificate must have one: those of the policy, else what was asked for."""
        return self._policy.tls.server_names.get(end_[0]) or tuple(said[-1:])

    def _judge(self, server: _Server, now_ns: int) -> None:
        text = end(server.record.address, server.record.port)
        required, policy, chain = server.required, server.required.policy, server.chain
        server.next_ns = 0
        if not required.signalling:
            claims = []
        elif chain is not None and chain.readable:
            claims = rules.certificate(chain, server.names, text, now_ns, required, policy, external=server.external)
            moments = (
                chain.not_before_ns,
                chain.not_after_ns - policy.tls.expiring_days * rules.DAY_NS,
                chain.not_after_ns,
            )
            server.next_ns = min((moment + 1 for moment in moments if moment >= now_ns), default=0)
        elif server.record.certificate == "not-observable":
            why = "an earlier session was resumed" if server.record.resumed else "TLS 1.3 encrypts it"
            claims = rules.not_observable(why, text, required, policy)
        else:
            claims = []
        self._book.hold(server, claims, now_ns)
        if chain is not None and chain.readable:
            self._book.judged(rules.CERTIFICATE, Subject("tls-server", name=text), now_ns)

    def _agreed(self, record: Handshake, holder: _Pair, required: Required) -> None:
        claims = rules.agreed(record, required, required.policy)
        self._pairs.pop(holder, None)
        if claims:
            self._pairs[holder] = None
            if len(self._pairs) > MAX_PAIRS:
                oldest = next(iter(self._pairs))
                del self._pairs[oldest]
                self._book.hold(oldest, (), record.ts_ns)
        self._book.hold(holder, claims, record.ts_ns)
        self._book.judged(rules.AGREED, rules.hosts(record), record.ts_ns)

    def _media(self, record: Handshake, holder: _Pair, required: Required) -> None:
        claims = rules.agreed(record, required, required.policy)
        if record.certificates:
            chain = self._certificates.read(record.certificates, record.ts_ns)
            claims += rules.weak_certificate(record, chain, required, required.policy)
        if claims:
            self._passes(record, holder, claims)

    def _passes(self, record: Handshake, holder: _Pair, claims: list[Claim]) -> None:
        """Hold what is over when it was not seen again for a while."""
        if holder in self._passing:
            self._passing[holder] = record.ts_ns
            self._book.touch(holder, record.ts_ns, 1)
        elif len(self._passing) < MAX_PAIRS:
            self._passing[holder] = record.ts_ns
            self._book.hold(holder, claims, record.ts_ns)

    def _is_expected(self, client: str, server: End, record: Handshake) -> bool:
        """Say whether a client belongs here: whoever tries every server of the internet fails at this one, too."""
        return self._segments.of(client, record.key.vlans) is not None or (client, server) in self._completed

    def _is_external(self, client: str, server: str, record: Handshake) -> bool:
        """Say whether an end is outside the network, or where others are: trunks and remote workers."""
        segments = (self._segments.of(client, record.key.vlans), self._segments.of(server, record.key.vlans))
        return any(segment is None or segment.kind in ("trunk", "remote") for segment in segments)


def _keep(known: dict[Key, None], key: Key, most: int) -> None:
    """Put a key at the end of a dictionary of bounded size; its first makes room."""
    known.pop(key, None)
    known[key] = None
    if len(known) > most:
        del known[next(iter(known))]
