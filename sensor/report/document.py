"""The report object as a document. What is long is bounded, and says how much more is in the attached JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.model import SEVERITIES
from sensor.report.blocks import Callout, Code, Column, Document, Heading, Items, Numbers, Paragraph, Table
from sensor.report.controls import ABOUT, NOTES
from sensor.report.facts import STATES
from sensor.report.words import count, day, duration, moment, period, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sensor.report.blocks import Block

Report = dict[str, Any]

ROWS = 40  # of a table, beyond which the rest is in the JSON
WORST_FINDINGS = 10
EVIDENCE = 3  # statements of a finding
LONG = 400  # letters of a statement

DOWNGRADES = frozenset(("media-downgraded", "media-clear-despite-srtp", "media-clear-before-key", "posture-drift"))
OTHER_CLEARTEXT = frozenset((
    *("provisioning-clear", "management-clear", "voicemail-clear", "directory-clear", "tunnel-undetermined"),
    *("name-time-clear", "message-clear", "legacy-signalling-clear", "credentials-exposed", "recording-clear"),
    *("dtmf-clear", "fax-clear", "rtcp-clear"),
))  # fmt: skip
SENSOR = "sensor-"
TLS = ("tls-", "cert-", "not-observable", "dtls-fingerprint")

GLOSSARY = (
    ("encrypted", "Packets showed it: by the protocol's own evidence, or because no codec fits and the bits are even."),
    ("clear", "The payload has a codec's structure, which encrypted octets have once in 2^40 streams at most."),
    ("undetermined", "Packets were seen and do not say: too few, or too even for a codec and without proof of a cipher."),
    ("not-observed", "Media were agreed in signalling and no packet of them came to the sensor."),
)


def document(report: Report) -> Document:
    """Return the document of a report object."""
    source = report["source"]
    blocks: list[Block] = []
    for section in SECTIONS:
        blocks += section(report)
    return Document(
        "Encryption of calls on the voice network",
        source["site"],
        period(report["period"]["from"], report["period"]["to"]),
        tuple(_lead(report)),
        tuple(blocks),
        report["period"]["to"],
    )


def _lead(report: Report) -> Iterator[tuple[str, str]]:
    source = report["source"]
    yield "Site", source["site"]
    yield "Period", period(report["period"]["from"], report["period"]["to"])
    if source["kind"] == "captures":
        yield "Evidence", count(len(source["files"]), "capture file")
    else:
        yield "Evidence", f"ledger {report['ledger']['origin']}"
        yield "Ledger verified", _verified(report["ledger"])
    yield "Profile", report["profile"]
    yield "Made by", f"legwatch {report['version']}"


def _verified(ledger: Mapping[str, Any]) -> str:
    if ledger["verified"] is None:
        return "no: no public key was given"
    return "yes" if ledger["verified"] else "it does not verify; see Evidence and its verification"


# --- the first page


def _warnings(report: Report) -> Iterator[Block]:
    ledger, coverage = report["ledger"], report["coverage"]
    if ledger is not None and ledger["verified"] is False:
        text = " ".join(["What follows rests on a ledger that does not verify.", *ledger["faults"][:EVIDENCE]])
        yield Callout("The ledger does not verify", text, "warning")
    seconds = coverage["seconds"]
    sighted = seconds["seen"] + seconds["degraded"]
    if not sighted:
        why = "it was blind" if seconds["blind"] else "it did not run, or nothing was recorded"
        if report["source"]["kind"] == "captures":
            why = "there is no packet in the captures that could be read"
        yield Callout(
            "Nothing was seen in this period",
            f"The sensor saw nothing at all: {why}. That no finding was opened says nothing about the network.",
            "warning",
        )
    elif not report["legs"]["total"]:
        yield Callout(
            "No call was seen in this period",
            f"The sensor could see for {duration(sighted)}, and no leg of a call ended in it. "
            "That nothing was found in clear says nothing about calls.",
            "warning",
        )
    elif report["source"]["kind"] == "ledger" and coverage["share"] < FULL:
        yield Callout(
            "A part of the period was not seen",
            f"The sensor was blind or did not run for {duration(seconds['blind'] + seconds['not-running'])}. "
            "What happened then is not in this report.",
            "warning",
        )


FULL = 990  # thousandths of a period; what is seen less is said first


def _summary(report: Report) -> Iterator[Block]:
    yield Heading("Summary")
    yield from _warnings(report)
    legs, findings = report["legs"], report["findings"]
    states = legs["states"]
    seen = legs["total"] - states["not-observed"]
    standing = [finding for finding in findings if finding["state"] == "open"]
    grave = sum(finding["severity"] in ("high", "critical") for finding in standing)
    yield Numbers((
        (share(states["encrypted"], seen), f"of {count(seen, 'leg')} with media seen were encrypted"),
        (str(states["clear"]), "legs in clear"),
        (str(states["undetermined"]), "legs undetermined"),
        (str(states["not-observed"]), "legs agreed, media not seen"),
        (str(grave), "open findings, high or critical"),
        (_sighted(report), "of the time seen"),
    ))
    if findings:
        yield Paragraph(_by_severity(findings))
        yield Heading("The gravest findings", 2)
        yield _finding_table([finding for finding in findings if finding["state"] != "resolved"][:WORST_FINDINGS] or findings[:WORST_FINDINGS])
    else:
        yield Paragraph("No finding was open in this period.")
    yield Callout(
        "What this report is",
        "It says what packets showed at one place of the network. It passes no judgement on whether the organisation "
        "keeps a rule: that takes what no sensor sees. Each control says where the organisation's own statement belongs.",
    )


def _sighted(report: Report) -> str:
    if report["source"]["kind"] == "captures":
        seconds = report["coverage"]["seconds"]
        return duration(seconds["seen"] + seconds["degraded"])
    return f"{report['coverage']['share'] // 10}.{report['coverage']['share'] % 10} %"


def _by_severity(findings: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for severity in reversed(SEVERITIES):
        number = sum(finding["severity"] == severity for finding in findings)
        if number:
            parts.append(f"{number} {severity}")
    waived = sum(finding["state"] == "waived" for finding in findings)
    over = sum(finding["state"] == "resolved" for finding in findings)
    return (
        f"{count(len(findings), 'finding')} in the period: {', '.join(parts)}. "
        f"At its end {over} of them were over and {waived} waived."
    )


# --- scope and coverage


def _scope(report: Report) -> Iterator[Block]:
    source = report["source"]
    yield Heading("Scope and method")
    if source["kind"] == "captures":
        yield Paragraph(
            "The report rests on capture files that somebody recorded and gave to legwatch. It can say nothing about "
            "calls that are not in them."
        )
        yield _table(
            (Column("File", 4), Column("From (UTC)", 3), Column("Time", 2), Column("Packets", 2, numeric=True), Column("SHA-256", 5)),
            [
                (
                    each["name"] + (f"\n{each['error']}" if each["error"] else ""),
                    moment(each["from"]) if each["from"] is not None else "–",
                    duration((each["to"] - each["from"]) // 1000) if each["from"] is not None else "–",
                    str(each["packets"]),
                    each["sha256"] or "not a file",
                )
                for each in source["files"]
            ],
        )
    else:
        yield Paragraph(
            "A sensor on a mirror port of the network looked at copies of all packets that the switch gave it. It sends "
            "nothing, breaks no encryption and keeps no audio. What it saw is in a ledger that cannot be changed unnoticed."
        )
        yield _table(
            (Column("Sensor", 3), Column("Site", 3), Column("Interface", 2), Column("legwatch", 2)),
            [(each["sensor"], each["site"], each["interface"], each["version"]) for each in source["sensors"]],
        )
    yield Paragraph(
        "For each stream of media legwatch asks how likely its octets would be under encryption and under each codec. Only "
        "packets decide: what signalling promises is compared with what was seen and never taken for it. A stream is called "
        "clear when encrypted octets would look like it once in 2^40 streams at most, and encrypted on the protocol's own "
        "evidence or where every codec was rejected. Everything else is called undetermined."
    )
    yield Paragraph(
        "A leg is the media of one dialogue between two endpoints; a call has one leg or several. Legs count in the period "
        "in which they ended. Telephone identities are keyed pseudonyms unless the operator revealed them."
    )


def _coverage(report: Report) -> Iterator[Block]:
    coverage, legs = report["coverage"], report["legs"]
    yield Heading("Coverage: what was seen, and what was not")
    seconds = coverage["seconds"]
    total = sum(seconds.values())
    yield _table(
        (Column("The sensor's sight", 3), Column("Time", 3), Column("Share", 1, numeric=True)),
        [(label, duration(seconds[state]), share(seconds[state], total)) for state, label in _SIGHT],
    )
    if coverage["reasons"]:
        yield Paragraph("Why sight was degraded or lost, with the time for which each held:")
        yield _table(
            (Column("Reason", 4), Column("Time", 2)),
            [(each["reason"], duration(each["seconds"])) for each in coverage["reasons"]],
        )
    if coverage["gaps"]:
        yield Paragraph("Times of which nothing is known, or of which entries are missing:")
        yield _table(
            (Column("From (UTC)", 2), Column("To (UTC)", 2), Column("Time", 2), Column("Why", 4)),
            [
                (moment(gap["from"]), moment(gap["to"]), duration((gap["to"] - gap["from"]) // 1000), gap["why"])
                for gap in coverage["gaps"]
            ],
        )
    if coverage["clock"]:
        yield Paragraph("The sensor's clock:")
        yield _table(
            (Column("When (UTC)", 2), Column("What", 5)),
            [(moment(each["time"]), each["what"]) for each in coverage["clock"]],
        )
    if coverage["account"]:
        yield Paragraph("What became of the packets:")
        yield _table(
            (Column("Packets", 3), Column("Number", 2, numeric=True)),
            [(_ACCOUNT.get(name, name), f"{number:,}") for name, number in coverage["account"].items()],
        )
    states = legs["states"]
    yield Heading("Legs that were not assessed", 2)
    if not legs["total"]:
        yield Paragraph("No leg ended in the period.")
        return
    yield Items((
        f"{states['undetermined']} of {legs['total']} legs are undetermined: packets were seen and do not say.",
        f"{states['not-observed']} of {legs['total']} were agreed in signalling, and no packet of their media came here.",
        f"{legs['partly']} of {legs['total']} were well observed for a part of their time only; the rest of it is not vouched for.",
    ))
    health = [finding for finding in report["findings"] if finding["code"].startswith(SENSOR)]
    if health:
        yield Paragraph("Findings about the sensor itself:")
        yield _finding_table(health)


_SIGHT = (
    ("seen", "seen: nothing was missing that would show"),
    ("degraded", "degraded: seen with losses or limits"),
    ("blind", "blind: running, and not seeing"),
    ("not-running", "not running, or nothing recorded"),
)
_ACCOUNT = {
    "received": "received from the mirror",
    "classified": "read",
    "ignored": "no part of what is looked at",
    "malformed": "malformed",
    "shed": "left out under overload",
    "kernel_drops": "dropped by the kernel",
    "gaps": "missing at the mirror",
    "duplicates": "given twice by the mirror",
    "one_way": "of one direction only",
}


# --- protection


def _protected(report: Report) -> Iterator[Block]:
    legs = report["legs"]
    yield Heading("Legs protected, by segment, trunk, device and week")
    if not legs["total"]:
        yield Paragraph("No leg ended in the period, so there is nothing to count.")
        return
    yield Paragraph(
        "A leg between two segments counts in both. The share is that of encrypted legs among those whose media were seen."
    )
    for title, rows, what in (
        ("By segment", legs["by_segment"], "Segment"),
        ("By trunk", legs["by_trunk"], "Trunk or vendor"),
        ("By device", legs["by_device"], "Device"),
        ("By week", legs["by_week"], "Week"),
    ):
        yield Heading(title, 2)
        if not rows:
            yield Paragraph("No leg had an end there.")
            continue
        yield _table(
            (
                *(Column(what, 4), Column("Share", 2, numeric=True), Column("Encrypted", 2, numeric=True)),
                *(Column("Clear", 2, numeric=True), Column("Undet.", 2, numeric=True), Column("Not seen", 2, numeric=True)),
            ),
            [(_labelled(row), _share(row["states"]), *(str(row["states"][state]) for state in STATES)) for row in rows],
        )


def _labelled(row: Mapping[str, Any]) -> str:
    label = row.get("label", "")
    return f"{row['name']} ({label})" if label else row["name"]


def _share(states: Mapping[str, int]) -> str:
    return share(states["encrypted"], states["encrypted"] + states["clear"] + states["undetermined"])


def _unprotected(report: Report) -> Iterator[Block]:
    yield Heading("Unprotected paths, each with its evidence")
    by_id = {finding["id"]: finding for finding in report["findings"]}
    paths = [path for path in report["paths"] if path["media"]["clear"] or path["signalling"]["clear"]]
    if not paths:
        yield Paragraph(
            "No path was seen with media or signalling in clear."
            if report["paths"]
            else "No path between hosts was seen in the period."
        )
        return
    yield Paragraph(
        f"{count(len(paths), 'path')} of {len(report['paths'])} had media or signalling in clear, the worst first."
    )
    yield _table(
        (Column("Path", 5), Column("Media", 3), Column("Signalling", 3), Column("Evidence", 9)),
        [
            (
                f"{_end(path, 0)}\n{_end(path, 1)}",
                _counted(path["media"]),
                _counted(path["signalling"]),
                "\n".join(_statement(by_id[id_]) for id_ in path["findings"] if id_ in by_id)
                or "Legs of this path; no rule of the policy asks for more.",
            )
            for path in paths
        ],
    )


def _end(path: Mapping[str, Any], end: int) -> str:
    name = path[("a_name", "b_name")[end]]
    address = path[("a", "b")[end]]
    return f"{address} ({name}, {path['segments'][end]})" if name else f"{address} ({path['segments'][end]})"


def _counted(states: Mapping[str, int]) -> str:
    return "\n".join(f"{states[state]} {state}" for state in ("clear", "undetermined", "encrypted", "not-observed") if states[state]) or "–"


def _statement(finding: Mapping[str, Any]) -> str:
    waived = f" Waived: {finding['waived_by']}." if finding["state"] == "waived" else ""
    evidence = _short(finding["evidence"][-1]) if finding["evidence"] else ""
    return f"{finding['severity']}: {finding['title']}. {evidence}{waived}".strip()


# --- parts of the network


def _tls(report: Report) -> Iterator[Block]:
    yield Heading("Certificates and TLS")
    servers = report["tls_servers"]
    if servers:
        yield _table(
            (Column("Server", 4), Column("Versions", 2), Column("Handshakes", 3), Column("Certificate", 6)),
            [
                (
                    f"{_host(server['address'], server['port'])}" + (f"\n{server['name']}" if server["name"] else ""),
                    "\n".join(server["versions"]) or "–",
                    "\n".join(f"{number} {outcome}" for outcome, number in server["handshakes"].items() if number) or "–",
                    _certificate(server),
                )
                for server in servers
            ],
        )
    else:
        yield Paragraph("No server of SIP over TLS was seen.")
    yield from _about(report, lambda code: code.startswith(TLS), "No finding about certificates or TLS.")


def _host(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _certificate(server: Mapping[str, Any]) -> str:
    chain = server["chain"]
    if chain is None:
        return {"not-observable": "hidden by TLS 1.3, or a resumed session", "unreadable": "could not be read"}.get(
            server["certificate"], "not seen"
        )
    lines = [
        f"{chain['key']}, {chain['signature'] or 'signature not known'}, {chain['trust']}"
        + (", self-signed" if chain["self_signed"] else ""),
        f"valid {day(chain['not_before'])} to {day(chain['not_after'])}",
        *(["weak: " + ", ".join(chain["weak"])] if chain["weak"] else []),
        f"SHA-256 {chain['sha256']}",
    ]
    return "\n".join(lines)


def _downgrades(report: Report) -> Iterator[Block]:
    yield Heading("Downgrades")
    yield Paragraph("Media or signalling that was agreed or seen encrypted, and then was not.")
    yield from _about(report, lambda code: code in DOWNGRADES, "No downgrade was seen.")


def _cleartext(report: Report) -> Iterator[Block]:
    yield Heading("Other cleartext on the voice network")
    yield from _about(report, lambda code: code in OTHER_CLEARTEXT, "No other cleartext of the voice network was seen.")


def _segmentation(report: Report) -> Iterator[Block]:
    yield Heading("Segmentation")
    segments = report["segments"]
    if segments:
        yield _table(
            (Column("Segment", 3), Column("Kind", 2), Column("Ranges and VLANs", 5), Column("Media", 2), Column("Signalling", 2), Column("Isolated", 2)),
            [
                (
                    segment["name"],
                    segment["kind"],
                    "\n".join([*segment["ranges"], *(f"VLAN {vlan}" for vlan in segment["vlans"])]) or "–",
                    segment["media"],
                    segment["signalling"],
                    "yes" if segment["isolated"] else "no",
                )
                for segment in segments
            ],
        )
    else:
        yield Paragraph("No policy with segments was recorded in the period.")
    yield from _about(report, lambda code: code in ("segment-violation", "new-endpoint"), "No host was seen that talked and may not.")


def _vendors(report: Report) -> Iterator[Block]:
    yield Heading("Vendors and their agreements")
    vendors = report["vendors"]
    if vendors:
        yield _table(
            (Column("Vendor", 4), Column("Role", 2), Column("Agreement", 4), Column("Legs", 1, numeric=True), Column("Encrypted", 2, numeric=True)),
            [
                (
                    vendor["name"] + (f"\n{vendor['contact']}" if vendor["contact"] else ""),
                    vendor["role"],
                    _agreement(vendor),
                    str(vendor["legs"]),
                    _share(vendor["states"]) if vendor["states"] else "–",
                )
                for vendor in vendors
            ],
        )
    else:
        yield Paragraph("The policy names no vendor.")
    yield from _about(
        report, lambda code: code in ("unknown-vendor", "vendor-without-baa"), "No finding about vendors."
    )


def _agreement(vendor: Mapping[str, Any]) -> str:
    baa = vendor["baa"]
    if baa is None:
        return "none in the inventory" if vendor["baa_required"] else "none needed, as the policy says"
    return f"signed {baa['signed']}" + (f", expires {baa['expires']}" if baa["expires"] else "")


def _waivers(report: Report) -> Iterator[Block]:
    yield Heading("Waivers")
    if not report["waivers"]:
        yield Paragraph("The policy accepts nothing: there is no waiver.")
        return
    yield _table(
        (Column("Owner and reason", 5), Column("Findings waived", 4), Column("Of", 4), Column("Until", 2), Column("In the period", 2, numeric=True)),
        [
            (
                f"{waiver['owner']}\n{waiver['reason']}",
                "\n".join(waiver["codes"]),
                "\n".join(waiver["subjects"]),
                waiver["until"],
                str(len(waiver["findings"])),
            )
            for waiver in report["waivers"]
        ],
    )


# --- controls and evidence


def _controls(report: Report) -> Iterator[Block]:
    yield Heading("Control by control")
    yield Callout(f"Profile {report['profile']}", ABOUT[report["profile"]])
    for control in report["controls"]:
        yield Heading(f"{control['control']} {control['title']}", 2)
        yield Paragraph(f"Status: {control['status']}.")
        yield Heading("What the evidence supports", 3)
        yield Items(tuple(control["supports"]) or ("Nothing was seen that would bear on it.",))
        yield Heading("What the evidence contradicts", 3)
        if control["contradicts"]:
            yield _table(
                (Column("Finding", 6), Column("Severity", 2), Column("In the period", 2, numeric=True), Column("Open", 2, numeric=True), Column("Waived", 2, numeric=True)),
                [
                    (f"{each['title']} ({each['code']})", each["severity"], str(each["findings"]), str(each["open"]), str(each["waived"]))
                    for each in control["contradicts"]
                ],
            )
        else:
            yield Paragraph("No finding bears on it.")
        yield Heading("What a network sensor cannot see", 3)
        yield Items(tuple(control["not_seen"]))
        yield Heading("The organisation's own statement", 3)
        if control["attestations"]:
            for each in control["attestations"]:
                file = f" File: {each['file']}" + (f", SHA-256 {each['sha256']}" if each.get("sha256") else "") if each.get("file") else ""
                yield Paragraph(f"{each['statement']} ({each['by']}, {each['on']}).{file}")
        else:
            yield Paragraph("[ to be attached: none is in the policy's attestations ]")
    yield Heading("Notes", 2)
    yield Items(NOTES)


def _evidence(report: Report) -> Iterator[Block]:
    yield Heading("Evidence and its verification")
    ledger = report["ledger"]
    if ledger is None:
        yield Paragraph(
            "The evidence are the capture files named under Scope and method, with their SHA-256. Who has them can make "
            "this report again."
        )
        return
    yield Paragraph(f"Ledger {ledger['origin']}: {count(ledger['size'], 'entry', 'entries')}. Verified: {_verified(ledger)}.")
    if ledger["faults"]:
        yield Items(tuple(ledger["faults"][:ROWS]))
    if ledger["checkpoint"]:
        yield Paragraph("The newest signed checkpoint. Hold it against the copies that are kept where the sensor cannot write:")
        yield Code(ledger["checkpoint"])
    yield Paragraph("To verify it without legwatch, with one file that imports nothing of it:")
    yield Code(ledger["command"])


def _all_findings(report: Report) -> Iterator[Block]:
    yield Heading("All findings")
    if report["findings"]:
        yield _finding_table(report["findings"])
    else:
        yield Paragraph("None was open in the period.")


def _glossary(report: Report) -> Iterator[Block]:  # noqa: ARG001
    yield Heading("The four states")
    yield _table((Column("State", 2), Column("What it means", 8)), list(GLOSSARY))


# --- tables


def _about(report: Report, of: Callable[[str], bool], otherwise: str) -> Iterator[Block]:
    found = [finding for finding in report["findings"] if of(finding["code"])]
    yield _finding_table(found) if found else Paragraph(otherwise)


def _finding_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    return _table(
        (Column("Severity", 2), Column("Finding", 4), Column("Subject", 4), Column("Evidence", 7), Column("Seen (UTC)", 4)),
        [
            (
                finding["severity"] + ("" if finding["state"] == "open" else f"\n{finding['state']}"),
                f"{finding['title']}\n{finding['code']}",
                _subject(finding["subject"]),
                "\n".join(map(_short, finding["evidence"][-EVIDENCE:]))
                + (f"\nWaived by {finding['waived_by']}" if finding["waived_by"] else ""),
                "\n".join(dict.fromkeys((moment(finding["first"]), moment(finding["last"])))),
            )
            for finding in findings
        ],
    )


def _subject(subject: Mapping[str, str]) -> str:
    if subject["b"]:
        return f"{subject['a']}\n{subject['b']}"
    return " ".join(filter(None, (subject["a"] or subject["kind"], subject["name"])))


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def _table(columns: tuple[Column, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(columns, tuple(rows[:ROWS]), max(len(rows) - ROWS, 0))


SECTIONS: tuple[Callable[[Report], Iterator[Block]], ...] = (
    *(_summary, _scope, _coverage, _protected, _unprotected, _tls, _downgrades, _cleartext, _segmentation, _vendors),
    *(_waivers, _controls, _evidence, _all_findings, _glossary),
)  # fmt: skip
