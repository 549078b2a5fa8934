"""Weight sets: the registry of names, and reading and writing of weight files.

Our own files are safetensors keyed by layer name (`conv1_conv/kernel`), because Keras 3's `.weights.h5` is keyed by
class and index and shifts when a layer is inserted. Pickles are never opened.
"""

from keras_resnet.weights.files import load, save_weights, weights_card
from keras_resnet.weights.registry import WEIGHT_SETS, WeightSet

__all__ = ["WEIGHT_SETS", "WeightSet", "load", "save_weights", "weights_card"]
