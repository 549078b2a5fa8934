"""Public names, each with its home; `__init__.py` imports them on first use."""

from .answers import Boxes as Boxes
from .answers import boxes_of as boxes_of
from .boxes import clipped as clipped
from .boxes import decoded as decoded
from .boxes import encoded as encoded
from .boxes import overlaps as overlaps
from .head import attach as attach
from .head import encode as encode
from .head import objectives as objectives
from .limits import LIMITS as LIMITS
from .predictions import Detections as Detections
from .predictions import decode as decode
from .predictions import draw as draw
from .predictions import within as within
from .priors import prior_boxes as prior_boxes
from .scores import Scores as Scores
from .scores import scorer as scorer
from .settings import IN_PLACES as IN_PLACES
from .settings import ONE_SIZE as ONE_SIZE
from .settings import Facts as Facts
from .settings import Settings as Settings
from .settings import backbone as backbone
from .settings import facts as facts
from .settings import head_of as head_of
from .settings import outputs as outputs
from .suppression import suppressed as suppressed
