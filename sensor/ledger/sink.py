"""A sink that puts what the analysis says into the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sensor.ledger.entries import (
    call_entry,
    endpoint_entry,
    finding_entry,
    leg_entry,
    tls_server_entry,
    transaction_entry,
)
from sensor.model import QuietSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastpath.records import Attempt
    from sensor.ledger.entries import Entry
    from sensor.model import Call, Endpoint, Finding, Leg, Step, TlsServer

    # What is shown of an identity, and its kind ("call" or "user"), to its pseudonym
    Hidden = Callable[[str, str], str | None]


class LedgerSink(QuietSink):
    """Tells ``put`` of legs, findings, endpoints, servers and, where they are wanted, of calls and transactions.

    Telephone identities go in as pseudonyms, even where the outputs reveal them: who may see a list of calls today is
    decided today, and evidence is for six years. Where they are masked, nothing is left to make a pseudonym of.
    """

    def __init__(self, put: Callable[[Entry], None], hidden: Hidden, *, transactions: bool) -> None:
        self._put = put
        self._hidden = hidden
        self._transactions = transactions

    def leg_ended(self, leg: Leg) -> None:
        """Keep a leg."""
        self._put(leg_entry(replace(leg, call=self._hidden(leg.call or "", "call"))))

    def call_ended(self, call: Call) -> None:
        """Keep a call."""
        if self._transactions:
            named = self._hidden(call.call, "call"), *(self._hidden(end, "user") for end in (call.caller, call.callee))
            name, caller, callee = (each or "" for each in named)
            self._put(call_entry(replace(call, call=name, caller=caller, callee=callee)))

    def attempted(self, attempt: Attempt) -> None:
        """Keep a transaction."""
        if self._transactions:
            self._put(transaction_entry(attempt))

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Keep an endpoint."""
        self._put(endpoint_entry(endpoint))

    def tls_server_ended(self, server: TlsServer) -> None:
        """Keep a server."""
        self._put(tls_server_entry(server))

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Keep a step of a finding; what is only known from before was kept then."""
        if change != "restored":
            self._put(finding_entry(finding, change))
