"""Weight sets: the registry of names, and reading and writing of weight files.

Our own files are safetensors keyed by layer name (`conv1_conv/kernel`), because Keras 3's `.weights.h5` is keyed by
class and index and shifts when a layer is inserted. Pickles are never opened.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
