"""How states look on a terminal: a sign, so that colour is never all that tells them apart, and a style of rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.model import Protection, Severity
    from sensor.readiness import Level

OBSERVED: dict[Protection, tuple[str, str]] = {
    "clear": ("✗ clear", "bold red"),
    "undetermined": ("? undetermined", "yellow"),
    "not-observed": ("- not observed", "dim"),
    "encrypted": ("✓ encrypted", "green"),
}
SEVERITY: dict[Severity, str] = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
}
LEVEL: dict[Level, tuple[str, str]] = {"blind": ("✗ blind", "bold white on red"), "degraded": ("! degraded", "yellow")}


def printable(text: str) -> str:
    """Return text without what a terminal obeys: some words of evidence come from the wire."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
