"""Weight sets: the registry of names, and reading and writing of weight files.

Our own files are safetensors keyed by layer name (`conv1_conv/kernel`), because Keras 3's `.weights.h5` is keyed by
class and index and shifts when a layer is inserted. Pickles are never opened.
"""

from keras_resnet.lazy import attach

_HOMES = {
    "LoadReport": "matching",
    "WEIGHT_SETS": "registry",
    "WeightSet": "registry",
    "export_weights": "pytorch",
    "list_weights": "registry",
    "load_weights": "loading",
    "save_weights": "files",
    "weights_card": "loading",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
