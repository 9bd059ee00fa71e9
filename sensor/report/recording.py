"""What a scan says, as the entries that a ledger would have: a report on captures is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.ledger.entries import MS, finding_entry
from sensor.ledger.sink import LedgerSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastpath.records import Attempt, FlowEnded
    from sensor.ledger.entries import Entry
    from sensor.model import Finding, FlowContext, Step


class Recording(LedgerSink):
    """Keeps the entries of all captures of a run. ``at`` is when the capture shows it."""

    def __init__(self, policy: Entry) -> None:
        super().__init__(self._keep, lambda identity, _kind: identity, transactions=True)
        self._entries: list[dict[str, Any]] = [{**policy, "at": 0}]
        self._coverage: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self._open: dict[int, Finding] = {}  # by identity: it is one object through its life
        self._first_ms: int | None = None
        self._last_ms = 0

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries; those of coverage are in the order of time, in whatever order captures came."""
        return self._entries + sorted(self._coverage, key=lambda entry: entry["from"])

    def period(self) -> tuple[int, int]:
        """Return the first and the last millisecond of which anything is said, (0, 0) when nothing is."""
        times = [entry["at"] for entry in self._entries if entry["kind"] != "policy"]
        times += [time for each in self.files if each["from"] is not None for time in (each["from"], each["to"])]
        return min(times, default=0), max(times, default=0)

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:  # noqa: ARG002
        """Note the time of its packets."""
        first = flow.first_ns // MS
        self._first_ms = first if self._first_ms is None else min(self._first_ms, first)
        self._last_ms = max(self._last_ms, flow.last_ns // MS)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Keep a step of a finding, and of those that stay open what they come to in the end."""
        super().finding_changed(finding, change)
        if change == "resolved":
            self._open.pop(id(finding), None)
        else:
            self._open[id(finding)] = finding

    def attempted(self, attempt: Attempt) -> None:
        """Keep no transaction: it is the ledger that is a log of them."""

    def _keep(self, entry: Entry) -> None:
        self._entries.append({**entry, "at": entry["last"]})

    def capture_repeated(self, name: str, sha256: str) -> None:
        """Note a capture that was given before, of which nothing counts again."""
        again = next(each for each in self.files if each["sha256"] == sha256)
        self.files.append({**again, "name": name, "error": "the same as one above: counted once"})

    def capture_ended(self, name: str, sha256: str | None, counters: Mapping[str, int], error: str) -> None:
        """Note a capture's name, digest and account, and where it breaks off ("": nowhere)."""
        for finding in self._open.values():
            self._keep(finding_entry(finding, "updated"))
        self._open.clear()
        account = _account(counters)
        self.files.append(
            {
                "name": name,
                "sha256": sha256,
                "from": self._first_ms,
                "to": self._last_ms if self._first_ms is not None else None,
                "packets": account["received"],
                "error": error or None,
            }
        )
        if self._first_ms is not None:
            self._coverage.append(
                {
                    "kind": "coverage",
                    "at": self._last_ms,
                    "from": self._first_ms,
                    "to": self._last_ms + 1,
                    "state": "degraded" if error else "seen",
                    "reasons": ["a capture breaks off"] if error else [],
                    **account,
                }
            )
        self._first_ms, self._last_ms = None, 0


def _account(counters: Mapping[str, int]) -> dict[str, int]:
    account = {name: counters[name] for name in ("received", "classified", "duplicates")}
    for family in ("ignored", "malformed", "shed"):
        account[family] = sum(count for name, count in counters.items() if name.startswith(f"{family}."))
    return account
