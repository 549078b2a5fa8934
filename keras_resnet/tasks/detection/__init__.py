"""Detection: boxes, their classes and scores, from the raw outputs of a net."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
