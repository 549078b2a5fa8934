"""`python -m export.saved_model`: one SavedModel folder."""

import sys

from export.cli import main_of_format

if __name__ == "__main__":
    sys.exit(main_of_format("saved_model"))
