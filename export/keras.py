"""`python -m export.keras`: one `.keras` file."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("export keras"))
