"""Weight sets: the registry of names, and reading and writing of weight files.

Our own files are safetensors keyed by layer name (`conv1_conv/kernel`), because Keras 3's `.weights.h5` is keyed by
class and index and shifts when a layer is inserted. Pickles are never opened.
"""

from keras_resnet.weights.files import save_weights
from keras_resnet.weights.loading import load_weights, weights_card
from keras_resnet.weights.matching import LoadReport
from keras_resnet.weights.pytorch import export_weights
from keras_resnet.weights.registry import WEIGHT_SETS, WeightSet, list_weights

__all__ = [
    "WEIGHT_SETS",
    "LoadReport",
    "WeightSet",
    "export_weights",
    "list_weights",
    "load_weights",
    "save_weights",
    "weights_card",
]
