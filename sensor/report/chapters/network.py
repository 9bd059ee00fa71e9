"""The parts of the network: TLS, what was downgraded or in clear, segments, vendors, waivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.report.blocks import Column, Heading, Paragraph
from sensor.report.chapters.tables import NOTHING, about, share_of, table
from sensor.report.words import BLIND, day, sighted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report

DOWNGRADES = frozenset(("media-downgraded", "media-clear-despite-srtp", "media-clear-before-key", "posture-drift"))
OTHER_CLEARTEXT = frozenset((
    *("provisioning-clear", "management-clear", "voicemail-clear", "directory-clear", "tunnel-undetermined"),
    *("name-time-clear", "message-clear", "legacy-signalling-clear", "credentials-exposed", "recording-clear"),
    *("dtmf-clear", "fax-clear", "rtcp-clear"),
))  # fmt: skip
TLS = ("tls-", "cert-", "not-observable", "dtls-fingerprint")


def tls(report: Report) -> Iterator[Block]:
    """Return servers of TLS, their certificates, and findings about them."""
    yield Heading("Certificates and TLS")
    servers = report["tls_servers"]
    if servers:
        yield table(
            (Column("Server", 4), Column("Versions", 2), Column("Handshakes", 3), Column("Certificate read last", 6)),
            [
                (
                    f"{_host(server['address'], server['port'])}" + (f"\n{server['name']}" if server["name"] else ""),
                    "\n".join(server["versions"]) or NOTHING,
                    "\n".join(f"{number} {outcome}" for outcome, number in server["handshakes"].items() if number)
                    or NOTHING,
                    _certificate(server),
                )
                for server in servers
            ],
        )
    else:
        yield Paragraph("No server of SIP over TLS was seen." if sighted(report) else BLIND)
    yield from about(report, lambda code: code.startswith(TLS), "No finding about certificates or TLS.")


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


def downgrades(report: Report) -> Iterator[Block]:
    """Return what was encrypted first or should have been, and then was not."""
    yield Heading("Downgrades")
    yield Paragraph("Media or signalling that was agreed or seen encrypted, and then was not.")
    yield from about(report, lambda code: code in DOWNGRADES, "No downgrade was seen.")


def cleartext(report: Report) -> Iterator[Block]:
    """Return what else is in clear."""
    yield Heading("Other cleartext on the voice network")
    yield from about(report, lambda code: code in OTHER_CLEARTEXT, "No other cleartext of the voice network was seen.")


def segmentation(report: Report) -> Iterator[Block]:
    """Return the segments, and who talked and may not."""
    yield Heading("Segmentation")
    segments = report["segments"]
    if segments:
        yield table(
            (
                Column("Segment", 3),
                Column("Kind", 2),
                Column("Ranges and VLANs", 5),
                Column("Media", 2),
                Column("Signalling", 2),
                Column("Isolated", 2),
            ),
            [
                (
                    segment["name"],
                    segment["kind"],
                    "\n".join([*segment["ranges"], *(f"VLAN {vlan}" for vlan in segment["vlans"])]) or NOTHING,
                    segment["media"],
                    segment["signalling"],
                    "yes" if segment["isolated"] else "no",
                )
                for segment in segments
            ],
        )
    else:
        yield Paragraph("No policy with segments was recorded in the period.")
    yield from about(
        report, lambda code: code in ("segment-violation", "new-endpoint"), "No host was seen that talked and may not."
    )


def vendors(report: Report) -> Iterator[Block]:
    """Return the inventory of vendors, with what was seen of each."""
    yield Heading("Vendors and their agreements")
    vendors = report["vendors"]
    if vendors:
        yield table(
            (
                Column("Vendor", 4),
                Column("Role", 2),
                Column("Agreement", 4),
                Column("Legs", 1, numeric=True),
                Column("Encrypted", 2, numeric=True),
            ),
            [
                (
                    vendor["name"] + (f"\n{vendor['contact']}" if vendor["contact"] else ""),
                    vendor["role"],
                    _agreement(vendor),
                    "not counted" if vendor["legs"] is None else str(vendor["legs"]),
                    share_of(vendor["states"]) if vendor["states"] else NOTHING,
                )
                for vendor in vendors
            ],
        )
    else:
        yield Paragraph("The policy names no vendor.")
    yield from about(report, lambda code: code in ("unknown-vendor", "vendor-without-baa"), "No finding about vendors.")


def _agreement(vendor: Mapping[str, Any]) -> str:
    baa = vendor["baa"]
    if baa is None:
        return "none in the inventory" if vendor["baa_required"] else "none needed, as the policy says"
    return f"signed {baa['signed']}" + (f", expires {baa['expires']}" if baa["expires"] else "")


def waivers(report: Report) -> Iterator[Block]:
    """Return what is accepted for a while."""
    yield Heading("Waivers")
    if not report["waivers"]:
        yield Paragraph("The policy accepts nothing: there is no waiver.")
        return
    yield table(
        (
            Column("Owner and reason", 5),
            Column("Findings waived", 4),
            Column("Of", 4),
            Column("Until", 2),
            Column("In the period", 2, numeric=True),
        ),
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
