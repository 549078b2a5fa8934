"""Residual networks in Keras, from the paper to the phone.

Names are imported on first use: `--help` of a command answers without TensorFlow, and `import keras_resnet` costs
nothing until something is built.
"""

import difflib

import lazy_loader

from keras_resnet import moved

__version__ = "0.1.0"

_getattr, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """The public name; an unknown one is answered with the nearest ones."""
    try:
        return _getattr(name)
    except AttributeError as error:
        if name.startswith("_"):
            raise
        near = difflib.get_close_matches(name, __all__, n=2, cutoff=0.6)
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        raise AttributeError(f"{error}{hint}") from None


moved.register(
    {
        "keras_resnet.evaluation.answers": "keras_resnet.evaluation.prediction",
        "keras_resnet.evaluation.calibration": "keras_resnet.tasks.classification.reliability",
        "keras_resnet.evaluation.ensembles": "keras_resnet.tasks.classification.ensembles",
        "keras_resnet.evaluation.report": "keras_resnet.evaluation.pages",
        "keras_resnet.training.report": "keras_resnet.training.comparison",
        "keras_resnet.training.teaching": "keras_resnet.training.distillation",
        "keras_resnet.explain.covering": "keras_resnet.explain.occlusions",
        "keras_resnet.specs": "keras_resnet.nets.specs",
        "keras_resnet.options": "keras_resnet.nets.options",
        "keras_resnet.blocks": "keras_resnet.nets.blocks",
        "keras_resnet.training.fused": "keras_resnet.nets.fused",
        "keras_resnet.compression.layers": "keras_resnet.nets.compressed",
        "keras_resnet.preprocessing": "keras_resnet.signals.conventions",
        "keras_resnet.data.images": "keras_resnet.signals.image",
        "keras_resnet.data.crops": "keras_resnet.signals.crops",
        "keras_resnet.engines": "keras_resnet.runtime",
        "keras_resnet.runners": "keras_resnet.runtime.opening",
        "keras_resnet.outside": "keras_resnet.runtime.outside",
    },
    names={
        "keras_resnet.evaluation.answers": {"label": "keras_resnet.tasks.classification.predictions"},
        "keras_resnet.specs": {
            "BLOCKS": "keras_resnet.nets.interface",
            "CONVENTIONS": "keras_resnet.nets.conventions",
            "HE2015": "keras_resnet.nets.interface",
            "SHORTCUTS": "keras_resnet.nets.interface",
            "STEMS": "keras_resnet.nets.interface",
            "BlockSpec": "keras_resnet.nets.interface",
            "Convention": "keras_resnet.nets.conventions",
            "StemSpec": "keras_resnet.nets.interface",
        },
        "keras_resnet.preprocessing": {"decode_predictions": "keras_resnet.tasks.classification.imagenet"},
    },
)
