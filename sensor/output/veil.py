"""Addresses as pseudonyms: a sink that tells others everything under other names."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sensor.findings import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastpath.records import Attempt, FlowEnded, FlowKey
    from sensor.model import Call, Endpoint, Finding, FlowContext, Leg, Sink, Step, TlsServer

_IPV4 = r"(?<!\w)(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"  # a version of five numbers is none
_IPV6 = r"(?<!\w)(?<![0-9A-Fa-f]:)(?<!::)[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?!\w)"
_ADDRESS, _DOTTED = re.compile(f"{_IPV4}|{_IPV6}"), re.compile(_IPV4)


class _Life(NamedTuple):
    """A finding from its first step to its last."""

    finding: Finding  # as it came: while it is kept, no other object has its identity
    veiled: Finding


class Veil:
    """Tells sinks of everything with ``host(address)`` in place of each address, and of each MAC address."""

    def __init__(self, sinks: Sequence[Sink], host: Callable[[str], str]) -> None:
        self._sinks = sinks
        self._host = host
        self._lives: dict[int, _Life] = {}  # by identity of the finding: a sink sees one object through its life

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

    def attempted(self, attempt: Attempt) -> None:
        """Pass an attempt on."""
        veiled = replace(attempt, key=self._key(attempt.key))
        for sink in self._sinks:
            sink.attempted(veiled)

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

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Pass a step of a finding on, by another id: an address could be found by trying its digests.

        Names and id stay what they were at first when the pseudonyms have another key: the finding keeps them.
        """
        life = self._lives.get(id(finding)) or self._begin(finding)
        veiled = life.veiled
        veiled.evidence = [self._text(statement, finding.names) for statement in finding.evidence]
        veiled.severity, veiled.state, veiled.segments = finding.severity, finding.state, finding.segments
        veiled.first_ns, veiled.last_ns, veiled.count = finding.first_ns, finding.last_ns, finding.count
        veiled.waived_by = finding.waived_by
        if change == "resolved":
            del self._lives[id(finding)]
        for sink in self._sinks:
            sink.finding_changed(veiled, change)

    def _begin(self, finding: Finding) -> _Life:
        names = finding.names
        a, b, name = (self._text(text, names) for text in (finding.subject.a, finding.subject.b, finding.subject.name))
        subject = replace(finding.subject, a=a, b=b, name=name)
        veiled = replace(finding, subject=subject, id=identity(finding.code, subject), names={})
        life = self._lives[id(finding)] = _Life(finding, veiled)
        return life

    def _key(self, key: FlowKey) -> FlowKey:
        return key._replace(a=self._host(key.a), b=self._host(key.b))

    def _text(self, text: str, names: dict[str, str]) -> str:
        return _ADDRESS.sub(lambda found: self._named(found[0], names), text)

    def _named(self, text: str, names: dict[str, str]) -> str:
        """Return what may be an address, with punctuation behind it, as a pseudonym; dates and digests as they are."""
        for end in range(len(text), len(text.rstrip(":.")) - 1, -1):  # an address may end with two colons itself
            with suppress(ValueError):
                address = str(ip_address(text[:end]))
                if address not in names:
                    names[address] = self._host(address)
                return names[address] + text[end:]
        return _DOTTED.sub(lambda found: self._named(found[0], names), text) if ":" in text else text
