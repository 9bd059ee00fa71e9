"""What an entry has to be so that a report can rest on it: what docs/schema/ledger.schema.json says of its kind.

A ledger may have been edited by anybody, or be of another version. Times are of the years that can be written out, and
numbers those that every reader of JSON has exactly.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, NotRequired, Union

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic's own: it takes none other before Python 3.12

from sensor.model import Severity

Count = Annotated[int, Field(ge=0, lt=2**53)]
Time = Annotated[int, Field(ge=0, le=253_402_300_799_999)]  # to the end of the year 9999
Moment = Annotated[int, Field(ge=-62_135_596_800_000, le=253_402_300_799_999)]  # of certificates: from the year 1 on


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


Day = Annotated[str, AfterValidator(_day)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Base64 = Annotated[str, Field(pattern="^[A-Za-z0-9+/]+=*$")]
Key = Annotated[str, Field(pattern=r"^[^ +]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$")]
Control = Annotated[str, Field(pattern=r"^164\.")]
Protection = Literal["encrypted", "clear", "undetermined", "not-observed"]
Wanted = Literal["encrypted", "any"]
SegmentKind = Literal["voice", "server", "sbc", "trunk", "remote", "management", "data"]
Segments = Annotated[list[str], Field(min_length=2, max_length=2)]
Compared = Literal["agree", "clear-despite-srtp", "encrypted-despite-clear", "undecided", "unsignalled"]

_EXACT = ConfigDict(strict=True, extra="forbid")


def _kind(kind: str, **fields: Any) -> Any:
    return _part(kind=Literal[kind], at=Time, **fields)


def _part(**fields: Any) -> Any:
    made = TypedDict("made", fields)  # type: ignore[misc]
    made.__pydantic_config__ = _EXACT  # type: ignore[attr-defined]
    return made


def _optional(type_: Any) -> Any:
    return NotRequired[type_]


def _list(of: Any) -> Any:
    return list[of]


_SEEN = {"first": Time, "last": Time}
_SPAN = {"from": Time, "to": Time}
_NAMED = {"name": str, "role": str, "addresses": list[str]}

_SEGMENT = _part(
    name=str, kind=SegmentKind, ranges=list[str], vlans=list[Count], media=Wanted, signalling=Wanted, isolated=bool
)
_AGREEMENT = _part(signed=Day, expires=Day | None)
_VENDOR = _part(**_NAMED, contact=str | None, baa=_AGREEMENT | None, baa_required=bool)
_WAIVER = _part(owner=str, reason=str, codes=list[str], subjects=list[str], until=Day)
_ATTESTATION = _part(control=Control, statement=str, by=str, on=Day, file=str | None, sha256=Digest | None)
_SUBJECT = _part(kind=str, a=str, b=str, name=str)
_CHAIN = _part(
    sha256=Digest,
    key=str,
    signature=str | None,
    self_signed=bool,
    trust=Literal["trusted", "untrusted", "unknown"],
    weak=list[str],
    not_before=Moment,
    not_after=Moment,
)

_KINDS = (
    _kind("ledger", origin=str, vkey=Key, format=Annotated[int, Field(ge=1, le=1)]),
    _kind(
        "start",
        **dict.fromkeys(("version", "site", "sensor", "interface", "filter"), str),
        configuration=Digest | None,
        policy=Digest,
    ),
    _kind("stop", packets=Count, reason=str),
    _kind(
        "policy",
        segments=_list(_SEGMENT),
        hosts=_list(_part(**_NAMED)),
        vendors=_list(_VENDOR),
        waivers=_list(_WAIVER),
        attestations=_list(_ATTESTATION),
        configuration=_optional(Digest | None),
    ),
    _kind(
        "coverage",
        **_SPAN,
        interface=str,
        state=Literal["seen", "degraded", "blind"],
        reasons=list[str],
        **dict.fromkeys(("received", "classified", "malformed", "shed"), Count),
        **dict.fromkeys(("kernel_drops", "gaps", "duplicates", "one_way"), Count),
        segments=_list(_part(name=str, legs=Count, clear=Count)),
    ),
    _kind("clock", back=_optional(Count), synchronised=_optional(bool)),
    _kind("gap", **_SPAN, lost=Count, why=str),
    _kind("recovered", cut=Count, unsigned=Count),
    _kind("key", old=Key, new=Key, signature=Base64),
    _kind("deleted", segment=str, first=Count, size=Count, root=Base64, why=str),
    _kind(
        "leg",
        **_SEEN,
        **dict.fromkeys(("a", "b", "media"), str),
        signalling=Literal["clear", "tls", "unknown"],
        signalled=Literal["clear", "srtp-sdes", "srtp-dtls", "zrtp", "optional", "unknown"],
        observed=Protection,
        comparison=Compared,
        key_exchange=Literal["sdes", "sdes-exposed", "dtls", "zrtp", "none", "unknown"],
        assessed=Annotated[int, Field(ge=0, le=1000)],
        recording=bool,
        call=str | None,
        segments=Segments,
    ),
    _kind(
        "call",
        **_SEEN,
        call=str,
        caller=str | None,
        callee=str | None,
        recording=bool,
        legs=Count,
        observed=Protection,
        joined_by=list[str],
    ),
    _kind(
        "transaction",
        outcome=Literal["refused", "challenged", "unanswered", "followed", "accepted"],
        status=Annotated[int, Field(ge=0, le=699)],
        a=str,
        b=str,
        account=Annotated[str, Field(pattern="^account-[0-9a-f]{16}$")],
        last=Time,
    ),
    _kind(
        "finding",
        **_SEEN,
        step=Literal["opened", "updated", "resolved"],
        id=str,
        code=str,
        severity=Severity,
        state=Literal["open", "resolved", "waived"],
        subject=_SUBJECT,
        **dict.fromkeys(("segments", "evidence"), list[str]),
        controls=list[Control],
        count=Count,
        waived_by=str | None,
        since=Time | None,
    ),
    _kind(
        "endpoint",
        **_SEEN,
        address=str,
        mac=str | None,
        user_agent=str | None,
        media=Protection | None,
        signalling=Protection | None,
    ),
    _kind(
        "tls-server",
        **_SEEN,
        address=str,
        port=Annotated[int, Field(ge=0, le=65535)],
        basis=Literal["port", "alpn", "earlier-flow"],
        **dict.fromkeys(("versions", "ciphers", "groups"), list[Count]),
        handshakes=dict[str, Count],
        resumed=Count,
        certificate=Literal["readable", "unreadable", "not-observable", "not-seen"],
        chain=_CHAIN | None,
    ),
)
_any: Any = Annotated[Union[_KINDS], Field(discriminator="kind")]  # noqa: UP007
_check = TypeAdapter[Any](_any).validator.validate_python


def fit(entry: object) -> bool:
    """Say whether an entry is what the schema says of its kind."""
    try:
        _check(entry)
    except ValidationError:
        return False
    return True
