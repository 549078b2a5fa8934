"""Detection: boxes, their classes and scores, from the raw outputs of a net. Not a task yet: no data, no training."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
