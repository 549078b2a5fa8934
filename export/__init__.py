"""Files for phones, microcontrollers and servers from Keras image models, each proven to compute the same thing."""

import lazy_loader

from keras_resnet import moved

# `verify` is a command; its function for files is `export.making.pipeline.verify`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
moved.register(
    {
        "export.autofloat": "export.making.autofloat",
        "export.calibration": "export.making.representative",
        "export.cli": "export.commands.many_files",
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
        "export.tfmot": "export.smaller.tfmot",
        "export.tfmot_child": "export.smaller.tfmot_child",
        "export.worker": "export.making.worker",
        "export.worker_child": "export.making.worker_child",
    },
    names={
        "export.cli": {
            name: "export.commands.options" for name in ("add_gate", "add_source", "open_source", "positive")
        },
        "export.graph": {"scales_otherwise": "keras_resnet.nets.fusion"},
    },
)
