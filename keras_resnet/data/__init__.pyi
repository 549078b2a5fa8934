"""Public names, each with its home; `__init__.py` imports them on first use."""

from .dataset import Dataset as Dataset
from .dataset import Split as Split
from .dataset import joined as joined
from .dataset import sampled as sampled
from .pipeline import batches as batches
from .pipeline import training_batches as training_batches
from .preparation import prepare as prepare
from .sources import SOURCES as SOURCES
from .sources import Source as Source
from .sources import load_dataset as load_dataset
