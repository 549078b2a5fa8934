"""Public names, each with its home; `__init__.py` imports them on first use."""

from .files import save_weights as save_weights
from .loading import load_weights as load_weights
from .loading import weights_card as weights_card
from .matching import LoadReport as LoadReport
from .published import PUBLISHED as PUBLISHED
from .published import Published as Published
from .published import list_models as list_models
from .pytorch import export_weights as export_weights
from .registry import WEIGHT_SETS as WEIGHT_SETS
from .registry import WeightSet as WeightSet
from .registry import list_weights as list_weights
