"""YAML to a ``Config``, with every fault of the file at once and at its place; and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from pydantic import TypeAdapter, ValidationError
from yaml.constructor import ConstructorError, SafeConstructor

from sensor.config.fields import FaultsError, Location, suggestion
from sensor.config.files import Secret, TrustFile
from sensor.config.schema import (
    Address,
    Capture,
    ClearBeforeKey,
    Config,
    Limits,
    Metrics,
    Pair,
    Policy,
    Privacy,
    Registration,
    Segment,
    Tls,
)
from sensor.config.sinks import KINDS, Endpoint

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 1 << 20


class ConfigError(Exception):
    """A file that cannot be used: ``lines`` holds one ``file:line:column: path: message`` per fault."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load_config(path: str | Path) -> Config:
    """Return the configuration in a file; ConfigError with all that is wrong with it. An empty file is all defaults."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError([f"{path}: is larger than {MAX_BYTES} bytes, too large for a configuration"])
    return parse_config(raw, str(path))


def parse_config(text: str | bytes, name: str) -> Config:
    """Return the configuration that YAML text holds; ``name`` stands for the file in the faults."""
    reader = _Reader(name)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError([f"{name}:{line}:{column}: not YAML: {error.problem or error.context}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{name}:1:1: not YAML: {str(error).splitlines()[0]}"]) from None
    except RecursionError:
        raise ConfigError([f"{name}:1:1: not a configuration: nested too deeply"]) from None
    value = reader.value(root, ()) if root else None
    if isinstance(value, dict):
        # a section whose keys are all commented out is a null to YAML
        value = {key: _EMPTY.get(key) if entry is None else entry for key, entry in value.items()}
    config = Config()
    try:
        config = TypeAdapter(Config).validate_python({} if value is None else value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            reader.refused(details)
    if reader.faults:
        raise ConfigError(reader.lines())
    return config


def to_yaml(config: Config) -> str:
    """Return the whole configuration, defaults included, as a file that loads to the same configuration."""
    return yaml.safe_dump(_plain(config), sort_keys=False, width=120, allow_unicode=True)


# by the last name on the way to a value: whose keys it may have
_SECTIONS: dict[str, type[Any]] = {
    "": Config,
    "policy": Policy,
    "segments": Segment,
    "pairs": Pair,
    "clear_before_key": ClearBeforeKey,
    "tls": Tls,
    "registration": Registration,
    "capture": Capture,
    "limits": Limits,
    "metrics": Metrics,
    "privacy": Privacy,
    **KINDS,  # the validator puts the kind of a sink into the way to its values
}
_EMPTY: dict[str, Any] = {name: {} for name in _SECTIONS} | {"sinks": []}

_MESSAGES = {
    "dataclass_type": "must be a mapping",
    "tuple_type": "must be a list",
    "union_tag_not_found": f"needs a type: {', '.join(KINDS)}",
    "model_attributes_type": "must be a mapping",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


class _Reader:
    """Turns YAML nodes to plain values, keeps where each stood, and collects what is wrong."""

    def __init__(self, name: str) -> None:
        self.faults: list[tuple[int, int, str, str]] = []  # line, column, path, message
        self._name = name
        self._scalars = SafeConstructor()
        self._seen: set[int] = set()
        self._unread: set[Location] = set()  # said already; the validator sees a null there
        self._values: dict[Location, yaml.Mark] = {}
        self._keys: dict[Location, yaml.Mark] = {}

    def value(self, node: yaml.Node, at: Location) -> object:
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
            return [self.value(item, (*at, i)) for i, item in enumerate(node.value)]
        try:
            return cast("object", self._scalars.construct_object(node))
        except (ConstructorError, ValueError) as error:
            problem = error.problem if isinstance(error, ConstructorError) else str(error)
            self._fault(node.start_mark, at, f"cannot be read: {problem}")
            self._unread.add(at)
            return None

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag != "tag:yaml.org,2002:str":
                self._fault(key_node.start_mark, at, f"the key {key} must be text; put it in quotes")
                continue
            here = (*at, key)
            if key in values:
                first = self._keys[here].line + 1
                self._fault(key_node.start_mark, here, f"is set twice, first in line {first}")
                continue
            self._keys[here] = key_node.start_mark
            values[key] = self.value(value_node, here)
        return values

    def refused(self, details: ErrorDetails) -> None:
        """Take one error of the validator."""
        way, kind, context = details["loc"], details["type"], details.get("ctx", {})
        at = (*way[:2], *way[3:]) if way[:1] == ("sinks",) else way
        if at in self._unread and kind != "unexpected_keyword_argument":
            return
        match kind:
            case "value_error" if isinstance(context["error"], FaultsError):
                for below, message in context["error"].faults:
                    self._fault(self._mark((*at, *below)), (*at, *below), message)
                return
            case "value_error":
                message = str(context["error"])
            case "unexpected_keyword_argument":
                section = _SECTIONS[next((part for part in reversed(way[:-1]) if isinstance(part, str)), "")]
                known = [field.name for field in dataclasses.fields(section)]
                message = f"unknown key{suggestion(str(at[-1]), known)}"
                self._fault(self._keys[at], at, message)
                return
            case "union_tag_invalid":
                at = (*at, "type")
                message = f"must be one of {', '.join(KINDS)}{suggestion(str(context['tag']), KINDS)}"
            case "missing" if isinstance(at[-1], str):
                message = "is required and missing"
            case "missing" | "too_long":
                at = at if kind == "too_long" else at[:-1]
                message = "must name two segments"
            case "literal_error":
                message = f"must be {context['expected'].replace(chr(39), '')}"
            case _:
                message = _MESSAGES.get(kind, details["msg"])
        self._fault(self._mark(at), at, message)

    def lines(self) -> list[str]:
        """Return the faults in the order of the file."""
        return [f"{self._name}:{line}:{column}: {path}: {what}" for line, column, path, what in sorted(self.faults)]

    def _mark(self, at: Location) -> yaml.Mark:
        """Return where a value stands, or the nearest that holds it."""
        while at not in self._values and at:
            at = at[:-1]
        return self._values[at]

    def _fault(self, mark: yaml.Mark, at: Location, message: str) -> None:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
        self.faults.append((mark.line + 1, mark.column + 1, path or "configuration", message))


def _plain(value: object) -> object:
    """Return a configuration value as YAML writes it."""
    if isinstance(value, Address | Endpoint | IPv4Network | IPv6Network | Secret | TrustFile):
        return str(value)
    if dataclasses.is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: _plain(entry) for name, entry in named if entry is not None}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
