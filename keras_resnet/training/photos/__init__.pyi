"""Public names, each with its home; `__init__.py` imports them on first use."""

from .decisions import Decision as Decision
from .planning import plan as plan
