"""`python -m export.compress`: a smaller model out of a trained one."""

import sys

from export.commands.compress import main

if __name__ == "__main__":
    sys.exit(main())
