"""Public names, each with its home; `__init__.py` imports them on first use."""

from .answers import Boxes as Boxes
from .answers import decode as decode
from .boxes import clipped as clipped
from .boxes import decoded as decoded
from .boxes import encoded as encoded
from .boxes import overlaps as overlaps
from .priors import prior_boxes as prior_boxes
from .suppression import suppressed as suppressed
