"""How much an exported detector may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

_REPORTED = 0.0  # of 8 bits the share is reported, at an IoU of 0.75 too, and the drop decides

# Agreement is the share of objects that are found again, and a drop is points of AP.
LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.995, drop=0.1, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.97, drop=0.2, reason="weights rounded to 11 bits; scores near each other change places"),
    "dynamic_int8": Limits(agreement=_REPORTED, drop=0.5, reason="weights in 8 bits, activations with a range per image"),
    "int8": Limits(agreement=_REPORTED, drop=0.5, reason="sides in steps of a 256th of the longest one of their map"),
    "int16x8": Limits(agreement=_REPORTED, drop=0.4, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=_REPORTED, drop=3.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=_REPORTED, drop=0.4, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=_REPORTED, drop=3.0, reason="small nets may not hold it"),
}
