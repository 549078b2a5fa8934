"""What is done with graphs of any net: taps of its stages, exact counts, nets without values, deep graphs."""

from __future__ import annotations

import contextlib
import gc
import math
import re
import sys
from collections.abc import Iterator

import keras

from keras_resnet.errors import InputError

# Keras recurses once per layer on the longest path when it maps a functional graph; ResNet-1202 has 3,610.
_DEEP_GRAPH = 100_000
_WAITING = "uninitialized_variables"
FLOAT = "decode_float32"  # name of a net within a net, at its end, that stays in float32 whatever the precision is


@contextlib.contextmanager
def deep_graphs() -> Iterator[None]:
    """Raises Python's recursion limit for as long as Keras walks a graph, and restores it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEP_GRAPH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pauses Python's collector of cyclic garbage while Keras makes a graph, and starts it again if it was on.

    Its passes over all objects of a net take longer the more there are, in very deep nets a good part of the time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Gives nets that are built in the block shapes and no values, which take most of a net's time and memory.

    They can be looked at (layers, shapes, counts), and neither called nor saved.

    Example:
        >>> from keras_resnet.builder import build
        >>> from keras_resnet.nets.graph import without_values
        >>> with without_values():
        ...     sketch = build("resnet152")
        >>> sketch.count_params()
        60419944
    """
    from keras.src.backend.common import global_state

    # Keras keeps a list of variables that wait for a value, and some later call of anybody's would give them one.
    waiting = list(global_state.get_global_attribute(_WAITING, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_WAITING, waiting)


BLOCK_OUT = re.compile(r"conv\d+_block\d+_out$")
_TAP = re.compile(r"(conv1_conv|conv1_relu|conv\d+_block\d+_out|post_relu)$")


def stage_taps(model: keras.Model, prefix: str = "") -> dict[int, keras.KerasTensor]:
    """The last feature map at each output stride, for detectors, segmentation and look-ins.

    The strides are measured along the graph, not read from names, so taps are right wherever a family strides.

    Args:
        model: a model of this package or of keras.applications, fresh or loaded from a file.
        prefix: only layers whose names start with it, where a graph holds several nets.

    Returns:
        `{stride: tensor}`, ascending: the stem before its pool at stride 2 where it has one, then the last block of
        each resolution (after the closing ReLU in a pre-activation net),
        `(N, height / stride, width / stride, channels)`.

    Raises:
        InputError: the model has no residual blocks with the documented names.

    Example:
        >>> import keras, keras_resnet
        >>> model = keras_resnet.ResNet50(weights=None)
        >>> taps = keras_resnet.stage_taps(model)
        >>> pyramid = keras.Model(model.input, [taps[stride] for stride in (8, 16, 32)])
    """
    strides: dict[int, int] = {}
    taps: dict[int, keras.KerasTensor] = {}
    for layer in model.operations:  # layers, and the padding that is none
        if not isinstance(layer.output, keras.KerasTensor):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        stride = max((strides.get(id(tensor), 1) for tensor in inputs), default=1)
        own = getattr(layer, "strides", 1)
        strides[id(layer.output)] = stride = stride * (own[0] if isinstance(own, tuple) else own)
        if layer.name.startswith(prefix) and _TAP.search(layer.name):  # the later one of a stride stays
            taps[stride] = layer.output
    if not any(layer.name.startswith(prefix) and BLOCK_OUT.search(layer.name) for layer in model.layers):
        raise InputError(f"model '{model.name}' has no layers named {prefix}conv2_block1_out, ...: expected a ResNet")
    return dict(sorted(taps.items()))


_STAGE_OUT = re.compile(r"conv(\d+)_block(\d+)_out$")


def stage_outputs(model: keras.Model, prefix: str = "") -> tuple[keras.KerasTensor, ...]:
    """The last feature map of every stage, in order: at output stride 8 three stages have the same stride.

    Args:
        model: a model of this package or of keras.applications, fresh or loaded from a file.
        prefix: only layers whose names start with it, where a graph holds several nets.

    Returns:
        Maps `(N, height / stride, width / stride, channels)`; of a pre-activation net the last one is behind the
        closing ReLU.

    Raises:
        InputError: the model has no residual blocks with the documented names.

    Example:
        >>> import keras_resnet
        >>> model = keras_resnet.build("resnet18", include_top=False, output_stride=8, input_shape=(64, 64, 3))
        >>> [tensor.shape[1:] for tensor in keras_resnet.stage_outputs(model)]
        [(16, 16, 64), (8, 8, 128), (8, 8, 256), (8, 8, 512)]
    """
    found: dict[int, tuple[int, keras.KerasTensor]] = {}
    last = None
    for layer in model.layers:
        if not layer.name.startswith(prefix):
            continue
        if match := _STAGE_OUT.fullmatch(layer.name.removeprefix(prefix)):
            stage, block = int(match[1]), int(match[2])
            found[stage] = max(found.get(stage, (0, None)), (block, layer.output), key=lambda each: each[0])
        elif layer.name == f"{prefix}post_relu":
            last = layer.output
    if not found:
        raise InputError(f"model '{model.name}' has no layers named {prefix}conv2_block1_out, ...: expected a ResNet")
    outputs = [output for _, (_, output) in sorted(found.items())]
    return (*outputs[:-1], outputs[-1] if last is None else last)


_MULTIPLYING = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of all convolutions and dense layers for one image, the papers' count.

    A layer that is shared counts with every call, at that call's size.

    Args:
        model: functional or sequential, with a known input size.

    Raises:
        InputError: a layer's output size is unknown.
    """
    total = 0
    for layer, output in _calls(model):
        if isinstance(layer, _MULTIPLYING):
            positions = output.shape[1:-1]
            if None in positions:
                raise InputError("multiply-adds need a fixed input size; build with input_shape=(224, 224, 3), say")
            total += math.prod(layer.kernel.shape) * math.prod(positions)
    return total


def _calls(model: keras.Model) -> Iterator[tuple[keras.Operation, keras.KerasTensor]]:
    """Layers and the output of each call in the model's own graph: `layer.output` is that of the first call ever."""
    graph = getattr(model, "_functional", model)  # of a sequential model
    if not hasattr(graph, "_nodes_by_depth"):
        raise InputError(f"model '{model.name}' has no graph: expected a functional or a built sequential model")
    for nodes in graph._nodes_by_depth.values():
        for node in nodes:
            yield node.operation, node.outputs[0]
