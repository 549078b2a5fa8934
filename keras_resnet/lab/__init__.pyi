"""Public names, each with its home; `__init__.py` imports them on first use."""

from .experiments import EXPERIMENTS as EXPERIMENTS
from .experiments import Experiment as Experiment
from .experiments import run as run
from .setup import Setup as Setup
