"""Records and results to show to the sinks: a small clinic on 5 January 2026."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from fastpath.records import Change, FlowEnded, FlowKey, Hello, StreamStats, Verdict
from sensor.alerts.event import Event, finding_event
from sensor.model import Call, CallLeg, Endpoint, Finding, FlowContext, Leg, Quality, Subject

T0 = 1_767_607_200_000_000_000  # 2026-01-05T10:00:00Z
KEY = FlowKey("udp", "192.0.2.10", 16384, "192.0.2.20", 16390, (100,))
CONTEXT = FlowContext("srtp-sdes", "sdes")

STREAM = StreamStats(
    ssrc=305419896,
    from_a=True,
    payload_types=(0,),
    codec="PCMU",
    protection="clear",
    grade=None,
    basis=("payload-structure",),
    log10_p=-31.4499,
    decided_packet=3,
    decided_ns=41_234_567,
    packets=1500,
    lost=2,
    duplicates=0,
    reordered=0,
    jitter_ms=1.8499,
    dscp=46,
    first_ns=T0,
    last_ns=T0 + 30_000_000_000,
)
FLOW = FlowEnded(
    flow=7,
    ts_ns=T0 + 60_000_000_000,
    key=KEY,
    app="rtp",
    protection="clear",
    grade=None,
    basis=("payload-structure",),
    log10_p=-31.4499,
    decided_packet=3,
    decided_ns=41_234_567,
    key_exchange="",
    rtcp_mux=False,
    rtcp_protection="not-observed",
    rtcp_basis=(),
    streams=(STREAM,),
    changes=(),
    encapsulation=(),
    hello=None,
    packets=3000,
    octets=642000,
    first_ns=T0,
    last_ns=T0 + 30_000_000_000,
)
TLS_FLOW = replace(
    FLOW,
    flow=8,
    key=FlowKey("tcp", "192.0.2.10", 40000, "192.0.2.1", 5061, ()),
    app="tls",
    protection="encrypted",
    grade="proved",
    basis=("handshake",),
    log10_p=None,
    decided_packet=0,
    streams=(),
    hello=Hello(8, T0, KEY, "tls", 0x0304, 0x1301, "canary.example", "canary-alpn", 0),
)
CHANGE = Change(612, T0 + 12_240_000_000, 305419896, "encrypted", "clear")
VERDICT = Verdict(
    7, T0, KEY, 305419896, True, 0, "PCMU", "clear", None, None, ("payload-structure",), -31.4, 3, 41_000_000
)


CALL = Call(
    "call-0123456789ab",
    "user-0123456789ab",
    "",
    recording=False,
    legs=(CallLeg("192.0.2.10", "192.0.2.20", "audio", "srtp-sdes", "clear"),),
    joined_by=("session-id",),
    first_ns=T0,
    last_ns=T0 + 30_000_000_000,
)
ENDPOINT = Endpoint("192.0.2.10", "02:00:00:00:00:01", "", "clear", None, T0, T0 + 30_000_000_000)


def leg(**changes: Any) -> Leg:
    """Return a leg of clear media that SRTP was promised for, with some fields changed."""
    fields: dict[str, Any] = {
        "a": "192.0.2.10",
        "b": "192.0.2.20",
        "media": "audio",
        "signalling": "clear",
        "signalled": "srtp-sdes",
        "observed": "clear",
        "comparison": "clear-despite-srtp",
        "key_exchange": "sdes",
        "assessed": 0.99951,
        "flows": [7],
        "quality": Quality(0.00049, 1.84, 40.02, 92.1, 4.376, 46),
        "call": "call-0123456789ab",
        "first_ns": T0,
        "last_ns": T0 + 30_000_000_000,
        "segments": ("voice", "outside"),
    }
    return Leg(**(fields | changes))


def finding(**changes: Any) -> Finding:
    """Return an open finding about that leg, with some fields changed."""
    fields: dict[str, Any] = {
        "code": "media-clear-despite-srtp",
        "severity": "critical",
        "state": "open",
        "subject": Subject("leg", "192.0.2.10", "192.0.2.20"),
        "segments": ("voice",),
        "evidence": ["250 packets of PCMU were in clear although SRTP was agreed on."],
        "controls": ("164.312(e)(2)(ii)",),
        "first_ns": T0,
        "last_ns": T0 + 30_000_000_000,
        "id": "0123456789abcdef",
    }
    return Finding(**(fields | changes))


def event(found: Finding, change: Literal["opened", "updated", "resolved"] = "opened") -> Event:
    """Return what is said of a finding."""
    return finding_event(
        found, change, time="2026-01-05T10:00:01.000000Z", site="clinic", sensor="span", runbooks="docs/runbooks"
    )
