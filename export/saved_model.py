"""`python -m export.saved_model`: one SavedModel folder."""

import sys

from export.commands.one_file import main

if __name__ == "__main__":
    sys.exit(main("saved_model"))
