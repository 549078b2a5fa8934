"""`python -m export.verify`: check an existing file again."""

import sys

from export.commands.verify import main

if __name__ == "__main__":
    sys.exit(main())
