"""The policy as an entry of the ledger: what was asked for when something was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sensor.config.network import Agreement, Attestation, Segment, Vendor, Waiver
    from sensor.config.schema import Policy
    from sensor.ledger.entries import Entry, Value


def policy_entry(policy: Policy, host: Callable[[str], str]) -> Entry:
    """Return what a report needs of the policy; ``host`` names each address and range."""
    return {
        "kind": "policy",
        "segments": [_segment(segment, host) for segment in policy.segments],
        "hosts": [
            {"name": each.name, "role": each.role, "addresses": _named(each.addresses, host)} for each in policy.hosts
        ],
        "vendors": [_vendor(vendor, host) for vendor in policy.vendors],
        "waivers": [_waiver(waiver, host) for waiver in policy.waivers],
        "attestations": [_attestation(each) for each in policy.attestations],
    }


def _named(addresses: Iterable[object], host: Callable[[str], str]) -> list[Value]:
    return [host(_address(address)) for address in addresses]


def _address(range_: object) -> str:
    """Return a range as text, that of one address without its length."""
    text = str(range_)
    return text.removesuffix("/128") if ":" in text else text.removesuffix("/32")


def _segment(segment: Segment, host: Callable[[str], str]) -> dict[str, Value]:
    return {
        "name": segment.name,
        "kind": segment.kind,
        "ranges": _named(segment.cidrs, host),
        "vlans": list(segment.vlans),
        "media": segment.media,
        "signalling": segment.signalling,
        "isolated": segment.isolated,
    }


def _vendor(vendor: Vendor, host: Callable[[str], str]) -> dict[str, Value]:
    return {
        "name": vendor.name,
        "role": vendor.role,
        "addresses": _named(vendor.addresses, host),
        "contact": vendor.contact,
        "baa": None if vendor.baa is None else _agreement(vendor.baa),
        "baa_required": vendor.baa_required,
    }


def _agreement(baa: Agreement) -> dict[str, Value]:
    return {"signed": baa.signed.isoformat(), "expires": baa.expires.isoformat() if baa.expires else None}


def _waiver(waiver: Waiver, host: Callable[[str], str]) -> dict[str, Value]:
    return {
        "owner": waiver.owner,
        "reason": waiver.reason,
        "codes": list(waiver.codes),
        "subjects": [each if isinstance(each, str) else host(_address(each)) for each in waiver.subjects],
        "until": waiver.until.isoformat(),
    }


def _attestation(said: Attestation) -> dict[str, Value]:
    return {
        "control": said.control,
        "statement": said.statement,
        "by": said.by,
        "on": said.date.isoformat(),
        "file": said.file,
        "sha256": said.sha256,
    }
