"""`python -m export.keras`: one `.keras` file."""

import sys

from export.commands.one_file import main

if __name__ == "__main__":
    sys.exit(main("keras"))
