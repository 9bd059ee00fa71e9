"""Figures and times as people read them. Nothing is rounded towards the better."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

BLIND = "Nothing was seen in this period, so nothing can be said of it."

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def sighted(report: Mapping[str, Any]) -> bool:
    """Say whether anything was seen at all."""
    return any(span["state"] in ("seen", "degraded") for span in report["coverage"]["spans"])


def count(number: int, what: str, many: str = "") -> str:
    """Return a number with its noun: "1 leg", "2 legs"."""
    return f"{number} {what if number == 1 else many or what + 's'}"


def were(number: int) -> str:
    """Return "was" for one, "were" for any other number."""
    return "was" if number == 1 else "were"


def share(part: int, whole: int) -> str:
    """Return a share in percent, cut off behind its first decimal: 9,999 of 10,000 are 99.9 %; a dash of nothing."""
    return f"{part * 1000 // whole / 10:.1f} %" if whole else "\u2013"


def duration(seconds: int) -> str:
    """Return a time in its two largest units."""
    for size, name, smaller, small in (
        (_DAY, "day", _HOUR, "hour"),
        (_HOUR, "hour", _MINUTE, "minute"),
        (_MINUTE, "minute", 1, "second"),
    ):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            more = f" {count(rest // smaller, small)}" if rest // smaller else ""
            return f"{count(whole, name)}{more}"
    return count(seconds, "second")


def moment(ms: int) -> str:
    """Return a time as "2026-01-05 10:00:00" in UTC."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(ms: int) -> str:
    """Return a day, in UTC."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d")


def period(first: int, last: int) -> str:
    """Return a period as days, or as moments where it does not begin and end with one; ``last`` is still in it."""
    if not last:
        return "no time: there was no packet that is read"
    if first % (_DAY * 1000) == 0 and (last + 1) % (_DAY * 1000) == 0:
        return day(first) if day(first) == day(last) else f"{day(first)} to {day(last)}"
    return f"{moment(first)} to {moment(last)} UTC"


def left_out(unfit: int) -> str:
    """Return that entries of a ledger are not in a report."""
    return f"{count(unfit, 'entry', 'entries')} left out: not what the ledger's schema says of their kind"
