"""`python -m export.fit`: what a file takes of a microcontroller."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("fit"))
