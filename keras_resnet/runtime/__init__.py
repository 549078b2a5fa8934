"""What runs model files: an interface, a file per kind of runtime, and how files are opened."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
