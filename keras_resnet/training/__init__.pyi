"""Public names, each with its home; `__init__.py` imports them on first use."""

from .entry import train as train
from .recipes import RECIPES as RECIPES
from .recipes import Recipe as Recipe
from .recipes import get_recipe as get_recipe
from .recipes import override as override
from .result import Result as Result
from .transfer import finetune_recipe as finetune_recipe
