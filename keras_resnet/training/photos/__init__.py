"""The recipe `photos`: what a person with a folder of photos should not have to decide."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
