"""How much an exported localization may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

# Agreement is the mean overlap of both boxes, 0 where the classes differ; a drop is points of the localized share.
LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.999, drop=0.1, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.98, drop=0.5, reason="weights rounded to 11 bits"),
    "dynamic_int8": Limits(agreement=0.90, drop=1.0, reason="weights in 8 bits, activations with a range per image"),
    "int8": Limits(agreement=0.90, drop=1.0, reason="sides in steps of a 256th of the input, and the layers before"),
    "int16x8": Limits(agreement=0.92, drop=1.0, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=0.75, drop=4.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=0.92, drop=1.0, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=0.75, drop=4.0, reason="small nets may not hold it"),
}
