"""What changed since the last report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.report.blocks import Callout, Column, Heading, Paragraph
from sensor.report.chapters.tables import short, table
from sensor.report.words import count, duration, period, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report


def changes(report: Report) -> Iterator[Block]:
    """Return what got better, what got worse, what is new and what is gone."""
    yield Heading("Changes since the last report")
    comparison = report["changes"]
    if comparison is None:
        yield Paragraph("There is nothing before to compare this period with.")
        return
    before = comparison["before"]
    yield Paragraph(
        f"Compared with {period(before['period']['from'], before['period']['to'])}, in which "
        f"{duration(before['seen_seconds'])} were seen and {share(before['legs_encrypted'], before['legs_seen'])} of "
        f"{count(before['legs_seen'], 'leg')} were encrypted. A share is said to have changed where the counts "
        "support it: where the 99 % Wilson intervals of both do not overlap."
    )
    if comparison["notes"]:
        yield Callout("What limits the comparison", "\n".join(comparison["notes"]), "warning")
    if comparison["changes"]:
        yield table(
            (Column("Change", 2), Column("Of", 2), Column("What", 5), Column("How", 7)),
            [(each["kind"], each["about"], each["subject"], short(each["text"])) for each in comparison["changes"]],
        )
    else:
        yield Paragraph("No change that the counts support.")
