"""The report object: its schema, the controls, and that it never judges."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sensor.policy.catalogue import CATALOGUE
from sensor.policy.catalogue import CONTROLS as CATALOGUED
from sensor.report import csv, html
from sensor.report.compare import compare
from sensor.report.controls import CONTROLS, PROFILES
from sensor.report.document import document
from tests.unit.sensor.report.made import (
    DAY,
    HOUR,
    LEDGER,
    ORDINARY,
    PHONE,
    POLICY,
    finding,
    leg,
    minutes,
    report,
    start,
)

ROOT = Path(__file__).parents[4]
SCHEMA = json.loads((ROOT / "docs/schema/report.schema.json").read_text())
COMPARISON = json.loads((ROOT / "docs/schema/comparison.schema.json").read_text())
EMPTY = report([])
BLIND = report([start(), POLICY, *minutes(DAY, DAY + 24 * HOUR, "blind", ["no-traffic"])])
QUIET = report([start(), POLICY, *minutes(DAY, DAY + 24 * HOUR)])
DAYS = pytest.mark.parametrize(
    "made", [report(ORDINARY), EMPTY, BLIND, QUIET], ids=["ordinary", "empty", "blind", "quiet"]
)
# Of an organisation only people can say this.
JUDGED = re.compile(r"complian(t|ce)|certif(y|ied|ies) that|certified compl", re.IGNORECASE)


def words(made: dict[str, Any]) -> str:
    """All that a document says."""
    return html.render(document(made), b"").decode()


@DAYS
def test_a_report_is_as_its_schema_says(made: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(made)


def test_the_schema_refuses_what_it_does_not_know() -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors({**EMPTY, "compliant": True}))


@DAYS
@pytest.mark.parametrize("profile", PROFILES)
def test_no_form_of_a_report_judges(made: dict[str, Any], profile: str) -> None:
    del made
    for entries in (ORDINARY, []):
        whole = report(entries, profile=profile)
        for text in (json.dumps(whole), words(whole), csv.render(whole).decode()):
            assert JUDGED.search(text) is None


def test_every_control_of_the_catalogue_is_reported_and_every_one_that_was_asked_for() -> None:
    reported = {control.control for control in CONTROLS}
    assert {control for entry in CATALOGUE.values() for control in entry.controls} <= reported == set(CATALOGUED)
    assert {f"164.{clause}" for clause in (
        *("312(a)(1)", "312(b)", "312(c)(1)", "312(d)", "312(e)(1)", "312(e)(2)(i)", "312(e)(2)(ii)"),
        *("308(a)(1)(ii)(A)", "308(a)(1)(ii)(D)", "308(b)(1)", "316(b)(2)(i)"),
    )} == reported  # fmt: skip


def test_the_proposal_is_never_called_law() -> None:
    said = words(report(ORDINARY, profile="nprm-2025"))
    assert "It is a proposal, not law" in said
    assert "90 FR 898" in said
    assert {control["status"] for control in EMPTY["controls"]} == {
        *("required", "addressable", "required (a standard without specifications)"),
    }


def test_a_finding_contradicts_the_controls_that_it_bears_on_and_no_others() -> None:
    made = report(ORDINARY)
    against = {control["control"]: control["contradicts"] for control in made["controls"]}
    assert {control for control, found in against.items() if found} == {"164.312(e)(1)", "164.312(e)(2)(ii)"}
    (found,) = against["164.312(e)(1)"]
    assert (found["code"], found["findings"], found["open"], found["ids"]) == ("media-clear", 1, 1, ["f1"])


def test_an_attestation_stands_with_its_control_and_elsewhere_there_is_a_place_for_one() -> None:
    said = words(report(ORDINARY))
    assert "Recordings are encrypted at rest. (A. Officer, 2025-12-01)" in said
    assert said.count("[ to be attached") == len(CONTROLS) - 1


def test_a_waiver_names_the_findings_that_it_waived() -> None:
    waived = finding(DAY + HOUR, state="waived", waived_by="Ops: old phones (until 2026-06-30)")
    made = report([start(), POLICY, waived])
    assert [waiver["findings"] for waiver in made["waivers"]] == [["f1"]]


def test_a_waived_finding_that_ended_is_said_to_be_over_and_when_and_who_had_waived_it() -> None:
    by = "Ops: old phones (until 2026-06-30)"
    waived = finding(DAY + HOUR, state="waived", waived_by=by)
    made = report([start(), POLICY, waived, {**waived, "at": DAY + 2 * HOUR, "step": "resolved", "evidence": []}])
    Draft202012Validator(SCHEMA).validate(made)
    said = words(made)
    assert "At its end 1 of them was over and 0 waived." in said
    assert f"Was waived by {by}" in said
    assert "over 2026-01-05 02:00:00" in said
    assert [waiver["findings"] for waiver in made["waivers"]] == [["f1"]]


def test_a_share_is_never_rounded_up() -> None:
    legs = [leg(DAY + n) for n in range(9999)]
    said = words(report([start(), POLICY, *legs, leg(DAY + 1, observed="clear")]))
    assert "99.9 %" in said
    assert "100.0 %</dd>" not in said


def test_legs_whose_media_did_not_come_are_no_part_of_the_share_and_are_said() -> None:
    said = words(report([start(), POLICY, leg(), leg(observed="not-observed")]))
    assert "of 1 leg seen were encrypted" in said
    assert "1 of 2 were agreed in signalling" in said


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (EMPTY, "Nothing was seen in this period"),
        (EMPTY, "it did not run, or nothing was recorded"),
        (BLIND, "it was blind"),
        (BLIND, "That no finding was opened says nothing about the network."),
        (BLIND, "Nothing was seen in this period, so nothing can be said of it."),
        (QUIET, "No downgrade was seen."),
        (QUIET, "No call was seen in this period"),
    ],
)
def test_a_period_without_sight_or_calls_says_exactly_that(made: dict[str, Any], says: str) -> None:
    assert says in words(made)


@pytest.mark.parametrize("made", [EMPTY, BLIND])
def test_of_a_period_without_sight_it_is_not_said_that_all_was_well(made: dict[str, Any]) -> None:
    said = words(made)
    assert not [each for each in ("No downgrade", "No finding about", "No other cleartext", "No path") if each in said]


def test_changes_are_in_the_document_with_what_limits_them() -> None:
    later = report([start(), POLICY, leg(), *minutes(DAY, DAY + HOUR)])
    later["changes"] = compare(report(ORDINARY), later)
    Draft202012Validator(SCHEMA).validate(later)
    Draft202012Validator(COMPARISON).validate(later["changes"])
    said = words(later)
    assert "Less was seen after" in said
    assert "Compared with 2026-01-05, in which 1 day were seen and 33.3 % of 3 legs were encrypted." in said
    assert "There is nothing before to compare this period with." in words(report(ORDINARY))


def test_a_torn_end_a_set_clock_and_recordings_are_said() -> None:
    torn = {"kind": "recovered", "at": DAY + HOUR, "cut": 17, "unsigned": 3}
    clock = {"kind": "clock", "at": DAY + HOUR, "back": 1500, "synchronised": False}
    said = words(report([start(), POLICY, torn, clock, leg(recording=True, observed="clear")]))
    assert "1 start found the end of the ledger torn" in said
    assert "set back by 1.500 s, not synchronised" in said
    assert "1 leg of recording sessions (SIPREC), 1 of them in clear." in said


def test_a_clock_that_stays_as_it_is_is_said_once() -> None:
    clocks = [{"kind": "clock", "at": DAY + hour * HOUR, "back": 0, "synchronised": hour > 2} for hour in range(1, 6)]
    said = words(report([start(), POLICY, *clocks, leg()]))
    assert said.count("not synchronised") == 1
    assert said.count("synchronised") == 2


@pytest.mark.parametrize("made", [BLIND, EMPTY], ids=["blind", "empty"])
def test_what_was_not_found_by_who_saw_nothing_supports_no_control(made: dict[str, Any]) -> None:
    of_itself = {"164.312(b)", "164.312(c)(1)", "164.316(b)(2)(i)"}
    supported = {each["control"]: each["supports"] for each in made["controls"] if each["control"] not in of_itself}
    said = "Nothing was seen in this period, so nothing can be said of it."
    assert supported == {key: [said] for key in supported}
    assert "No finding bears on it." not in words(made)


def test_segments_that_were_deleted_are_counted() -> None:
    gone = {"kind": "deleted", "at": DAY, "segment": "00000000-20191231", "first": 0, "size": 9, "root": "q6s="}
    assert "1 segment deleted by retention in the period" in words(report([start(), POLICY, {**gone, "why": "old"}]))


def test_keys_that_were_readable_support_no_integrity() -> None:
    made = report([*ORDINARY, leg(key_exchange="sdes-exposed")])
    (integrity,) = (each for each in made["controls"] if each["control"] == "164.312(e)(2)(i)")
    assert integrity["supports"][0].startswith("1 encrypted leg exchanged keys for SRTP")
    assert integrity["supports"][1].startswith("1 encrypted leg exchanged keys that were readable")


def test_vendor_whose_ranges_are_pseudonyms_is_not_said_to_have_no_calls() -> None:
    (vendor,) = POLICY["vendors"]
    veiled = {**POLICY, "vendors": [{**vendor, "addresses": ["host-3f2a9c01b4de"]}]}
    made = report([start(), veiled, *minutes(DAY, DAY + HOUR), leg()])
    assert made["vendors"][0]["legs"] is None
    assert "calls are not counted by vendor" in words(made)
    assert "0 of them with calls" not in words(made)


def test_kept_transactions_are_counted() -> None:
    kept = {"kind": "transaction", "at": DAY, "outcome": "refused", "status": 403, "a": PHONE, "b": "10.20.0.10"}
    made = report([start(), POLICY, *minutes(DAY, DAY + HOUR), {**kept, "account": "account-1", "last": DAY}])
    assert made["transactions"] == {"refused": 1}
    assert "1 SIP transaction of the period, kept with pseudonyms." in words(made)


def test_a_part_that_was_not_seen_is_said_first() -> None:
    entries = [start(), POLICY, *minutes(DAY, DAY + 12 * HOUR), leg()]
    assert "The sensor was blind or did not run for 12 hours." in words(report(entries))


def test_a_ledger_that_does_not_verify_is_said_on_the_first_page() -> None:
    broken = {**LEDGER, "verified": False, "faults": ["entry 7, segment 00000000-20260105: its hash does not fit"]}
    said = words(report(ORDINARY, ledger=broken))
    assert said.index("The ledger does not verify") < said.index("Scope and method</h2>")
    assert "entry 7" in said


def test_what_is_long_is_bounded_and_says_how_much_more_there_is() -> None:
    many = [leg(DAY + n, a=f"10.20.{n // 250}.{n % 250}", observed="clear") for n in range(500)]
    assert "and 460 more, in the attached JSON" in words(report([start(), POLICY, *many]))
    assert len(report([start(), POLICY, *many])["paths"]) == 500


def test_a_device_has_the_name_that_the_policy_gives_it() -> None:
    rows = {row["name"]: row["label"] for row in report(ORDINARY)["legs"]["by_device"]}
    assert rows["10.20.0.10"] == "exchange"
    assert not rows[PHONE]
