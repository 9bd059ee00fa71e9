"""The open findings as they were told: what the sensor says of itself, and which findings are the newest."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sensor.model import QuietSink

if TYPE_CHECKING:
    from sensor.model import Finding, Step

NEWEST = 20  # that are kept in mind, resolved ones too
_OWN = "sensor-"  # begins the codes of what the sensor says of itself


class Board(QuietSink):
    """A sink that keeps the latest findings, and those about the sensor itself as long as they are open."""

    def __init__(self) -> None:
        self._own: dict[str, Finding] = {}
        self._newest: deque[Finding] = deque(maxlen=NEWEST)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Take the step of a finding."""
        if change not in ("updated", "resolved"):
            # One that was waived and is open again is told as another one, and is the same.
            others = (each for each in self._newest if each is not finding)
            self._newest = deque((*others, finding), NEWEST)
        if not finding.code.startswith(_OWN):
            return
        if change == "resolved":
            self._own.pop(finding.code, None)
        else:
            self._own[finding.code] = finding

    def own(self) -> dict[str, str]:
        """Return the codes of what is open about the sensor, each with what it said last."""
        return {code: finding.evidence[-1] for code, finding in self._own.items()}

    def newest(self) -> list[Finding]:
        """Return the findings that opened last, the last one first; the same objects that were told."""
        return list(reversed(self._newest))
