"""`python -m export.fit`: what a file takes of a microcontroller."""

import sys

from export.cli import main_of_fit

if __name__ == "__main__":
    sys.exit(main_of_fit())
