"""Files for phones, microcontrollers and servers from Keras image models, each proven to compute the same thing."""

import lazy_loader

from keras_resnet import moved

# `verify` is a command; its function for files is `export.making.pipeline.verify`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
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
