"""`python -m export.saved_model`: one SavedModel folder."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("export saved_model"))
