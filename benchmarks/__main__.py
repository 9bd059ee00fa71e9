"""``python -m benchmarks``: the comparison with the floor, which is what ``make bench`` prints."""

import sys

from benchmarks.scan import main

sys.exit(main())
