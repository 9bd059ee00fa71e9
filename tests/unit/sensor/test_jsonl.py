"""``scan --json``: every line holds to the contract and to its schema."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sensor.model import FlowContext, Subject, TlsServer
from sensor.output.jsonl import JsonLines, flow_object, timestamp
from sensor.output.summary import Summary
from tests.unit.sensor.samples import CALL, CHANGE, CONTEXT, ENDPOINT, FLOW, STREAM, T0, TLS_FLOW, finding, leg

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/schema/output.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines written, each after it was held against the schema."""
    written = [json.loads(line) for line in out.getvalue().splitlines()]
    for line in written:
        VALIDATOR.validate(line)
        assert next(iter(line)) == "type"
    return written


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_flow_ended_writes_the_line_of_the_contract() -> None:
    out = io.StringIO()
    JsonLines(out).flow_ended(FLOW, CONTEXT)
    assert lines(out) == [
        {
            "type": "flow",
            "id": 7,
            "proto": "udp",
            "a": "192.0.2.10",
            "a_port": 16384,
            "b": "192.0.2.20",
            "b_port": 16390,
            "app": "rtp",
            "protection": "clear",
            "signalled": "srtp-sdes",
            "key_exchange": "sdes",
            "rtcp": {"mux": False, "protection": "not-observed"},
            "basis": ["payload-structure"],
            "grade": None,
            "log10_p": -31.4,
            "decided_at_packet": 3,
            "decided_at_ms": 41.2,
            "streams": [
                {
                    "ssrc": 305419896,
                    "from": "a",
                    "payload_types": [0],
                    "codec": "PCMU",
                    "protection": "clear",
                    "packets": 1500,
                    "lost": 2,
                    "jitter_ms": 1.8,
                    "dscp": 46,
                }
            ],
            "changes": [],
            "vlans": [100],
            "encapsulation": [],
            "packets": 3000,
            "bytes": 642000,
            "first": "2026-01-05T10:00:00.000000Z",
            "last": "2026-01-05T10:00:30.000000Z",
        }
    ]


def test_flow_never_decided_says_null_not_zero() -> None:
    out = io.StringIO()
    stream = replace(STREAM, codec="", jitter_ms=None)
    JsonLines(out).flow_ended(replace(FLOW, decided_packet=0, log10_p=None, streams=(stream,)), CONTEXT)
    (line,) = lines(out)
    assert (line["decided_at_packet"], line["decided_at_ms"], line["log10_p"]) == (None, None, None)
    assert (line["streams"][0]["codec"], line["streams"][0]["jitter_ms"]) == (None, None)


def test_tls_flow_says_what_was_agreed_and_carried_but_no_name() -> None:
    out = io.StringIO()
    JsonLines(out).flow_ended(TLS_FLOW, FlowContext("unknown", "unknown", "sip", "port"))
    (line,) = lines(out)
    assert (line["carries"], line["carries_basis"]) == ("sip", "port")
    assert line["handshake"] == {"version": "TLS 1.3", "cipher": "0x1301", "srtp_profile": None}
    assert "canary" not in out.getvalue()


def test_flow_that_changed_says_when_and_which_stream() -> None:
    out = io.StringIO()
    JsonLines(out).flow_ended(replace(FLOW, changes=(CHANGE,)), CONTEXT)
    change = {"packet": 612, "time": "2026-01-05T10:00:12.240000Z", "stream": 305419896}
    assert lines(out)[0]["changes"] == [{**change, "from": "encrypted", "to": "clear"}]


def test_call_and_endpoint_write_their_lines() -> None:
    out = io.StringIO()
    sink = JsonLines(out)
    sink.call_ended(CALL)
    sink.endpoint_ended(ENDPOINT)
    times = {"first": "2026-01-05T10:00:00.000000Z", "last": "2026-01-05T10:00:30.000000Z"}
    assert lines(out) == [
        {
            "type": "call",
            "call": "call-0123456789ab",
            "caller": "user-0123456789ab",
            "callee": None,
            "recording": False,
            "legs": [
                {
                    "a": "192.0.2.10",
                    "b": "192.0.2.20",
                    "media": "audio",
                    "signalled": "srtp-sdes",
                    "observed": "clear",
                }
            ],
            "joined_by": ["session-id"],
            **times,
        },
        {
            "type": "endpoint",
            "address": "192.0.2.10",
            "mac": "02:00:00:00:00:01",
            "user_agent": None,
            "roles": {"media": "clear"},
            **times,
        },
    ]


def test_leg_ended_writes_the_line_of_the_contract() -> None:
    out = io.StringIO()
    JsonLines(out).leg_ended(leg())
    assert lines(out) == [
        {
            "type": "leg",
            "a": "192.0.2.10",
            "b": "192.0.2.20",
            "media": "audio",
            "signalling": "clear",
            "signalled": "srtp-sdes",
            "observed": "clear",
            "comparison": "clear-despite-srtp",
            "key_exchange": "sdes",
            "assessed": 1.0,
            "flows": [7],
            "quality": {"loss": 0.0005, "jitter_ms": 1.8, "delay_ms": 40.0, "r": 92.1, "mos": 4.38, "dscp": 46},
            "recording": False,
            "call": "call-0123456789ab",
            "segments": ["voice", "outside"],
            "first": "2026-01-05T10:00:00.000000Z",
            "last": "2026-01-05T10:00:30.000000Z",
        }
    ]


def test_finding_open_is_written_once_at_the_end() -> None:
    out = io.StringIO()
    sink = JsonLines(out)
    found = finding()
    sink.finding_changed(found, "opened")
    found.count = 3
    sink.finding_changed(found, "updated")
    assert lines(out) == []
    sink.end()
    sink.end()
    (line,) = lines(out)
    assert (line["state"], line["count"]) == ("open", 3)
    assert line["subject"] == {"kind": "leg", "a": "192.0.2.10", "b": "192.0.2.20"}


def test_finding_resolved_is_written_once_at_once() -> None:
    out = io.StringIO()
    sink = JsonLines(out)
    found = finding(subject=Subject("sensor"))
    sink.finding_changed(found, "opened")
    found.state = "resolved"
    sink.finding_changed(found, "resolved")
    assert [line["state"] for line in lines(out)] == ["resolved"]
    sink.end()
    assert len(lines(out)) == 1


def test_several_captures_are_named_in_their_lines_but_not_in_the_summary() -> None:
    out = io.StringIO()
    sink = JsonLines(out)
    for name in ("one.pcap", "two.pcap"):
        sink.begin(name)
        sink.flow_ended(FLOW, CONTEXT)
        sink.finding_changed(finding(), "opened")
        sink.end()
    sink.close(Summary())
    assert [line.get("capture") for line in lines(out)] == ["one.pcap", "one.pcap", "two.pcap", "two.pcap", None]


def test_summary_adds_up_and_leaves_out_what_did_not_happen() -> None:
    out = io.StringIO()
    summary = Summary()
    counters = {
        "received": 1500,
        "classified": 1495,
        "ignored.arp": 4,
        "ignored.llc": 0,
        "malformed.udp": 1,
        "shed.flow-table": 0,
        "duplicates": 3,
    }
    for _ in range(2):
        summary.flow_ended(FLOW, CONTEXT)
        summary.leg_ended(leg())
        summary.finding_changed(finding(), "opened")
        summary.capture_ended(counters)
    summary.call_ended(CALL)
    summary.endpoint_ended(ENDPOINT)
    JsonLines(out).close(summary)
    assert lines(out) == [
        {
            "type": "summary",
            "account": {
                "received": 3000,
                "classified": 2990,
                "ignored": {"arp": 8},
                "malformed": {"udp": 2},
                "shed": {},
            },
            "duplicates": 6,
            "kernel_drops": 0,
            "flows": 2,
            "legs": 2,
            "calls": 1,
            "endpoints": 1,
            "tls_servers": 0,
            "findings": {"media-clear-despite-srtp": 2},
            "seconds": 60.0,
        }
    ]


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ([], None),
        ([("low", "open"), ("high", "open"), ("medium", "open")], "high"),
        ([("critical", "waived"), ("low", "open")], "low"),
        ([("critical", "resolved")], "critical"),
    ],
)
def test_summary_knows_the_worst_finding_that_is_not_waived(states: list[tuple[str, str]], worst: str | None) -> None:
    summary = Summary()
    for severity, state in states:
        summary.finding_changed(finding(severity=severity, state=state), "opened")
    assert summary.worst == worst


def test_finding_that_grew_worse_counts_once_with_its_worst_severity() -> None:
    summary = Summary()
    found = finding(severity="low")
    summary.finding_changed(found, "opened")
    found.severity = "critical"
    summary.finding_changed(found, "updated")
    assert (summary.worst, summary.findings.total()) == ("critical", 1)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (T0 + 999, "2026-01-05T10:00:00.000000Z"),
        (T0 + 123_456_789, "2026-01-05T10:00:00.123456Z"),
        (2**64 - 1, "2554-07-21T23:34:33.709551Z"),
    ],
)
def test_timestamp_is_utc_to_the_microsecond(ns: int, text: str) -> None:
    assert timestamp(ns) == text


@given(codec=st.text(), ssrc=st.integers(0, 2**32 - 1), jitter=st.floats(0, 1e9) | st.none())
def test_any_text_of_the_wire_stays_within_its_line(codec: str, ssrc: int, jitter: float | None) -> None:
    out = io.StringIO()
    JsonLines(out).flow_ended(
        replace(FLOW, streams=(replace(STREAM, codec=codec, ssrc=ssrc, jitter_ms=jitter),)), CONTEXT
    )
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().isascii()
    assert lines(out)[0]["streams"][0]["ssrc"] == ssrc


@pytest.mark.parametrize(
    ("field", "value"),
    [("app", "skype"), ("protection", "not-observed"), ("basis", ["guess"]), ("number", "+15550100")],
)
def test_schema_refuses_what_the_contract_does_not_know(field: str, value: object) -> None:
    assert list(VALIDATOR.iter_errors(json.loads(json.dumps(flow_object(FLOW, CONTEXT) | {field: value}))))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("pbx.example.org", True),
        ("sip-7.example.org", True),
        ("15550199734.example.org", False),
        ("555-019-9734.example.org", False),
        ("5.5.5.0.1.9.9.enum.example.org", False),
        ("not a host", False),
    ],
)
def test_name_of_a_server_that_may_be_a_telephone_number_is_left_out(name: str, *, shown: bool) -> None:
    out = io.StringIO()
    JsonLines(out).tls_server_ended(
        TlsServer("192.0.2.7", 5061, "port", [], [], [], [name], {}, 0, "not-seen", None, T0, T0)
    )
    (line,) = lines(out)
    assert line["names"] == ([name] if shown else [])
