"""Residual networks in Keras, from the paper to the phone.

Names are imported on first use: `--help` of a command answers without TensorFlow, and `import keras_resnet` costs
nothing until something is built.
"""

from keras_resnet.lazy import attach

__version__ = "0.1.0"

_HOMES = {
    "GateError": "errors",
    "InputError": "errors",
    "LoadReport": "weights",
    "ModelCard": "card",
    "PREPROCESS": "preprocessing",
    "Preprocess": "preprocessing",
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
    "ResNetSpec": "specs",
    "WeightSet": "weights",
    "build": "builder",
    "decode_predictions": "preprocessing",
    "evaluate": "evaluation",
    "export_weights": "weights",
    "list_models": "specs",
    "list_weights": "weights",
    "load_dataset": "data",
    "load_model": "saving",
    "load_weights": "weights",
    "model_info": "builder",
    "open_runner": "runners",
    "predict": "evaluation",
    "preprocess_input": "preprocessing",
    "save_model": "saving",
    "save_weights": "weights",
    "stage_taps": "builder",
    "train": "training",
    "weights_card": "weights",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
