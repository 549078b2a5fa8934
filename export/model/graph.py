"""The network that is exported: preprocessing in front, more outputs behind, several models as one."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.formats.artifacts import CAM, Artifact
from export.model.outputs import named, require_choices
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import BLOCK_OUT, deep_graphs
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.signals.table import get_signal

_POINTWISE = {0: "Dense", 1: "Conv1D", 2: "Conv2D", 3: "Conv3D"}  # layers with one weight per pair of channels


def prepare(model: keras.Model, card: ModelCard, artifact: Artifact) -> keras.Model:
    """Makes the network that an artifact holds.

    Args:
        model: float32, functional, of one input.
        card: task, signal and input convention.
        artifact: says which input and which outputs.

    Returns:
        A model from the signal's key to a dict of the task's and the artifact's outputs, with the weights of `model`;
        its layers keep their names.

    Raises:
        InputError: the model has no such outputs, or is no classifier of images and cannot have them.
    """
    require_choices(card, artifact)
    key, shape = get_signal(card.signal).key, model.input_shape[1:]
    with deep_graphs():
        outputs = named(model, card)
        if artifact.cam:
            first = next(iter(outputs))
            outputs[first], outputs[CAM] = _with_cam(model)
        if artifact.features:
            outputs |= {f"features_{stride}": _feature(model, stride) for stride in artifact.features}
        inner = keras.Model(model.input, outputs, name=model.name)
        x = start = keras.Input(artifact.shape_of(shape), name=key)
        if start.shape[1:] != shape:
            x = keras.layers.Resizing(*shape[:-1], name="resize")(start, training=False)  # or all behind it would be
        x = _normalized(x, artifact.convention(card.preprocess), card.preprocess)
        return keras.Model(start, inner(x), name="exported")  # Keras' own name would count the models of the process


def _normalized(x, given: Preprocess, wanted: Preprocess):
    """Goes from one convention to another by a 1x1 convolution: one operator that every engine has, exact in float.

    Quantized it is nearly so: every output channel has one non-zero weight, and so a scale of its own.
    """
    if given == wanted:
        return x
    channels, rank = x.shape[-1], len(x.shape) - 2
    convention = wanted.for_channels(channels)
    mean, std = (
        np.broadcast_to(np.array(values, np.float32), channels) for values in (convention.mean, convention.std)
    )
    (shift,), (factor,) = given.mean, given.std  # `raw` and `tf` have one value for all channels
    source = np.arange(channels)
    if convention.channels == "bgr":
        source[:3] = source[:3][::-1]
    kernel = np.zeros((channels, channels), np.float32)
    kernel[source, np.arange(channels)] = factor / std
    how = {"kernel_size": 1} if rank else {}
    layer = getattr(keras.layers, _POINTWISE[rank])(channels, **how, name="preprocess")
    x = layer(x)
    layer.set_weights([kernel.reshape(*[1] * rank, channels, channels), (shift - mean) / std])
    return x


def _with_cam(model: keras.Model) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Puts pooling behind the classifier, a 1x1 convolution whose mean are the logits: probabilities and map.

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
    return keras.layers.Activation(dense.activation, name=f"{CAM}_probabilities")(logits), scores


def _feature(model: keras.Model, stride: int):
    """Finds the last block's output at a stride; in a net from elsewhere the last tensor of that size."""
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
        start = keras.Input(models[0].input_shape[1:], name=models[0].inputs[0].name)
        members = [keras.Model(m.input, m.output, name=f"member_{i}")(start) for i, m in enumerate(models)]
        return keras.Model(start, keras.layers.Average(name="mean")(members))


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

    example = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(example).graph.as_graph_def()
    kinds = {node.op for part in (traced.node, *(f.node_def for f in traced.library.function)) for node in part}
    return {kind: _FLEX[kind] for kind in sorted(kinds & set(_FLEX))}
