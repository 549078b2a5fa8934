"""`python -m export`."""

import sys

from export.commands.many_files import main

sys.exit(main())
