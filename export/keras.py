"""`python -m export.keras`: one `.keras` file."""

import sys

from export.cli import main_of_format

if __name__ == "__main__":
    sys.exit(main_of_format("keras"))
