"""``legwatch check-config``: all that is wrong with a file, or what it comes to."""

from __future__ import annotations

import sys
from argparse import Namespace

from sensor.commands import configuration
from sensor.config.load import to_yaml


def execute(args: Namespace) -> int:
    """Print the configuration, defaults included; what is wrong with it is an OperatorError."""
    sys.stdout.write(to_yaml(configuration(args.file)))
    return 0
