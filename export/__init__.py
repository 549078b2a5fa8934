"""Files for phones, microcontrollers and servers from Keras image models, each proven to compute the same thing."""

from keras_resnet import moved
from keras_resnet.lazy import attach

# `verify` is a command; its function for files is `export.making.pipeline.verify`.
_HOMES = {
    "FORMATS": "formats.table",
    "TARGETS": "targets.table",
    "Report": "proof.report",
    "Source": "model.source",
    "all_artifacts": "formats.artifacts",
    "artifact": "formats.artifacts",
    "auto_float": "making.autofloat",
    "export": "making.pipeline",
    "layer_errors": "proof.layer_errors",
    "load_source": "model.source",
    "make_bundle": "targets.making",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
moved.register(
    {
        "export.autofloat": "export.making.autofloat",
        "export.calibration": "export.making.representative",
        "export.compression": "export.smaller.compression",
        "export.engines": "export.smaller.trainers",
        "export.golden": "export.proof.golden",
        "export.graph": "export.model.graph",
        "export.litert": "export.formats.litert",
        "export.manifest": "export.making.manifest",
        "export.metadata": "export.making.metadata",
        "export.pipeline": "export.making.pipeline",
        "export.placing": "export.making.placement",
        "export.report": "export.proof.report",
        "export.source": "export.model.source",
        "export.worker": "export.making.worker",
    }
)
