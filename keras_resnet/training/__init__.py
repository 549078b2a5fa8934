"""Training: recipes, optimization, the run directory, and the loop."""

from keras_resnet.lazy import attach

_HOMES = {
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "Result": "result",
    "finetune_recipe": "transfer",
    "get_recipe": "recipes",
    "override": "recipes",
    "train": "loop",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
