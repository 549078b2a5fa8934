"""Data sources and what becomes of them: splits, truth, batches.

The names are imported on first use: sources and splits need no TensorFlow, batches do.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
