"""Public names, each with its home; `__init__.py` imports them on first use."""

from .answers import Located as Located
from .answers import decode as decode
from .answers import draw as draw
from .answers import numbers as numbers
from .answers import within as within
from .head import attach as attach
from .head import encode as encode
from .head import objectives as objectives
from .limits import LIMITS as LIMITS
from .scores import Scores as Scores
from .scores import agreement as agreement
from .scores import scorer as scorer
from .settings import IN_PLACES as IN_PLACES
from .settings import ONE_SIZE as ONE_SIZE
from .settings import Facts as Facts
from .settings import Settings as Settings
from .settings import facts as facts
from .settings import outputs as outputs
