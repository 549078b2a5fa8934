"""Files for phones, microcontrollers and servers from Keras image models, each proven to compute the same thing."""

from keras_resnet.lazy import attach

# `verify` is a command; its function for files is `export.making.pipeline.verify`.
_HOMES = {
    "FORMATS": "formats.table",
    "TARGETS": "targets.table",
    "Report": "proof.report",
    "Source": "model.source",
    "all_artifacts": "formats.table",
    "artifact": "formats.table",
    "auto_float": "making.autofloat",
    "export": "making.pipeline",
    "layer_errors": "proof.layer_errors",
    "load_source": "model.source",
    "make_bundle": "targets.making",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
