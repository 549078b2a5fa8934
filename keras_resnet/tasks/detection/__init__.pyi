"""Public names, each with its home; `__init__.py` imports them on first use."""

from .agreement import agreement as agreement
from .agreement import counted as counted
from .agreement import shares as shares
from .answers import Boxes as Boxes
from .answers import boxes_of as boxes_of
from .boxes import clipped as clipped
from .boxes import decoded as decoded
from .boxes import encoded as encoded
from .boxes import overlaps as overlaps
from .forms import as_form as as_form
from .forms import found as found
from .forms import restored as restored
from .graphs import formed as formed
from .limits import LIMITS as LIMITS
from .priors import prior_boxes as prior_boxes
from .settings import ONE_SIZE as ONE_SIZE
from .settings import Facts as Facts
from .settings import Settings as Settings
from .settings import backbone as backbone
from .settings import facts as facts
from .settings import head_of as head_of
from .settings import outputs as outputs
from .suppression import suppressed as suppressed
