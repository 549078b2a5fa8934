"""`python -m export`."""

import sys

from export.program import alone

sys.exit(alone("export"))
