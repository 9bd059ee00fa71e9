"""What a document is made of. HTML and PDF each draw these and nothing else; all of it is plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a section; level 1 is that of a chapter."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    width: int = 1  # in parts of the page's width
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; a cell may have several lines. ``left_out`` rows are in the attached JSON only."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture (SVG), what it shows in words, and the line below it."""

    svg: str
    alternative: str
    caption: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Callout:
    """What must not be overlooked."""

    title: str
    text: str
    tone: Literal["note", "warning"] = "note"


@dataclass(frozen=True, slots=True)
class Code:
    """Text that is copied as it is: a command, a checkpoint."""

    text: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """Key figures, each with what it counts."""

    pairs: tuple[tuple[str, str], ...]


Block = Heading | Paragraph | Table | Figure | Items | Callout | Code | Numbers


@dataclass(frozen=True, slots=True)
class Document:
    """A report as people read it."""

    title: str
    site: str
    period: str
    lead: tuple[tuple[str, str], ...]  # what it is about, on the first page
    blocks: tuple[Block, ...]
    made_at: int  # milliseconds since 1970: the end of what it is about, never the time of its making
