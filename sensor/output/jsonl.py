"""``scan --json``: one JSON object a line, ``type`` first (docs/OUTPUT.md, docs/schema/output.schema.json)."""

from __future__ import annotations

import json
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

from sensor.model import UNNAMED_APPS, QuietSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastpath.records import Change, FlowEnded, Hello, StreamStats
    from sensor.model import Call, Chain, Endpoint, Finding, FlowContext, Leg, Quality, Step, Subject, TlsServer
    from sensor.output.summary import Summary

# Plain trees of fresh objects: nothing to check for cycles, and every flow line pays for what this costs.
_encode = json.JSONEncoder(check_circular=False, allow_nan=False).encode
_OUTCOMES = ("completed", "refused", "cut", "unknown")
# A host name (RFC 1123 section 2.1) with a letter in it and no long number, which could be a telephone's however it is
# written.
_HOST = re.compile(r"(?=.*[A-Za-z])(?!.*\d(?:[.-]?\d){6})[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,8}")
_VERSIONS = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
    0xFEFF: "DTLS 1.0",
    0xFEFD: "DTLS 1.2",
    0xFEFC: "DTLS 1.3",
}


class JsonLines(QuietSink):
    """Writes flows and legs as they end, findings when they are over, the summary at ``close``.

    ``begin`` and ``end`` stand around each capture of a run.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._capture: str | None = None
        self._open: dict[int, Finding] = {}  # by identity: the analysis hands out the same object for its whole life

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Write the ``flow`` line."""
        self._write(flow_object(flow, context))

    def leg_ended(self, leg: Leg) -> None:
        """Write the ``leg`` line."""
        self._write(leg_object(leg))

    def call_ended(self, call: Call) -> None:
        """Write the ``call`` line."""
        self._write(call_object(call))

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Write the ``endpoint`` line."""
        self._write(endpoint_object(endpoint))

    def tls_server_ended(self, server: TlsServer) -> None:
        """Write the ``tls_server`` line."""
        self._write(tls_server_object(server))

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Write the ``finding`` line once it is resolved; until then keep it."""
        if change == "resolved":
            self._open.pop(id(finding), None)
            self._write(finding_object(finding))
        else:
            self._open[id(finding)] = finding

    def begin(self, capture: str | None) -> None:
        """Name the capture in its lines from now on; None where there is only one."""
        self._capture = capture

    def end(self) -> None:
        """Write the findings that are still open."""
        for finding in self._open.values():
            self._write(finding_object(finding))
        self._open.clear()
        self._capture = None

    def close(self, summary: Summary) -> None:
        """Write the ``summary`` line."""
        self._write(summary_object(summary))

    def _write(self, line: dict[str, object]) -> None:
        if self._capture is not None:
            line["capture"] = self._capture
        self._out.write(_encode(line) + "\n")


def flow_object(flow: FlowEnded, context: FlowContext) -> dict[str, object]:
    """Return the ``flow`` object: what its packets showed and what the signalling adds."""
    proto, a, a_port, b, b_port, vlans = flow.key
    decided = flow.decided_packet
    result: dict[str, object] = {
        "type": "flow",
        "id": flow.flow,
        "proto": proto,
        "a": a,
        "a_port": a_port,
        "b": b,
        "b_port": b_port,
        "app": "other" if flow.app in UNNAMED_APPS else flow.app,
        "protection": flow.protection,
        "signalled": context.signalled,
        "key_exchange": context.key_exchange,
        "rtcp": {"mux": flow.rtcp_mux, "protection": flow.rtcp_protection},
        "basis": flow.basis,
        "grade": flow.grade,
        "log10_p": _rounded(flow.log10_p),
        "decided_at_packet": decided or None,
        "decided_at_ms": _milliseconds(flow.decided_ns) if decided else None,
        "streams": [_stream(stream) for stream in flow.streams],
        "changes": [_change(change) for change in flow.changes],
        "vlans": vlans,
        "encapsulation": flow.encapsulation,
        "packets": flow.packets,
        "bytes": flow.octets,
        "first": timestamp(flow.first_ns),
        "last": timestamp(flow.last_ns),
    }
    if flow.app in UNNAMED_APPS:
        result["service"] = flow.app
    if context.carries is not None:
        result["carries"] = context.carries
        result["carries_basis"] = context.carries_basis
    if flow.hello is not None:
        result["handshake"] = _handshake(flow.hello)
    return result


def leg_object(leg: Leg) -> dict[str, object]:
    """Return the ``leg`` object."""
    return {
        "type": "leg",
        "a": leg.a,
        "b": leg.b,
        "media": leg.media,
        "signalling": leg.signalling,
        "signalled": leg.signalled,
        "observed": leg.observed,
        "comparison": leg.comparison,
        "key_exchange": leg.key_exchange,
        "assessed": round(leg.assessed, 3),
        "flows": leg.flows,
        "quality": leg.quality and quality_object(leg.quality),
        "recording": leg.recording,
        "call": leg.call,
        "segments": list(leg.segments),
        "first": timestamp(leg.first_ns),
        "last": timestamp(leg.last_ns),
    }


def quality_object(quality: Quality) -> dict[str, object]:
    """Return the ``quality`` of a ``leg`` object."""
    return {
        "loss": round(quality.loss, 4),
        "jitter_ms": _rounded(quality.jitter_ms),
        "delay_ms": _rounded(quality.delay_ms),
        "r": _rounded(quality.r),
        "mos": _rounded(quality.mos, 2),
        "dscp": quality.dscp,
    }


def call_object(call: Call) -> dict[str, object]:
    """Return the ``call`` object."""
    return {
        "type": "call",
        "call": call.call,
        "caller": call.caller or None,
        "callee": call.callee or None,
        "recording": call.recording,
        "legs": [
            {
                "a": leg.a,
                "b": leg.b,
                "media": leg.media,
                "signalled": leg.signalled,
                "observed": leg.observed,
            }
            for leg in call.legs
        ],
        "joined_by": call.joined_by,
        "first": timestamp(call.first_ns),
        "last": timestamp(call.last_ns),
    }


def endpoint_object(endpoint: Endpoint) -> dict[str, object]:
    """Return the ``endpoint`` object."""
    return {
        "type": "endpoint",
        "address": endpoint.address,
        "mac": endpoint.mac or None,
        "user_agent": endpoint.user_agent or None,
        "roles": {
            role: state
            for role, state in (("media", endpoint.media), ("signalling", endpoint.signalling))
            if state is not None
        },
        "first": timestamp(endpoint.first_ns),
        "last": timestamp(endpoint.last_ns),
    }


def tls_server_object(server: TlsServer) -> dict[str, object]:
    """Return the ``tls_server`` object."""
    return {
        "type": "tls_server",
        "address": server.address,
        "port": server.port,
        "carries": "sip",
        "carries_basis": server.basis,
        "versions": [version_name(version) for version in server.versions],
        "ciphers": [f"0x{cipher:04x}" for cipher in server.ciphers],  # as in the IANA registry
        "groups": server.groups,  # as in the IANA registry
        "names": [name for name in server.names if _HOST.fullmatch(name)],
        "handshakes": {outcome: server.handshakes.get(outcome, 0) for outcome in _OUTCOMES},
        "resumed": server.resumed,
        "certificate": server.certificate,
        "chain": _chain(server.chain) if server.chain is not None and server.chain.readable else None,
        "first": timestamp(server.first_ns),
        "last": timestamp(server.last_ns),
    }


def _chain(chain: Chain) -> dict[str, object]:
    # Subject and alternative names stay inside: they may be a person's.
    return {
        "sha256": chain.fingerprint,
        "key": chain.key,
        "signature": chain.signature or None,
        "self_signed": chain.self_signed,
        "trust": chain.trust,
        "not_before": timestamp(chain.not_before_ns),
        "not_after": timestamp(chain.not_after_ns),
    }


def finding_object(finding: Finding) -> dict[str, object]:
    """Return the ``finding`` object."""
    return {
        "type": "finding",
        "id": finding.id,
        "code": finding.code,
        "severity": finding.severity,
        "state": finding.state,
        "subject": subject_object(finding.subject),
        "segments": finding.segments,
        "evidence": finding.evidence,
        "controls": finding.controls,
        "first": timestamp(finding.first_ns),
        "last": timestamp(finding.last_ns),
        "since": timestamp(finding.since_ns) if finding.since_ns else None,
        "count": finding.count,
        "waived_by": finding.waived_by,
    }


def subject_object(subject: Subject) -> dict[str, str]:
    """Return a subject with the parts that its kind uses."""
    parts = {"kind": subject.kind, "a": subject.a, "b": subject.b, "name": subject.name}
    return {name: value for name, value in parts.items() if value}


def summary_object(summary: Summary) -> dict[str, object]:
    """Return the ``summary`` object; reasons that did not occur are left out."""
    return {
        "type": "summary",
        "account": {
            "received": summary.received,
            "classified": summary.classified,
            "ignored": _occurred(summary.ignored),
            "malformed": _occurred(summary.malformed),
            "shed": _occurred(summary.shed),
        },
        "duplicates": summary.duplicates,
        "kernel_drops": summary.kernel_drops,
        "flows": summary.flows,
        "legs": summary.legs,
        "calls": summary.calls,
        "endpoints": summary.endpoints,
        "tls_servers": summary.tls_servers,
        "findings": dict(summary.findings),
        "seconds": round(summary.seconds, 3),
    }


def timestamp(ns: int) -> str:
    """Return packet time as RFC 3339 text in UTC, to the microsecond: ``"2026-01-05T10:00:00.000000Z"``."""
    second, rest = divmod(ns, 1_000_000_000)
    return f"{_second(second)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    # Flows end in bunches: formatting the same second again and again would be a fifth of the cost of a flow line.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _stream(stream: StreamStats) -> dict[str, object]:
    return {
        "ssrc": stream.ssrc,
        "from": "a" if stream.from_a else "b",
        "payload_types": stream.payload_types,
        "codec": stream.codec or None,
        "protection": stream.protection,
        "packets": stream.packets,
        "lost": stream.lost,
        "jitter_ms": _rounded(stream.jitter_ms),
        "dscp": stream.dscp,
    }


def _change(change: Change) -> dict[str, object]:
    return {
        "packet": change.packet,
        "time": timestamp(change.ts_ns),
        "stream": change.ssrc,
        "from": change.before,
        "to": change.after,
    }


def _handshake(hello: Hello) -> dict[str, object]:
    return {
        "version": version_name(hello.version),
        "cipher": f"0x{hello.cipher:04x}",  # as in the IANA registry
        "srtp_profile": hello.srtp_profile or None,
    }


def version_name(version: int) -> str:
    """Return what a version of TLS or DTLS is called, as on the wire where it has no name."""
    return _VERSIONS.get(version, f"0x{version:04x}")


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def _milliseconds(ns: int) -> float:
    return round(ns / 1e6, 1)


def _occurred(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}
