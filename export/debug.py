"""`python -m export.debug`: error per layer, and layers in float."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("debug"))
