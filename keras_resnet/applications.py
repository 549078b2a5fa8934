"""Named builders with the signature of keras.applications.

`ResNet50`, `ResNet101`, `ResNet152` and their V2s are drop-ins: the same arguments and defaults, graph, layer names and
weight files. `ResNet18` and `ResNet34`, which keras.applications lacks, follow the paper and PyTorch; no weight set is
registered for them yet, so `weights` is None by default.
"""

from __future__ import annotations

import os
from typing import Protocol

import keras

from keras_resnet.builder import build
from keras_resnet.errors import InputError
from keras_resnet.nets.specs import SPECS

_DOC = """Builds {title} ({paper}).

Args:
    include_top: whether the net ends in global average pooling and a classifier.
    weights: {weights}None for random values, or the path of a weight file.
    input_tensor: a Keras tensor to build upon.
    input_shape: `(height, width, channels)`, at least 32 x 32; by default (224, 224, 3), and any size without head.
    pooling: pooling of a net without head: None, `"avg"` or `"max"`.
    classes: number of outputs of the head.
    classifier_activation: last activation of the head; None for logits.
    name: name of the model.

Input shape:
    `(N, height, width, channels)`, float; {convention}

Output shape:
    `(N, classes)`; without head `(N, height / 32, width / 32, {channels})`, or `(N, {channels})` with `pooling`.

Returns:
    A `keras.Model`.

Raises:
    InputError: (a ValueError) an illegal argument, or weights that do not fit or cannot be had.

Example:
    >>> import keras_resnet
    >>> model = keras_resnet.{title}(weights=None)
"""


_INPUT = {
    "keras": "BGR minus mean for the ImageNet weights (`PREPROCESS['caffe']`).",
    "keras_v2": "from -1 to 1 for the ImageNet weights (`PREPROCESS['tf']`).",
}


class Application(Protocol):
    """A builder of keras.applications' kind; its arguments are explained by the docstring of each."""

    __name__: str
    __qualname__: str

    def __call__(
        self,
        include_top: bool = True,
        weights: str | os.PathLike | None = ...,
        input_tensor: keras.KerasTensor | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | None = "softmax",
        name: str = ...,
    ) -> keras.Model:
        """Builds the net."""


def _check_imagenet(
    include_top: bool, classes: int, input_shape: tuple[int | None, ...] | None, activation: str | None
) -> None:
    """keras.applications' own rules for its weights."""
    if not include_top:
        return
    if classes != 1000:
        raise InputError(f"weights='imagenet' has a head of 1000 classes, received classes={classes}")
    if input_shape is not None and tuple(input_shape) != (224, 224, 3):
        raise InputError(
            f"weights='imagenet' with its head takes input_shape=(224, 224, 3), received {tuple(input_shape)}; "
            "pass include_top=False"
        )
    if activation not in (None, "softmax"):
        raise InputError(f"weights='imagenet' allows classifier_activation 'softmax' or None, received {activation!r}")


def _application(title: str, default_weights: str | None) -> Application:
    spec = SPECS[title.lower()]

    def application(
        include_top: bool = True,
        weights: str | os.PathLike | None = default_weights,
        input_tensor: keras.KerasTensor | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | None = "softmax",
        name: str = spec.name,
    ) -> keras.Model:
        if weights == "imagenet":
            _check_imagenet(include_top, classes, input_shape, classifier_activation)
        return build(
            spec,
            weights=weights,
            input_shape=input_shape,
            input_tensor=input_tensor,
            include_top=include_top,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
        )

    application.__name__ = application.__qualname__ = title
    application.__doc__ = _DOC.format(
        title=title,
        paper=spec.paper,
        weights="`'imagenet'`, downloaded and checked by Keras, " if default_weights else "",
        channels=512 * spec.expansion,
        convention=_INPUT.get(spec.convention, "scaled as the weights expect."),
    )
    return application


ResNet18 = _application("ResNet18", None)
ResNet34 = _application("ResNet34", None)
ResNet50 = _application("ResNet50", "imagenet")
ResNet101 = _application("ResNet101", "imagenet")
ResNet152 = _application("ResNet152", "imagenet")
ResNet50V2 = _application("ResNet50V2", "imagenet")
ResNet101V2 = _application("ResNet101V2", "imagenet")
ResNet152V2 = _application("ResNet152V2", "imagenet")
