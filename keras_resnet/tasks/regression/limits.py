"""How much an exported regression may differ from its Keras model, by precision."""

from __future__ import annotations

from keras_resnet.tasks.interface import Limits

# Agreement is 1 - the mean difference from the model, and a drop is what the mean error gained: both in units of the
# training range, in which a tensor of 8 bits has steps of about 0.4 %.
LIMITS: dict[str, Limits] = {
    "float32": Limits(agreement=0.9999, drop=0.01, reason="the same arithmetic in another order"),
    "float16": Limits(agreement=0.998, drop=0.2, reason="weights rounded to 11 bits"),
    "dynamic_int8": Limits(agreement=0.98, drop=1.0, reason="weights in 8 bits, activations with a range per image"),
    "int8": Limits(
        agreement=0.98, drop=1.0, reason="the output in steps of a 256th of its range, and the layers before"
    ),
    "int16x8": Limits(agreement=0.985, drop=0.7, reason="weights in 8 bits, activations in 16"),
    "int8x4": Limits(agreement=0.93, drop=4.0, reason="a net holds it that was trained with weights of 4 bits"),
    "weight_only_int8": Limits(agreement=0.985, drop=0.7, reason="weights in 8 bits, activations in float32"),
    "weight_only_int4": Limits(agreement=0.93, drop=4.0, reason="nets as small as ResNet-8 may not hold it"),
}
