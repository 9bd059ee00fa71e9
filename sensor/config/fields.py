"""What a value of the configuration may be: each kind of field parses what YAML gave, or says what is wrong with it."""

from __future__ import annotations

import ipaddress
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sensor.config.files import TrustFile, parse_trust_file
from sensor.model import SEVERITIES, Severity
from sensor.policy.catalogue import CATALOGUE
from sensor.policy.suites import is_weak
from sensor.policy.tls_suites import WEAK_CIPHERS

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

Location = tuple[str | int, ...]

MAX_NAME = 64
MAX_TEXT = 200
MAX_PORT = 0xFFFF
MAX_HEADER = 32  # octets of a SIP header's name
MAX_SECONDS = 86_400
MAX_IDLE_SECONDS = 500  # the reach of the engine's expiry wheel
_TOKEN = frozenset(string.ascii_letters + string.digits + "-.!%*_+`'~")  # RFC 3261 section 25.1


class FaultsError(ValueError):
    """Faults between values that are each right by themselves, with their places below the value that raises."""

    def __init__(self, faults: list[tuple[Location, str]]) -> None:
        super().__init__("; ".join(message for _, message in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Parsed:
    """Field metadata: the value in the file is what ``parse`` makes of it; ValueError says what is wrong with it."""

    parse: Callable[[object], object]
    json: Mapping[str, object] = field(default_factory=dict, compare=False)  # JSON Schema, for editors

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to use ``parse`` and nothing else."""
        from pydantic_core import core_schema  # noqa: PLC0415  (the validator is loaded with a file only)

        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: object) -> dict[str, object]:
        """Return what an editor is told."""
        return dict(self.json)


@dataclass(frozen=True, slots=True)
class Tagged:
    """Field metadata: which of several sections a mapping is, its key ``tag`` says."""

    tag: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to look at the tag first, so that faults are about the section that is meant."""
        from pydantic import Field  # noqa: PLC0415  (the validator is loaded with a file only)

        return handler.generate_schema(Annotated[source, Field(discriminator=self.tag)])


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' where a known word is close, else nothing."""
    close = get_close_matches(word, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """Return an address range."""
    if not isinstance(value, str):
        raise ValueError("must be an address range as text, such as 10.20.0.0/16")  # noqa: TRY004  (pydantic reports ValueError, not TypeError)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        msg = f'"{value}" has bits set beyond its prefix; write {ipaddress.ip_network(value, strict=False)}'
    except ValueError:
        msg = f'"{value}" is not an address range such as 10.20.0.0/16 or fd00:20::/32'
    raise ValueError(msg)


def _identifier(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"must be a name of 1 to {MAX_NAME} letters, digits, - and _")
    return value


def seconds_in(low: int, high: int = MAX_SECONDS) -> Parsed:
    """Return a field of seconds between two bounds, both included."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low} to {high}")
        return float(value)

    return Parsed(parse, {"type": "number", "minimum": low, "maximum": high})


def share() -> Parsed:
    """Return a field of a share, 0 to 1."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError("must be a share from 0 to 1")
        return float(value)

    return Parsed(parse, {"type": "number", "minimum": 0, "maximum": 1})


def whole_in(low: int, high: int) -> Parsed:
    """Return a field of whole numbers between two bounds, both included."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return Parsed(parse, {"type": "integer", "minimum": low, "maximum": high})


def power_of_two_in(low: int, high: int) -> Parsed:
    """Return a field of powers of two between two bounds, both included."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high or value & (value - 1):
            raise ValueError(f"must be a power of two from {low} to {high}")
        return value

    return Parsed(parse, {"type": "integer", "minimum": low, "maximum": high})


def _severities(value: object) -> dict[str, Severity]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of finding codes to severities")  # noqa: TRY004
    faults: list[tuple[Location, str]] = []
    for code, severity in value.items():
        if code not in CATALOGUE:
            faults.append(((code,), f"unknown finding code{suggestion(str(code), CATALOGUE)}"))
        elif severity not in SEVERITIES:
            faults.append(((code,), f"must be one of {', '.join(SEVERITIES)}"))
    if faults:
        raise FaultsError(faults)
    return value


def _weak_suite(value: object) -> str:
    if not isinstance(value, str) or not is_weak(value):
        raise ValueError("must be a weak suite by its registered name, such as AES_CM_128_HMAC_SHA1_32")
    return value


def _weak_cipher(value: object) -> str:
    if not isinstance(value, str) or value not in WEAK_CIPHERS:
        raise ValueError("must be a weak cipher suite by its registered name, such as TLS_RSA_WITH_AES_128_CBC_SHA")
    return value


def _server_names(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of addresses to the names of which a certificate must have one")  # noqa: TRY004
    faults: list[tuple[Location, str]] = []
    names: dict[str, tuple[str, ...]] = {}
    for address, wanted in value.items():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            faults.append(((address,), f'"{address}" is not an address'))
        if not isinstance(wanted, list) or not wanted or not all(isinstance(name, str) and name for name in wanted):
            faults.append(((address,), "must be a list of names"))
        else:
            names[address] = tuple(wanted)
    if faults:
        raise FaultsError(faults)
    return names


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(value))  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(f'"{value}" is not an address') from None


def _header(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_HEADER or not _TOKEN.issuperset(value):
        raise ValueError(f"must be the name of a SIP header of at most {MAX_HEADER} characters, such as X-Call-ID")
    return value.lower()


def parse_ends(value: object) -> IPv4Network | IPv6Network | str:
    """Return an address or a range as a range, anything else as the name of a segment."""
    if not isinstance(value, str):
        raise ValueError("must be an address, a range or the name of a segment")  # noqa: TRY004
    if value.replace("-", "").replace("_", "").isalnum() and not value.isdigit():
        return value
    return parse_network(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"must be a line of 1 to {MAX_TEXT} characters")
    return value


def _day(value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("must be a day, such as 2027-03-31")  # noqa: TRY004
    return value


_SEVERITIES_JSON = {
    "type": "object",
    "propertyNames": {"enum": list(CATALOGUE)},
    "additionalProperties": {"enum": list(SEVERITIES)},
}
_STRINGS_JSON = {"type": "array", "items": {"type": "string"}}

Name = Annotated[str, Parsed(_identifier, {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})]
Text = Annotated[str, Parsed(_text, {"type": "string", "maxLength": MAX_TEXT})]
Day = Annotated[date, Parsed(_day, {"type": "string", "format": "date"})]
Range = Annotated[IPv4Network | IPv6Network, Parsed(parse_network, {"type": "string"})]
Ends = Annotated[IPv4Network | IPv6Network | str, Parsed(parse_ends, {"type": "string"})]
IpAddress = Annotated[str, Parsed(_address, {"type": "string"})]
Seconds = Annotated[float, seconds_in(1)]
IdleSeconds = Annotated[float, seconds_in(1, MAX_IDLE_SECONDS)]
TableSize = Annotated[int, whole_in(16, 1 << 24)]
Port = Annotated[int, whole_in(1, MAX_PORT)]
Severities = Annotated[Mapping[str, Severity], Parsed(_severities, _SEVERITIES_JSON)]
WeakSuite = Annotated[str, Parsed(_weak_suite, {"type": "string"})]
WeakCipher = Annotated[str, Parsed(_weak_cipher, {"enum": sorted(WEAK_CIPHERS)})]
ServerNames = Annotated[
    Mapping[str, tuple[str, ...]], Parsed(_server_names, {"type": "object", "additionalProperties": _STRINGS_JSON})
]
Trusted = Annotated[TrustFile, Parsed(parse_trust_file, {"type": "string"})]
Header = Annotated[str, Parsed(_header, {"type": "string", "maxLength": MAX_HEADER})]


class Section:
    """A mapping of the file; keys that it does not name are errors."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}
