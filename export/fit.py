"""`python -m export.fit`: what a file takes of a microcontroller."""

import sys

from export.commands.fit import main

if __name__ == "__main__":
    sys.exit(main())
