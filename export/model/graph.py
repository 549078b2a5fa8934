"""The network that is exported: preprocessing in front, more outputs behind, several models as one."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.formats.table import CAM, INPUT, OUTPUT, Artifact
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import BLOCK_OUT, deep_graphs
from keras_resnet.signals.conventions import Preprocess


def prepare(model: keras.Model, preprocess: Preprocess, artifact: Artifact) -> keras.Model:
    """Makes the network that an artifact holds.

    Args:
        model: float32, functional, one image in and class probabilities out.
        preprocess: its input convention.
        artifact: says which input and which outputs.

    Returns:
        A model from `image` to a dict of the artifact's outputs, with the weights of `model`; its layers keep their
        names.

    Raises:
        InputError: the model has no such outputs.
    """
    with deep_graphs():
        outputs = {OUTPUT: model.output}
        if artifact.cam:
            outputs |= _with_cam(model)
        outputs |= {f"features_{stride}": _feature(model, stride) for stride in artifact.features}
        inner = keras.Model(model.input, outputs, name=model.name)
        size = model.input_shape[1:-1]
        image = keras.Input((*([artifact.size] * 2 if artifact.size else size), model.input_shape[-1]), name=INPUT)
        x = image if image.shape[1:-1] == size else keras.layers.Resizing(*size, name="resize")(image)
        return keras.Model(image, inner(_normalized(x, artifact.convention(preprocess), preprocess)))


def _normalized(image, given: Preprocess, wanted: Preprocess):
    """From one convention to another, as a 1x1 convolution: one operator that every engine has, exact in float.

    Quantized it is nearly so: every output channel has one non-zero weight, and so a scale of its own.
    """
    if given == wanted:
        return image
    channels = image.shape[-1]
    convention = wanted.for_channels(channels)
    mean, std = (np.broadcast_to(np.float32(values), channels) for values in (convention.mean, convention.std))
    (shift,), (factor,) = given.mean, given.std  # `raw` and `tf` have one value for all channels
    source = np.arange(channels)
    if convention.channels == "bgr":
        source[:3] = source[:3][::-1]
    kernel = np.zeros((1, 1, channels, channels), np.float32)
    kernel[0, 0, source, np.arange(channels)] = factor / std
    layer = keras.layers.Conv2D(channels, 1, name="preprocess")
    x = layer(image)
    layer.set_weights([kernel, (shift - mean) / std])
    return x


def _with_cam(model: keras.Model) -> dict[str, object]:
    """Pooling and classifier in the other order: the classifier as a 1x1 convolution, whose mean are the logits.

    The map is that of Zhou et al. 2016 (arXiv:1512.04150), with the bias in every position.
    """
    pooling = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    rest = model.layers[model.layers.index(pooling[-1]) + 1 :] if pooling else []
    if not rest or rest[-1:] != dense[-1:] or not all(isinstance(x, keras.layers.Dropout) for x in rest[:-1]):
        raise InputError("--with-cam: expected a net that ends in global average pooling and one dense layer")
    dense, pooling = dense[-1], pooling[-1]
    kernel, *bias = dense.get_weights()
    convolution = keras.layers.Conv2D(kernel.shape[1], 1, use_bias=bool(bias), name=CAM)
    scores = convolution(pooling.input)
    convolution.set_weights([kernel[None, None], *bias])
    logits = keras.layers.GlobalAveragePooling2D(name=f"{CAM}_mean")(scores)
    return {OUTPUT: keras.layers.Activation(dense.activation, name=f"{CAM}_probabilities")(logits), CAM: scores}


def _feature(model: keras.Model, stride: int):
    """The last block's output at that stride; in a net from elsewhere the last tensor of that size."""
    height = model.input_shape[1]
    maps = [
        layer
        for layer in model.layers
        if len(layer.output.shape) == 4 and layer.output.shape[1] == -(-height // stride)
    ]
    maps = [layer for layer in maps if BLOCK_OUT.search(layer.name)] or maps
    if not maps:
        sizes = {layer.output.shape[1] for layer in model.layers if len(layer.output.shape) == 4}
        strides = ", ".join(str(round(height / size)) for size in sorted(sizes, reverse=True) if size)
        raise InputError(f"--features {stride}: the net has maps at strides {strides}")
    return maps[-1].output


def ensemble(models: Sequence[keras.Model]) -> keras.Model:
    """One model whose output is the mean of the models' outputs.

    Args:
        models: float32, of the same input and output shapes.

    Raises:
        InputError: the shapes differ.
    """
    shapes = {(model.input_shape, model.output_shape) for model in models}
    if len(shapes) > 1:
        raise InputError(f"an ensemble needs models of one input and output shape, received {sorted(map(str, shapes))}")
    with deep_graphs():
        image = keras.Input(models[0].input_shape[1:], name=INPUT)
        members = [keras.Model(m.input, m.output, name=f"member_{i}")(image) for i, m in enumerate(models)]
        return keras.Model(image, keras.layers.Average(name="mean")(members))


# Layers of classifiers that converters know; a model of these alone is not traced.
_PLAIN = (
    keras.layers.InputLayer,
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Conv2D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
)
# TensorFlow's operations that TFLite has in its Flex library only, and what does the same without.
_FLEX = {
    "AdjustContrastv2": "leave augmentation out of the exported model",
    "AdjustHue": "leave augmentation out of the exported model",
    "AdjustSaturation": "leave augmentation out of the exported model",
    "Erfc": "use activation 'gelu' with approximate=True",
    "ExtractImagePatches": "use a strided convolution in place of extract_patches",
    "HSVToRGB": "convert colours before the model",
    "ImageProjectiveTransformV3": "leave augmentation out of the exported model",
    "ResizeBicubic": "use interpolation='bilinear'",
    "RGBToHSV": "convert colours before the model",
    "ScaleAndTranslate": "use antialias=False with interpolation='bilinear'",
    "StatelessRandomUniformV2": "leave augmentation out of the exported model",
}


def flex_operations(model: keras.Model) -> dict[str, str]:
    """TensorFlow's operations in a model that TFLite does not have without its Flex library.

    Args:
        model: functional, of a fixed input size.

    Returns:
        What would do instead, by operation; empty for a model of plain layers, which is not traced.
    """
    if all(isinstance(layer, _PLAIN) for layer in model.layers):
        return {}
    import tensorflow as tf

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(image).graph.as_graph_def()
    kinds = {node.op for part in (traced.node, *(f.node_def for f in traced.library.function)) for node in part}
    return {kind: _FLEX[kind] for kind in sorted(kinds & set(_FLEX))}
