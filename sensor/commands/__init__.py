"""The commands of ``legwatch``; each module has one ``execute(args) -> int``, the exit status."""

from __future__ import annotations

from dataclasses import replace

from fastpath import __version__
from sensor.config.schema import Config

__all__ = ["OperatorError", "__version__", "configuration"]


class OperatorError(Exception):
    """Something that the operator can put right: the text says what to do. The command ends with status 2."""


def configuration(path: str | None, *, reveal: bool = False) -> Config:
    """Return the configuration of a file, all defaults without one; OperatorError with all that is wrong with it."""
    config = Config() if path is None else _load(path)
    return replace(config, privacy=replace(config.privacy, identities="reveal")) if reveal else config


def _load(path: str) -> Config:
    from sensor.config.load import ConfigError, load_config  # noqa: PLC0415  (the validator is slow to load)

    try:
        return load_config(path)
    except ConfigError as error:
        raise OperatorError(str(error)) from None
