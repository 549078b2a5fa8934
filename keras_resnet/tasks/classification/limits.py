"""How much an exported classifier may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.999, drop=0.1, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.995, drop=0.3, reason="weights rounded to 11 bits"),
    "dynamic_int8": Limits(agreement=0.97, drop=1.0, reason="single uncertain images may move"),
    "int8": Limits(agreement=0.97, drop=1.0, reason="judged by agreement and accuracy, not by one image"),
    "int16x8": Limits(agreement=0.98, drop=1.0, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=0.9, drop=5.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=0.98, drop=1.0, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=0.9, drop=5.0, reason="nets as small as ResNet-8 may not hold it"),
}
