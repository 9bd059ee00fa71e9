"""The report object as a document. What is long is bounded, and says how much more is in the attached JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.report.blocks import Document
from sensor.report.chapters import changes, coverage, network, protection, rule, summary
from sensor.report.chapters.tables import verified
from sensor.report.words import count, period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report

CHAPTERS: tuple[Callable[[Report], Iterator[Block]], ...] = (
    summary.summary,
    summary.scope,
    coverage.coverage,
    protection.protected,
    protection.call_map,
    protection.unprotected,
    network.tls,
    network.downgrades,
    network.cleartext,
    network.segmentation,
    network.vendors,
    network.waivers,
    changes.changes,
    rule.controls,
    rule.evidence,
    rule.all_findings,
    rule.glossary,
)


def document(report: Report) -> Document:
    """Return the document of a report object."""
    source = report["source"]
    blocks: list[Block] = []
    for chapter in CHAPTERS:
        blocks += chapter(report)
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
        yield "Ledger verified", verified(report["ledger"])
    yield "Profile", report["profile"]
    yield "Made by", f"legwatch {report['version']}"
