"""From the name of a variant to a `keras.Model` that says what an image shows, and where: `localizer`."""

from __future__ import annotations

import os

import keras
import numpy as np

from keras_resnet import weights as weights_lib
from keras_resnet.builder import build
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.nets.heads import layer_maker
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import get_spec
from keras_resnet.segmenter import checked_shape

PLACES = ("attended", "pooled")


def localizer(
    backbone: str | ResNetSpec,
    *,
    classes: int,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    place: str = "attended",
    weights: str | os.PathLike | None = None,
    weights_match: str = "exact",
    backbone_weights: str | os.PathLike | None = None,
    name: str | None = None,
) -> keras.Model:
    """Builds a net for one object per image as a functional Keras model of stock layers.

    Args:
        backbone: name of a variant (`list_models()`), or a `ResNetSpec`.
        classes: number of classes.
        input_shape: `(height, width, channels)`.
        place: `"attended"`: a map of weights says where the object is: the box's centre is its mean place, and the size
            is read off the features there; `"pooled"`: all of the box is read off the mean over the last map, as the
            ResNet paper does.
        weights: values of the whole net: a `.safetensors`, `.npz` or `.keras` file; None for random ones.
        weights_match: as in `build`.
        backbone_weights: values of the backbone alone, as `build` takes them for a net without head.
        name: name of the model; by default the backbone's.

    Returns:
        A model with the outputs `logits` `(N, classes)` and `box` `(N, 4)`: centre x and y, width and height in 0..1 of
        the input; float32.

    Raises:
        InputError: unknown name, an argument outside its range, weights that do not fit.

    Example:
        >>> import keras_resnet
        >>> net = keras_resnet.localizer("resnet18", classes=3, input_shape=(64, 96, 3))
        >>> net.output["box"].shape
        (None, 4)
    """
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number from 1")
    spec = get_spec(backbone)
    net = build(spec, include_top=False, weights=backbone_weights, input_shape=checked_shape(input_shape))
    made = located(net, classes, place=place, name=name or f"localizer_{spec.name}")
    if weights is not None:
        weights_lib.load_weights(made, weights, match=weights_match, spec=spec)
    return made


def located(
    backbone: keras.Model, classes: int, *, place: str = "attended", dropout: float = 0.0, name: str | None = None
) -> keras.Model:
    """Puts a class and a box behind a backbone.

    Args:
        backbone: model that gives one feature map `(n, h, w, channels)`, of a fixed input size.
        classes: number of classes.
        place: as in `localizer`.
        dropout: rate before the class, 0 to below 1.
        name: name of the model; by default the backbone's.

    Raises:
        InputError: no such place, or an input of any size.
    """
    if place not in PLACES:
        raise unknown_name("place", str(place), PLACES)
    x, layer = backbone.output, layer_maker(2)
    if len(x.shape) != 4 or None in x.shape[1:3]:
        raise InputError(f"a localizer needs images of a fixed size, received {backbone.input_shape}: set test_size=0")
    with deep_graphs():
        pooled = layer("GlobalAveragePoolingND", "avg_pool")(x)
        dropped = layer("Dropout", "dropout", dropout)(pooled) if dropout else pooled
        logits = layer("Dense", "logits", classes, dtype="float32")(dropped)
        if place == "pooled":
            box = layer("Dense", "box", 4, activation="sigmoid", dtype="float32")(pooled)
        else:
            weights = _weights(layer, x)
            attended = _attended(layer, x, weights)
            size = layer("Dense", "box_size", 2, activation="sigmoid", dtype="float32")(attended)
            box = layer("Concatenate", "box", dtype="float32")([_center(layer, x, weights), size])
        return keras.Model(backbone.input, {"logits": logits, "box": box}, name=name or backbone.name)


def _weights(layer, x):
    """How much of the object each place of a map is, `(n, h w)`: they add up to 1."""
    weights = layer("ConvND", "box_place_conv", 1, 1, dtype="float32")(x)
    flat = layer("Flatten", "box_place_flat", dtype="float32")(weights)
    return layer("Softmax", "box_place", dtype="float32")(flat)


def _attended(layer, x, weights):
    """The features where the object is, `(n, channels)`: the mean over all places says little of a size."""
    height, width = x.shape[1:3]
    places = layer("Reshape", "box_place_map", (height, width, 1), dtype="float32")(weights)
    parts = layer("Multiply", "box_attended_parts", dtype="float32")([x, places])
    mean = layer("GlobalAveragePoolingND", "box_attended_mean", dtype="float32")(parts)
    return layer("Rescaling", "box_attended", float(height * width), dtype="float32")(mean)


def _center(layer, x, weights):
    """The mean place of the weights, x and y in 0..1: a product with the places, which stay as they are."""
    height, width = x.shape[1:3]
    rows, columns = np.mgrid[:height, :width] + 0.5
    places = np.stack([columns.ravel() / width, rows.ravel() / height], axis=1).astype("f")
    fixed = {"use_bias": False, "trainable": False, "kernel_initializer": keras.initializers.Constant(places)}
    return layer("Dense", "box_center", 2, dtype="float32", **fixed)(weights)
