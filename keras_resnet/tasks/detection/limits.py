"""How much an exported detector may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

# Agreement is the share of objects that are found again in the same place, and a drop is points of AP.
LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.995, drop=0.1, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.97, drop=0.2, reason="weights rounded to 11 bits"),
    "dynamic_int8": Limits(agreement=0.85, drop=0.5, reason="weights in 8 bits, activations with a range per image"),
    "int8": Limits(agreement=0.80, drop=0.5, reason="scores near the threshold come and go, edges move"),
    "int16x8": Limits(agreement=0.85, drop=0.5, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=0.60, drop=3.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=0.85, drop=0.5, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=0.60, drop=3.0, reason="small nets may not hold it"),
}
