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
    "check_weights": "ensembles",
    "encode": "targets",
    "facts": "settings",
    "gives_logits": "summary",
    "merge": "ensembles",
    "objectives": "targets",
    "outputs": "settings",
    "scalar": "head",
    "scorer": "scores",
    "sections": "pages",
    "summary": "summary",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = _attach(__name__, _HOMES)
