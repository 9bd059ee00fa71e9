"""Addresses as pseudonyms: a sink that tells others everything under other names."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from sensor.findings import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastpath.records import FlowEnded, FlowKey
    from sensor.model import Call, Endpoint, Finding, FlowContext, Leg, Sink, TlsServer

_IPV4 = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)"
_IPV6 = r"(?<![\w:])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?![\w:])"  # dates and digests do not parse as one
_ADDRESS = re.compile(f"{_IPV4}|{_IPV6}")


class Veil:
    """Tells sinks of everything with ``host(address)`` in place of each address, and of each MAC address."""

    def __init__(self, sinks: Sequence[Sink], host: Callable[[str], str]) -> None:
        self._sinks = sinks
        self._host = host
        self._veiled: dict[int, Finding] = {}  # by identity of the finding: a sink sees one object through its life

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Pass a flow on."""
        hello = flow.hello and replace(flow.hello, key=self._key(flow.hello.key))
        veiled = replace(flow, key=self._key(flow.key), hello=hello)
        for sink in self._sinks:
            sink.flow_ended(veiled, context)

    def leg_ended(self, leg: Leg) -> None:
        """Pass a leg on."""
        veiled = replace(leg, a=self._host(leg.a), b=self._host(leg.b))
        for sink in self._sinks:
            sink.leg_ended(veiled)

    def call_ended(self, call: Call) -> None:
        """Pass a call on."""
        legs = tuple(replace(leg, a=self._host(leg.a), b=self._host(leg.b)) for leg in call.legs)
        for sink in self._sinks:
            sink.call_ended(replace(call, legs=legs))

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Pass an endpoint on."""
        veiled = replace(endpoint, address=self._host(endpoint.address), mac=self._host(endpoint.mac))
        for sink in self._sinks:
            sink.endpoint_ended(veiled)

    def tls_server_ended(self, server: TlsServer) -> None:
        """Pass a server on; names that clients asked it for are left out."""
        veiled = replace(server, address=self._host(server.address), names=[])
        for sink in self._sinks:
            sink.tls_server_ended(veiled)

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        """Pass a step of a finding on, by another id: an address could be found by trying its digests."""
        veiled = self._veiled.setdefault(id(finding), replace(finding))
        subject = replace(
            finding.subject,
            a=self._text(finding.subject.a),
            b=self._text(finding.subject.b),
            name=self._text(finding.subject.name),
        )
        veiled.subject, veiled.id = subject, identity(finding.code, subject)
        veiled.evidence = [self._text(statement) for statement in finding.evidence]
        veiled.severity, veiled.state, veiled.segments = finding.severity, finding.state, finding.segments
        veiled.first_ns, veiled.last_ns, veiled.count = finding.first_ns, finding.last_ns, finding.count
        veiled.waived_by = finding.waived_by
        if change == "resolved":
            del self._veiled[id(finding)]
        for sink in self._sinks:
            sink.finding_changed(veiled, change)

    def _key(self, key: FlowKey) -> FlowKey:
        return key._replace(a=self._host(key.a), b=self._host(key.b))

    def _text(self, text: str) -> str:
        return _ADDRESS.sub(lambda found: self._named(found[0]), text)

    def _named(self, text: str) -> str:
        try:
            return self._host(str(ip_address(text)))
        except ValueError:
            return text
