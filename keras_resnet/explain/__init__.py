"""A look inside a net: where an answer comes from, what its filters and features look like, how it groups images."""

from keras_resnet.lazy import attach

_HOMES = {
    "METHODS": "methods",
    "Net": "net",
    "cam": "maps",
    "explain": "methods",
    "grad_cam": "maps",
    "grad_cam_plus_plus": "maps",
    "integrated_gradients": "pixels",
    "occlusion": "occlusions",
    "overlay": "drawing",
    "pooled_features": "embeddings",
    "smoothgrad": "pixels",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
