"""`python -m export.verify`: check an existing file again."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("verify"))
