"""`python -m export.debug`: error per layer, and layers in float."""

import sys

from export.commands.debug import main

if __name__ == "__main__":
    sys.exit(main())
