"""A look inside a net: where an answer comes from, what its filters and features look like, how it groups images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
