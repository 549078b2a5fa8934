"""Residual networks in Keras, from the paper to the phone.

Names are imported on first use: `--help` of a command answers without TensorFlow, and `import keras_resnet` costs
nothing until something is built.
"""

from keras_resnet import moved
from keras_resnet.lazy import attach

__version__ = "0.1.0"

_HOMES = {
    "GateError": "errors",
    "InputError": "errors",
    "LoadReport": "weights",
    "ModelCard": "card",
    "PREPROCESS": "signals.conventions",
    "Preprocess": "signals.conventions",
    "RECIPES": "training",
    "Recipe": "training",
    "ResNet101": "applications",
    "ResNet101V2": "applications",
    "ResNet152": "applications",
    "ResNet152V2": "applications",
    "ResNet18": "applications",
    "ResNet34": "applications",
    "ResNet50": "applications",
    "ResNet50V2": "applications",
    "ResNetSpec": "nets.specs",
    "WeightSet": "weights",
    "build": "builder",
    "decode_predictions": "signals.conventions",
    "evaluate": "evaluation",
    "export_weights": "weights",
    "list_models": "nets.specs",
    "list_weights": "weights",
    "load_dataset": "data",
    "load_model": "saving",
    "load_weights": "weights",
    "model_info": "builder",
    "open_runner": "runtime.opening",
    "predict": "evaluation",
    "preprocess_input": "signals.conventions",
    "save_model": "saving",
    "save_weights": "weights",
    "stage_taps": "nets.graph",
    "train": "training",
    "weights_card": "weights",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
moved.register(
    {
        "keras_resnet.evaluation.answers": "keras_resnet.evaluation.prediction",
        "keras_resnet.evaluation.calibration": "keras_resnet.tasks.classification.reliability",
        "keras_resnet.evaluation.ensembles": "keras_resnet.tasks.classification.ensembles",
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
    }
)
