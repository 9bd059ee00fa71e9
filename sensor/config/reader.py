"""YAML to plain values, with every fault of the file at once and at its place."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from sensor.config.fields import FaultsError, Location, suggestion
from sensor.config.files import read_file

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 1 << 20

_QUOTED = re.compile(r" '.*'| \".*\"")
_WORD = re.compile(r"[\w.@-]{1,64}")

_MESSAGES = {
    "dataclass_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


class ConfigError(Exception):
    """A file that cannot be used: ``lines`` holds one ``file:line:column: path: message`` per fault."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def read_bytes(path: str | Path) -> bytes:
    """Return what a file holds; ConfigError when it cannot be read or is too large."""
    try:
        raw, _ = read_file(path, MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError([f"{path}: is larger than {MAX_BYTES} bytes, too large for a configuration"])
    return raw


class Reader:
    """Turns YAML nodes to plain values, keeps where each stood, and collects what is wrong.

    ``sections`` gives, by the last name on the way to a value, whose keys it may have. Of a ``secret`` file nothing
    but plain names of keys is quoted, for anything else may be a password at the wrong place. ``tagged`` gives, by the
    name of a list, the kinds of section that its entries may be of, as their key ``type`` says.
    """

    def __init__(
        self,
        name: str,
        sections: Mapping[str, type[Any]],
        *,
        secret: bool = False,
        tagged: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.faults: list[tuple[int, int, str, str]] = []  # line, column, path, message
        self._name = name
        self._sections = sections
        self._secret = secret
        self._tagged = tagged or {}
        self._scalars = SafeConstructor()
        self._seen: set[int] = set()
        self._unread: set[Location] = set()  # said already; the validator sees a null there
        self._values: dict[Location, yaml.Mark] = {}
        self._keys: dict[Location, yaml.Mark] = {}

    def read(self, text: str | bytes) -> object:
        """Return the value that YAML text holds, None for an empty one; ConfigError when it is no YAML."""
        try:
            root = yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            problem = self._quotable(error.problem or error.context or "")
            raise ConfigError([f"{self._name}:{line}:{column}: not YAML: {problem}"]) from None
        except yaml.YAMLError as error:
            problem = self._quotable(str(error).splitlines()[0])
            raise ConfigError([f"{self._name}:1:1: not YAML: {problem}"]) from None
        except RecursionError:
            raise ConfigError([f"{self._name}:1:1: not a configuration: nested too deeply"]) from None
        return self._value(root, ()) if root else None

    def refused(self, details: ErrorDetails) -> None:
        """Take one error of the validator."""
        way, kind, context = details["loc"], details["type"], details.get("ctx", {})
        kinds = list(self._tagged.get(str(way[0]), ())) if way else []
        at = (*way[:2], *way[3:]) if kinds else way  # the validator puts an entry's kind into the way to its values
        if at in self._unread and kind != "unexpected_keyword_argument":
            return
        if kind == "value_error" and isinstance(context["error"], FaultsError):
            for below, message in context["error"].faults:
                self._fault(self._mark((*at, *below)), (*at, *below), message)
        elif kind == "unexpected_keyword_argument":
            section = self._sections[next((part for part in reversed(way[:-1]) if isinstance(part, str)), "")]
            known = [field.name for field in dataclasses.fields(section)]
            self._fault(self._keys[at], at, f"unknown key{suggestion(str(at[-1]), known)}")
        else:
            at, message = _said(details, at, kinds)
            self._fault(self._mark(at), at, message)

    def lines(self) -> list[str]:
        """Return the faults in the order of the file."""
        in_order = sorted(self.faults, key=lambda fault: fault[:3])
        return [f"{self._name}:{line}:{column}: {path}: {what}" for line, column, path, what in in_order]

    def _value(self, node: yaml.Node, at: Location) -> object:
        """Return a node's value; what cannot be taken is a fault and gives None."""
        self._values[at] = node.start_mark
        # An alias is the same node again. Without them a file is as large as it looks, and ends.
        if id(node) in self._seen:
            self._fault(node.start_mark, at, "an alias cannot be used here; write the value out")
            self._unread.add(at)
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, i)) for i, item in enumerate(node.value)]
        try:
            return cast("object", self._scalars.construct_object(node))
        except (ConstructorError, ValueError, LookupError, TypeError, AttributeError) as error:
            problem = str(error.problem) if isinstance(error, ConstructorError) else str(error)
            self._fault(node.start_mark, at, f"cannot be read: {self._quotable(problem)}")
            self._unread.add(at)
            return None

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag != "tag:yaml.org,2002:str":
                which = "every key" if self._secret else f"the key {key}"
                self._fault(key_node.start_mark, at, f"{which} must be text; put it in quotes")
                continue
            here = (*at, key)
            if key in values:
                first = self._keys[here].line + 1
                self._fault(key_node.start_mark, here, f"is set twice, first in line {first}")
                continue
            self._keys[here] = key_node.start_mark
            values[key] = self._value(value_node, here)
        return values

    def _mark(self, at: Location) -> yaml.Mark:
        """Return where a value stands, or the nearest that holds it."""
        while at not in self._values and at:
            at = at[:-1]
        return self._values[at]

    def _quotable(self, problem: str) -> str:
        return _QUOTED.sub("", problem) if self._secret else problem

    def _fault(self, mark: yaml.Mark, at: Location, message: str) -> None:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{self._key(part)}" for part in at).lstrip(".")
        self.faults.append((mark.line + 1, mark.column + 1, path or "configuration", message))

    def _key(self, key: str) -> str:
        return "…" if self._secret and not _WORD.fullmatch(key) else key


def _said(details: ErrorDetails, at: Location, kinds: list[str]) -> tuple[Location, str]:
    """Return the place and the words of an error; ``kinds`` are those that a tagged section may be of."""
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            message = str(context["error"])
        case "union_tag_not_found":
            message = f"needs a type: {', '.join(kinds)}"
        case "union_tag_invalid":
            at = (*at, "type")
            message = f"must be one of {', '.join(kinds)}{suggestion(str(context['tag']), kinds)}"
        case "missing" if isinstance(at[-1], str):
            message = "is required and missing"
        case "missing" | "too_long" as kind:
            at = at[:-1] if kind == "missing" else at
            message = "must name two segments"
        case "literal_error":
            # YAML reads 1.2 as a number, and what is asked for is the text.
            quotes = ", in quotes" if type(details["input"]) in (int, float) else ""
            message = f"must be {context['expected'].replace(chr(39), '')}{quotes}"
        case kind:
            message = _MESSAGES.get(kind, details["msg"])
    return at, message
