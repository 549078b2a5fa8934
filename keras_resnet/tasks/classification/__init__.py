"""Classification: everything that knows what a class is."""

from keras_resnet.lazy import attach as _attach

_HOMES = {
    "Facts": "settings",
    "LIMITS": "limits",
    "Settings": "settings",
    "agreement": "scores",
    "attach": "head",
    "decode": "predictions",
    "draw": "predictions",
    "encode": "targets",
    "facts": "settings",
    "objectives": "targets",
    "outputs": "settings",
    "scalar": "head",
    "scorer": "scores",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = _attach(__name__, _HOMES)
