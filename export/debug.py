"""`python -m export.debug`: error per layer, and layers in float."""

import sys

from export.cli import main_of_debug

if __name__ == "__main__":
    sys.exit(main_of_debug())
