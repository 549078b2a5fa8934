"""`python -m export.compress`: a smaller model out of a trained one."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("compress"))
