"""Files for phones, microcontrollers and servers from Keras image models, each proven to compute the same thing."""

from keras_resnet.lazy import attach

# `verify` is the module; its function for files is `export.pipeline.verify`.
_HOMES = {
    "FORMATS": "formats",
    "TARGETS": "targets.table",
    "Report": "report",
    "Source": "source",
    "all_artifacts": "formats",
    "artifact": "formats",
    "auto_float": "autofloat",
    "export": "pipeline",
    "layer_errors": "debug",
    "load_source": "source",
    "make_bundle": "targets.making",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
