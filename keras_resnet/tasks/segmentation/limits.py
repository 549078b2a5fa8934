"""How much an exported segmentation may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

# Agreement is the share of pixels with the same class, and a drop is points of the mean IoU.
LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.999, drop=0.05, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.995, drop=0.2, reason="weights rounded to 11 bits"),
    "dynamic_int8": Limits(agreement=0.98, drop=0.5, reason="weights in 8 bits, activations with a range per image"),
    "int8": Limits(agreement=0.98, drop=0.5, reason="scores in steps of a 256th of their range, edges may move"),
    "int16x8": Limits(agreement=0.985, drop=0.4, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=0.93, drop=3.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=0.985, drop=0.4, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=0.93, drop=3.0, reason="small nets may not hold it"),
}
