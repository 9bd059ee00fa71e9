"""The commands of ``legwatch``; each module has one ``execute(args) -> int``, the exit status."""

from __future__ import annotations

from dataclasses import replace

from fastpath import __version__
from sensor.config.schema import Config

__all__ = ["OperatorError", "__version__", "configuration", "configuration_read"]


class OperatorError(Exception):
    """Something that the operator can put right: the text says what to do. The command ends with status 2."""


def configuration(path: str | None, *, reveal: bool = False) -> Config:
    """Return the configuration of a file, all defaults without one; OperatorError with all that is wrong with it."""
    return configuration_read(path, reveal=reveal)[0]


def configuration_read(path: str | None, *, reveal: bool = False) -> tuple[Config, str | None]:
    """Return the configuration as ``configuration`` does, and the SHA-256 of the file, None without one."""
    config, digest = (Config(), None) if path is None else _load(path)
    return replace(config, privacy=replace(config.privacy, identities="reveal")) if reveal else config, digest


def _load(path: str) -> tuple[Config, str]:
    from sensor.config.load import ConfigError, load_config  # noqa: PLC0415  (the validator is slow to load)

    try:
        return load_config(path)
    except ConfigError as error:
        raise OperatorError(str(error)) from None
