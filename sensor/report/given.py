"""What a report that is compared has to be: it may be from a file, which anybody may have edited.

It is what docs/schema/report.schema.json has, of the parts that are used.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sensor.model import Severity

Count = Annotated[int, Field(ge=0, lt=2**53)]
Time = Annotated[int, Field(ge=-62_135_596_800_000, le=253_402_300_799_999)]  # of the years 1 to 9999


def fault(report: object) -> str | None:
    """Return where a report is first not what it should be, and what should be there; None where it is."""
    try:
        _Report.model_validate(report)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return None


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Period(_Part):
    first: Time = Field(alias="from")
    to: Time

    @model_validator(mode="after")
    def _in_order(self) -> _Period:
        if self.first > self.to:
            raise ValueError("it ends before it begins")
        return self


class _Source(_Part):
    kind: Literal["ledger", "captures"]
    site: str


class _Seconds(_Part):
    seen: Count
    degraded: Count
    blind: Count
    not_running: Count = Field(alias="not-running")


class _Coverage(_Part):
    seconds: _Seconds
    share: Annotated[int, Field(ge=0, le=1000)]


class _States(_Part):
    encrypted: Count
    clear: Count
    undetermined: Count
    not_observed: Count = Field(alias="not-observed")


class _Row(_Part):
    name: str
    states: _States


class _Legs(_Part):
    total: Count
    states: _States
    signalling: _States
    by_segment: list[_Row]
    by_trunk: list[_Row]
    by_device: list[_Row]


class _Subject(_Part):
    a: str
    b: str
    name: str


class _Finding(_Part):
    code: str
    severity: Severity
    state: Literal["open", "resolved", "waived"]
    subject: _Subject
    waived_by: str | None


class _Endpoint(_Part):
    address: str
    name: str
    segment: str
    user_agent: str | None


class _Chain(_Part):
    sha256: str
    key: str
    trust: Literal["trusted", "untrusted", "unknown"]
    weak: list[str]
    not_after: Time


class _Server(_Part):
    address: str
    port: Count
    versions: list[str]
    chain: _Chain | None


class _Agreement(_Part):
    signed: str
    expires: str | None


class _Vendor(_Part):
    name: str
    role: str
    baa: _Agreement | None
    baa_required: bool


class _Ledger(_Part):
    verified: bool | None
    unfit: Count = 0  # older reports do not say it


class _Report(_Part):
    period: _Period
    source: _Source
    coverage: _Coverage
    legs: _Legs
    findings: list[_Finding]
    endpoints: list[_Endpoint]
    tls_servers: list[_Server]
    vendors: list[_Vendor]
    ledger: _Ledger | None
