"""The papers' experiments, each by one command, at a size that the machine can bear or at full size."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
