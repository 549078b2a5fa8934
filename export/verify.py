"""`python -m export.verify`: check an existing file again."""

import sys

from export.cli import main_of_verify

if __name__ == "__main__":
    sys.exit(main_of_verify())
