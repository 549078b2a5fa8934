"""How families of nets spell their primitives: the details that decide whether a weight file fits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Convention:
    """How a family spells its primitives: the details that decide whether a weight file fits.

    Attributes:
        conv_bias: which convolutions have biases: `"all"`, `"none"`, or those `"without_norm"` behind them.
        epsilon: added to the variance by batch normalisation.
        momentum: share of the old value in the moving statistics, Keras' sense (PyTorch's 0.1 is 0.9 here).
        padding: `"symmetric"` pads strided 3x3 convolutions alike on both sides, as PyTorch and Caffe do; Keras'
            `"same"` pads one pixel more at the end of an even input. `"layers"` has a padding layer before every 3x3.
        stride_on_1x1: a bottleneck strides in its first 1x1 convolution (the 2015 paper) rather than in the 3x3
            ("v1.5", torchvision).
        stride_in_last_block: a stage strides in its last block instead of its first (keras.applications' V2).
        projection_norm: batch normalisation follows the projection on the shortcut.
        initializer: initializer of the convolution kernels: class name and arguments in `keras.initializers`.
    """

    conv_bias: str
    epsilon: float
    momentum: float
    padding: str
    stride_on_1x1: bool = False
    stride_in_last_block: bool = False
    projection_norm: bool
    initializer: tuple[str, tuple[tuple[str, object], ...]]


_HE_FAN_OUT = (
    "VarianceScaling",
    (("scale", 2.0), ("mode", "fan_out"), ("distribution", "untruncated_normal")),
)

CONVENTIONS: dict[str, Convention] = {
    # keras.applications, so that its public weight files load and predictions are equal.
    "keras": Convention(
        conv_bias="all",
        epsilon=1.001e-5,
        momentum=0.99,
        padding="same",
        stride_on_1x1=True,
        projection_norm=True,
        initializer=("GlorotUniform", ()),
    ),
    "keras_v2": Convention(
        conv_bias="without_norm",
        epsilon=1.001e-5,
        momentum=0.99,
        padding="layers",
        stride_in_last_block=True,
        projection_norm=False,
        initializer=("GlorotUniform", ()),
    ),
    # PyTorch: torchvision, timm and the CIFAR checkpoints.
    "torch": Convention(
        conv_bias="none",
        epsilon=1e-5,
        momentum=0.9,
        padding="symmetric",
        projection_norm=True,
        initializer=_HE_FAN_OUT,
    ),
    # mlcommons/tiny, benchmark/training/image_classification/keras_model.py.
    "mlperf_tiny": Convention(
        conv_bias="all",
        epsilon=1e-3,
        momentum=0.99,
        padding="same",
        projection_norm=False,
        initializer=("HeNormal", ()),
    ),
}
