"""``python -m sensor`` is ``legwatch``."""

import sys

from sensor.cli import main

if __name__ == "__main__":
    sys.exit(main())
