"""What every part of the configuration is declared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

Location = tuple[str | int, ...]

MAX_NAME = 64
MAX_SECONDS = 86_400


class FaultsError(ValueError):
    """Faults between values that are each right by themselves, with their places below the value that raises."""

    def __init__(self, faults: list[tuple[Location, str]]) -> None:
        super().__init__("; ".join(message for _, message in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Parsed:
    """Field metadata: the value in the file is what ``parse`` makes of it; ValueError says what is wrong with it."""

    parse: Callable[[object], object]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to use ``parse`` and nothing else."""
        from pydantic_core import core_schema  # noqa: PLC0415  (the validator is loaded with a file only)

        return core_schema.no_info_plain_validator_function(self.parse)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' where a known word is close, else nothing."""
    close = get_close_matches(word, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


@dataclass(frozen=True, slots=True)
class Tagged:
    """Field metadata: which of several sections a mapping is, its key ``tag`` says."""

    tag: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to look at the tag first, so that faults are about the section that is meant."""
        from pydantic import Field  # noqa: PLC0415  (the validator is loaded with a file only)

        return handler.generate_schema(Annotated[source, Field(discriminator=self.tag)])


def parse_name(value: object) -> str:
    """Return the name; ValueError when it is none."""
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"must be a name of 1 to {MAX_NAME} letters, digits, - and _")
    return value


def seconds(low: int, high: int = MAX_SECONDS) -> Parsed:
    """Return what reads a number of seconds within the limits."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low} to {high}")
        return float(value)

    return Parsed(parse)


def whole(low: int, high: int) -> Parsed:
    """Return what reads a whole number within the limits."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return Parsed(parse)


Name = Annotated[str, Parsed(parse_name)]


class Section:
    """A mapping of the file; keys that it does not name are errors."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}
