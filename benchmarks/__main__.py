"""``python -m benchmarks``: the table of what legwatch promises."""

import sys

from benchmarks.table import main

sys.exit(main())
