"""``legwatch check-config``: all that is wrong with a file, or what it comes to."""

from __future__ import annotations

import sys
from argparse import Namespace

from sensor.capture import CaptureError, live_filter
from sensor.commands import OperatorError, configuration
from sensor.config.load import to_yaml


def execute(args: Namespace) -> int:
    """Print the configuration, defaults included; what is wrong with it is an OperatorError."""
    config = configuration(args.file)
    try:
        live_filter(config.capture.filter)
    except CaptureError as error:
        raise OperatorError(f"{args.file}: capture.filter: {error}") from None
    sys.stdout.write(to_yaml(config))
    return 0
