"""YAML to a ``Config``, with every fault of the file at once and at its place; and back."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from sensor.config.files import Secret, TrustFile
from sensor.config.network import (
    Agreement,
    Alerts,
    Attestation,
    Baseline,
    Host,
    ManagementPath,
    Pair,
    Segment,
    Vendor,
    Waiver,
)
from sensor.config.reader import MAX_BYTES, ConfigError, Reader, read_bytes
from sensor.config.schema import (
    Address,
    Capture,
    ClearBeforeKey,
    Config,
    Evidence,
    Ledger,
    Limits,
    Metrics,
    Policy,
    Privacy,
    Registration,
    State,
    Tls,
    WebConfigFile,
)
from sensor.config.sinks import KINDS, Endpoint

__all__ = ["MAX_BYTES", "ConfigError", "load_config", "parse_config", "to_yaml"]


def load_config(path: str | Path) -> tuple[Config, str]:
    """Return the configuration in a file, and the SHA-256 of the octets that it was read from.

    ConfigError with all that is wrong with it. An empty file is all defaults.
    """
    octets = read_bytes(path)
    return parse_config(octets, str(path)), hashlib.sha256(octets).hexdigest()


def parse_config(text: str | bytes, name: str) -> Config:
    """Return the configuration that YAML text holds; ``name`` stands for the file in the faults."""
    reader = Reader(name, _SECTIONS, tagged={"sinks": KINDS})
    value = reader.read(text)
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
    "hosts": Host,
    "management": ManagementPath,
    "vendors": Vendor,
    "baa": Agreement,
    "waivers": Waiver,
    "attestations": Attestation,
    "baseline": Baseline,
    "alerts": Alerts,
    "state": State,
    "evidence": Evidence,
    "ledger": Ledger,
    **KINDS,  # the validator puts the kind of a sink into the way to its values
}
_EMPTY: dict[str, Any] = {name: {} for name in _SECTIONS} | {"sinks": []}


def _plain(value: object) -> object:
    """Return a configuration value as YAML writes it."""
    if isinstance(value, Address | Endpoint | IPv4Network | IPv6Network | Secret | TrustFile | WebConfigFile):
        return str(value)
    if dataclasses.is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: _plain(entry) for name, entry in named if entry is not None}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of a configuration, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(Config).json_schema(),
        "title": "Configuration of legwatch",
    }
