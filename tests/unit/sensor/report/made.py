"""Entries of a small hospital on 5 January 2026, and ledgers of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sensor.ledger.keys import new_pem
from sensor.ledger.writer import Writer
from sensor.report.facts import gather
from sensor.report.object import build

Entry = dict[str, Any]

DAY = 1_767_571_200_000  # 2026-01-05T00:00:00Z, a Monday
HOUR, MINUTE = 3_600_000, 60_000
LAST = DAY + 24 * HOUR - 1
PHONE, PBX, CARRIER = "10.20.1.7", "10.20.0.10", "198.51.100.9"


def leg(at: int = DAY + HOUR, **changes: Any) -> Entry:
    """A leg from the phone to the exchange, encrypted."""
    return {
        "kind": "leg",
        "at": at,
        "a": PHONE,
        "b": PBX,
        "media": "audio",
        "signalling": "tls",
        "signalled": "srtp-sdes",
        "observed": "encrypted",
        "comparison": "agree",
        "key_exchange": "sdes",
        "assessed": 1000,
        "recording": False,
        "call": "call-1",
        "segments": ["phones", "servers"],
        "first": at - MINUTE,
        "last": at,
        **changes,
    }


def finding(at: int, step: str = "opened", **changes: Any) -> Entry:
    """A step of the finding that the phone's media are in clear."""
    return {
        "kind": "finding",
        "at": at,
        "step": step,
        "id": "f1",
        "code": "media-clear",
        "severity": "critical",
        "state": "resolved" if step == "resolved" else "open",
        "subject": {"kind": "leg", "a": PBX, "b": PHONE, "name": ""},
        "segments": ["phones", "servers"],
        "evidence": [] if step == "resolved" else ["PCMU payload structure in 3 packets"],
        "controls": ["164.312(e)(1)", "164.312(e)(2)(ii)"],
        "count": 1,
        "waived_by": None,
        "first": at,
        "last": at,
        "since": None,
        **changes,
    }


def coverage(first: int, last: int, state: str = "seen", reasons: Iterable[str] = ()) -> Entry:
    """What the sensor saw in a time, said as it ends."""
    return {
        "kind": "coverage",
        "at": last,
        "interface": "span0",
        "from": first,
        "to": last,
        "state": state,
        "reasons": list(reasons),
        "received": 1000,
        "classified": 990,
        "malformed": 10,
        "shed": 0,
        "kernel_drops": 0,
        "gaps": 0,
        "duplicates": 0,
        "one_way": 0,
        "segments": [],
    }


def minutes(first: int, last: int, state: str = "seen", reasons: Iterable[str] = ()) -> list[Entry]:
    """Coverage minute by minute."""
    return [coverage(at, at + MINUTE, state, reasons) for at in range(first, last, MINUTE)]


def start(at: int = DAY) -> Entry:
    """The sensor starts."""
    return {
        "kind": "start",
        "filter": "",
        "at": at,
        "version": "0.1.0",
        "site": "North wing",
        "sensor": "s1",
        "interface": "span0",
        "configuration": None,
        "policy": "00" * 32,
    }


def tls_server(at: int = DAY + HOUR, **chain: Any) -> Entry:
    """What the exchange's server of SIP over TLS was seen to do."""
    return {
        "kind": "tls-server",
        "at": at,
        "address": PBX,
        "port": 5061,
        "basis": "port",
        "versions": [0x0303],
        "ciphers": [0xC02F],
        "groups": [],
        "handshakes": {"completed": 3},
        "resumed": 0,
        "certificate": "readable",
        "chain": {
            "sha256": "cd" * 32,
            "key": "RSA 2048",
            "signature": "sha256WithRSAEncryption",
            "self_signed": False,
            "trust": "trusted",
            "weak": [],
            "not_before": DAY - 24 * HOUR,
            "not_after": DAY + 24 * HOUR,
            **chain,
        },
        "first": at,
        "last": at,
    }


def stop(at: int) -> Entry:
    """The sensor stops."""
    return {"kind": "stop", "at": at, "packets": 1, "reason": "SIGTERM"}


POLICY: Entry = {
    "kind": "policy",
    "at": DAY,
    "segments": [
        {
            "name": name,
            "kind": kind,
            "ranges": [range_],
            "vlans": [],
            "media": "encrypted",
            "signalling": "encrypted",
            "isolated": name == "servers",
        }
        for name, kind, range_ in (("phones", "voice", "10.20.1.0/24"), ("servers", "server", "10.20.0.0/24"))
    ],
    "hosts": [{"name": "exchange", "role": "pbx", "addresses": [PBX]}],
    "vendors": [
        {
            "name": "Carrier",
            "role": "carrier",
            "addresses": ["198.51.100.0/24"],
            "contact": None,
            "baa": {"signed": "2025-01-01", "expires": None},
            "baa_required": True,
        }
    ],
    "waivers": [
        {
            "owner": "Ops",
            "reason": "old phones",
            "codes": ["media-clear"],
            "subjects": [PHONE],
            "until": "2026-06-30",
        }
    ],
    "attestations": [
        {
            "control": "164.312(a)(1)",
            "statement": "Recordings are encrypted at rest.",
            "by": "A. Officer",
            "on": "2025-12-01",
            "file": None,
            "sha256": None,
        }
    ],
}

ORDINARY = [
    start(),
    POLICY,
    *minutes(DAY, DAY + HOUR),
    leg(),
    leg(DAY + 2 * HOUR, observed="clear", comparison="clear-despite-srtp"),
    finding(DAY + 2 * HOUR),
    leg(DAY + 3 * HOUR, a=PBX, b=CARRIER, segments=["servers", "outside"], observed="undetermined"),
    *minutes(DAY + HOUR, DAY + 24 * HOUR),
]

SOURCE = {
    "kind": "ledger",
    "site": "North wing",
    "sensors": [{"site": "North wing", "sensor": "s1", "interface": "span0", "version": "0.1.0"}],
}
LEDGER = {
    "origin": "legwatch/north/1",
    "size": 42,
    "root": "ab" * 32,
    "checkpoint": "legwatch/north/1\n42\nq6s=\n",
    "verified": None,
    "faults": [],
    "unsigned": 0,
    "command": "python3 legwatch_verify.py DIR --key PUB",
}


def report(entries: Iterable[Entry], first: int = DAY, last: int = LAST, **changes: Any) -> dict[str, Any]:
    """The report object of entries of a ledger."""
    given = {"profile": "current-rule", "source": SOURCE, "ledger": LEDGER, **changes}
    return build(gather(entries, first, last), **given)


def ledger(directory: Path, entries: Iterable[Entry]) -> str:
    """Write a ledger of entries, each at its time; its public key."""
    pem = new_pem()
    writer = Writer(directory, pem, origin_name="legwatch/north")
    writer.open(DAY)
    for entry in entries:
        writer.append([{key: value for key, value in entry.items() if key != "at"}], entry["at"])
    writer.close()
    from sensor.ledger.keys import SigningKey  # noqa: PLC0415
    from sensor.ledger.reader import entries as read  # noqa: PLC0415

    origin = next(entry["origin"] for _, entry in read(directory))
    return str(SigningKey.from_pem(pem, str(origin)).verifier)
