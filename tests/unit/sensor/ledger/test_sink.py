"""What the analysis says, as entries: all kinds by the schema, identities as pseudonyms whatever the outputs show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fastpath.records import Attempt, FlowKey
from sensor.identities import Mode, Pseudonyms
from sensor.ledger.sink import LedgerSink
from sensor.model import Call, CallLeg, Chain, Endpoint, TlsServer
from sensor.output.veil import Veil
from tests.unit.sensor.ledger.schema import valid
from tests.unit.sensor.samples import T0, finding, leg

if TYPE_CHECKING:
    from sensor.model import Sink

A, B = "192.0.2.10", "192.0.2.20"
CALL_ID, CALLER, CALLEE = "f81d4fae@pbx.example", "+12125550123", "alice"
ATTEMPT = Attempt(7, T0, FlowKey("udp", A, 5060, B, 5060, ()), False, "refused", 403, 0xFEED, True)


def told(mode: Mode = "pseudonym", *, transactions: bool = True, veiled: bool = False) -> list[dict[str, Any]]:
    """Return the entries of one of everything, as an analysis tells it with identities shown in this way."""
    names = Pseudonyms(mode)
    names.set_key(1, bytes(32))
    entries: list[Any] = []
    sink: Sink = LedgerSink(entries.append, names.hidden, transactions=transactions)
    if veiled:
        sink = Veil((sink,), names.host)
    shown, caller, callee = names.of(CALL_ID, "call"), names.of(CALLER), names.of(CALLEE)
    sink.leg_ended(leg(a=A, b=B, call=shown))
    sink.call_ended(Call(shown, caller, callee, False, (CallLeg(A, B, "audio", "clear", "clear"),), (), T0, T0 + 1))
    sink.attempted(ATTEMPT)
    sink.endpoint_ended(Endpoint(A, "02:00:00:00:00:01", "Phone 1.2", "clear", "encrypted", T0, T0 + 1))
    chain = Chain(True, "ab" * 32, "EC 256", "sha256", False, T0, T0 + 1, ("pbx.example",), ("key",), "trusted")
    sink.tls_server_ended(
        TlsServer(B, 5061, "port", [772], [4865], [29], ["pbx.example"], {"completed": 2}, 1, "readable", chain, T0, T0)
    )
    found = finding(evidence=[f"250 packets of {A}"])
    sink.finding_changed(found, "opened")
    sink.finding_changed(found, "updated")
    sink.finding_changed(found, "resolved")
    sink.finding_changed(finding(), "restored")
    return [valid(entry) for entry in entries]


def test_everything_is_an_entry_but_what_is_known_from_before() -> None:
    kinds = [entry["kind"] for entry in told()]
    assert kinds == ["leg", "call", "transaction", "endpoint", "tls-server", "finding", "finding", "finding"]


def test_calls_and_transactions_are_kept_where_they_are_wanted_only() -> None:
    assert {"call", "transaction"}.isdisjoint(entry["kind"] for entry in told(transactions=False))


@pytest.mark.parametrize("mode", ["pseudonym", "mask", "reveal"])
def test_no_identity_gets_in_whatever_the_outputs_show(mode: Mode) -> None:
    for hidden in (CALL_ID, CALLER, CALLEE, "5550123", "…23", "pbx.example"):
        assert hidden not in str(told(mode))


def test_what_is_revealed_elsewhere_has_the_pseudonym_that_it_would_have_had() -> None:
    assert told("reveal") == told("pseudonym")


def test_of_what_is_masked_no_pseudonym_can_be_made() -> None:
    call = next(entry for entry in told("mask") if entry["kind"] == "call")
    assert (call["caller"], call["callee"]) == (None, None)
    assert call["call"].startswith("call-1-")


def test_transaction_names_who_asks_first_and_the_account_by_the_digest_of_the_core() -> None:
    entry = next(entry for entry in told() if entry["kind"] == "transaction")
    assert (entry["a"], entry["b"], entry["account"]) == (B, A, "account-000000000000feed")


def test_veiled_addresses_are_in_no_entry() -> None:
    for address in (A, B, "02:00:00:00:00:01"):
        assert address in str(told())
        assert address not in str(told(veiled=True))
