"""How much an exported multi-label classifier may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

# Agreement is the share of tags, of all examples, that file and model both see or both do not see.
LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.999, drop=0.1, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.995, drop=0.3, reason="weights rounded to 11 bits"),
    "dynamic_int8": Limits(agreement=0.97, drop=1.0, reason="tags near their threshold may change sides"),
    "int8": Limits(agreement=0.97, drop=1.0, reason="probabilities in steps of 1/256, which ties some in their order"),
    "int16x8": Limits(agreement=0.98, drop=1.0, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=0.9, drop=5.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=0.98, drop=1.0, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=0.9, drop=5.0, reason="nets as small as ResNet-8 may not hold it"),
}
