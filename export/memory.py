"""What a model takes on a microcontroller: flash, and the arena of TFLite Micro; and `python -m export.fit`.

`of_file` reads a `.tflite` file, `of_model` foretells it from a Keras model before anything is converted. The part of
the arena that holds activations is planned as TFLite Micro's greedy planner does it (large tensors first, each at the
lowest place that is free while it lives) and is exact; what lies behind it (structures of the interpreter, tables of
the kernels) is estimated for 64-bit pointers, and takes less on a 32-bit processor.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.errors import InputError

_ALIGNMENT = 16
# Of the arena's persistent part, read off what the tflite-micro wheel prints (64-bit): a TfLiteEvalTensor, a node with
# its kernel's parameters, two int32 tables per channel of a convolution, the interpreter itself.
_TENSOR, _NODE, _CHANNEL, _FIXED = 24, 142, 8, 1056
MOST_FLASH, MOST_RAM = 2 << 20, 1 << 20  # of a microcontroller, where a search needs a bound
_LEAST_STRUCTURES = 600  # of a block: two convolutions, an addition, their tensors
# Of a file beside its weights: name, shape and place of a tensor, an operator, scale, zero point and bias of a channel.
_FILE_TENSOR, _FILE_NODE, _FILE_CHANNEL, _FILE_FIXED = 118, 40, 28, 1400


@dataclass(frozen=True)
class Fit:
    """Bytes that a model takes.

    Attributes:
        flash: of the file.
        activations: the arena's first part, planned.
        structures: the arena's second part, estimated.
        exact: whether it was read from a file.
    """

    flash: int
    activations: int
    structures: int
    exact: bool

    @property
    def arena(self) -> int:
        """Of RAM."""
        return self.activations + self.structures


@dataclass(frozen=True)
class Buffer:
    """A tensor in the arena: bytes, and the first and last operator that it must live for."""

    size: int
    first: int
    last: int


def plan(
    buffers: Sequence[Buffer], order: Sequence[int] | None = None, fixed: Sequence[int] = ()
) -> tuple[int, list[int]]:
    """Places buffers as TFLite Micro's GreedyMemoryPlanner does.

    Args:
        buffers: in any order.
        order: in which they are placed; by default large ones first, equal ones as they come.
        fixed: offsets of the first ones, where a plan says them; the others find their places around these.

    Returns:
        Bytes in all, and an offset for every buffer.

    Example:
        >>> plan([Buffer(100, 0, 1), Buffer(100, 1, 2), Buffer(50, 2, 3)])
        (224, [0, 112, 0])
    """
    sizes = _aligned(buffers)
    offsets = [*fixed, *[0] * (len(buffers) - len(fixed))]
    placed = sorted(range(len(fixed)), key=lambda i: offsets[i])  # in the order of their offsets
    for index in order or sorted(range(len(fixed), len(buffers)), key=lambda i: -sizes[i]):
        start = 0
        for other in placed:
            alive = buffers[other].first <= buffers[index].last and buffers[index].first <= buffers[other].last
            if not alive:
                continue
            if offsets[other] - start >= sizes[index]:
                break
            start = max(start, offsets[other] + sizes[other])
        offsets[index] = start
        placed = sorted([*placed, index], key=lambda i: offsets[i])
    return max((offsets[i] + sizes[i] for i in placed), default=0), offsets


def _aligned(buffers: Sequence[Buffer]) -> list[int]:
    return [-(-each.size // _ALIGNMENT) * _ALIGNMENT for each in buffers]


def best_plan(buffers: Sequence[Buffer]) -> tuple[int, list[int]]:
    """The smallest of several plans; often no larger than what must live at once, which none can beat.

    The greedy planner of the microcontroller knows one order, by size. With residual connections that leaves gaps:
    ResNet-20 takes 67,648 bytes so, and 49,152 with these plans.

    Args:
        buffers: in any order.

    Returns:
        As `plan`.
    """
    sizes = _aligned(buffers)
    times = {each.first for each in buffers}
    least = max(
        (sum(size for size, b in zip(sizes, buffers, strict=True) if b.first <= t <= b.last) for t in times), default=0
    )
    keys: list[Callable[[int], tuple]] = [
        lambda i: (-sizes[i], i),
        lambda i: (-sizes[i], buffers[i].first),
        lambda i: (-sizes[i], -buffers[i].last),
        lambda i: (buffers[i].first - buffers[i].last, -sizes[i]),
        lambda i: (buffers[i].first, -sizes[i]),
        lambda i: (-buffers[i].last, -sizes[i]),
    ]
    found = plan(buffers)
    for key in keys:
        if found[0] <= least:
            break
        found = min(found, plan(buffers, sorted(range(len(buffers)), key=key)), key=lambda each: each[0])
    return found


def _own_plan(buffers: Sequence[Buffer], scratch: Sequence[Buffer]) -> tuple[int, list[int]]:
    """Bytes in all and the offsets of `best_plan`, or none where TFLite Micro does as well alone.

    Args:
        buffers: of tensors.
        scratch: of kernels, which no plan can place.
    """
    together = [*buffers, *scratch]
    places = best_plan(together)[1][: len(buffers)]
    alone, planned = plan(together)[0], plan(together, fixed=places)[0]
    return (planned, places) if planned < alone else (alone, [])


_PLAN = "OfflineMemoryAllocation"  # metadata that TFLite Micro looks for
_PLAN_VERSION, _ONLINE = 1, -1


def write_plan(path: Path) -> None:
    """Writes the offsets of `best_plan` into a TFLite file, where they are better than what TFLite Micro finds itself.

    TFLite Micro reads them (metadata `OfflineMemoryAllocation`), every other engine reads past them. They hold for
    kernels of any make: scratch memory is placed around them.

    Args:
        path: of a file with nothing appended to it yet.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    graph = lite.subgraphs[0]
    indices, buffers = _buffers(lite)
    _, places = _own_plan(buffers, _scratch(lite))
    if not places:
        return
    offsets = np.full(len(graph.tensors), _ONLINE, np.int32)
    offsets[indices] = places
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.concatenate([np.int32([_PLAN_VERSION, 0, len(offsets)]), offsets]).astype("<i4").tobytes()
    entry.name, entry.buffer = _PLAN.encode(), len(lite.buffers)
    lite.buffers.append(buffer)
    lite.metadata = [*(lite.metadata or []), entry]
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(lite)))


def _written_plan(lite) -> list[int] | None:
    """The offsets in a file's metadata, by tensor."""
    import numpy as np

    for entry in lite.metadata or []:
        if entry.name == _PLAN.encode():
            return np.frombuffer(bytes(lite.buffers[entry.buffer].data), "<i4")[3:].tolist()
    return None


def of_file(path: Path) -> Fit:
    """Reads a file.

    Args:
        path: of a TFLite file with one subgraph and static shapes.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = path.read_bytes()
    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = lite.subgraphs[0]
    indices, buffers = _buffers(lite)
    written = _written_plan(lite)
    fixed = [] if written is None else [written[index] for index in indices]
    activations = plan([*buffers, *_scratch(lite)], fixed=fixed)[0]
    kernels = (schema.TensorType.INT8, schema.TensorType.INT4)
    channels = sum(
        len(tensor.quantization.scale)
        for tensor in graph.tensors
        if lite.buffers[tensor.buffer].data is not None and tensor.type in kernels and _several(tensor)
    )
    structures = _structures(len(graph.tensors), len(graph.operators), channels)
    return Fit(len(content), activations, structures, exact=True)


def _buffers(lite) -> tuple[list[int], list[Buffer]]:
    """What a file's arena holds: tensors, and their lifetimes."""
    from ai_edge_litert import schema_py_generated as schema

    graph = lite.subgraphs[0]
    constant = [lite.buffers[tensor.buffer].data is not None for tensor in graph.tensors]
    lives: dict[int, list[int]] = {int(i): [0, 0] for i in graph.inputs}
    for number, operator in enumerate(graph.operators):
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0 and not constant[index]:
                lives.setdefault(int(index), [number, number])[1] = number
    for index in graph.outputs:
        lives[int(index)][1] = len(graph.operators)
    widths = {schema.TensorType.INT8: 1, schema.TensorType.UINT8: 1, schema.TensorType.INT16: 2}
    indices = sorted(lives, reverse=True)  # equal sizes: the last tensor first, as seen there
    buffers = [
        Buffer(math.prod(graph.tensors[i].shape) * widths.get(graph.tensors[i].type, 4), *lives[i]) for i in indices
    ]
    return indices, buffers


def _scratch(lite) -> list[Buffer]:
    """Where TFLite Micro's kernels unpack weights of 4 bits while they work."""
    from ai_edge_litert import schema_py_generated as schema

    graph = lite.subgraphs[0]
    return [
        Buffer(math.prod(graph.tensors[index].shape), number, number)
        for number, operator in enumerate(graph.operators)
        for index in operator.inputs
        if index >= 0 and graph.tensors[index].type == schema.TensorType.INT4
    ]


def _several(tensor) -> bool:
    quantization = tensor.quantization
    return quantization is not None and quantization.scale is not None and len(quantization.scale) > 1


def _structures(tensors: int, nodes: int, channels: int) -> int:
    return _TENSOR * tensors + _NODE * nodes + _CHANNEL * channels + _FIXED


def of_model(model, raw: bool = True, planned: bool = True, bits: int = 8) -> Fit:
    """Foretells the int8 file of a Keras model.

    Args:
        model: functional, without models inside, of a fixed input size.
        raw: whether the weights' preprocessing becomes a convolution of its own in front.
        planned: whether the file will have the plan of `write_plan`, as the target `tflm` writes it.
        bits: of the convolutions' weights, 8 or (`int8x4`) 4, which are unpacked in the arena.

    Returns:
        Flash within a few percent, activations as the file will have them.

    Raises:
        InputError: a model inside the model, or an open size.
    """
    import keras

    from keras_resnet.nets.fusion import Fusion

    layers, fusion = keras.layers, Fusion(model, "tflite")
    alias: dict[int, int] = {}  # of a tensor that no operator makes: the one it is
    lives: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    nodes = tensors = channels = weights = 0
    scratch: list[Buffer] = []

    def root(tensor) -> int:
        key = id(tensor)
        while key in alias:
            key = alias[key]
        return key

    def made(tensor, number: int) -> None:
        if None in tensor.shape[1:]:
            raise InputError("memory can be foretold for a fixed input size only: give input_shape=(height, width, 3)")
        lives[id(tensor)], sizes[id(tensor)] = [number, number], math.prod(tensor.shape[1:])

    for layer in _in_order(model):
        if isinstance(layer, keras.Model):
            raise InputError("memory cannot be foretold for a model inside a model: export it, and read the file")
        if isinstance(layer, layers.InputLayer):
            made(layer.output, 0)
            if raw:  # pixels, and the same image in the weights' convention
                nodes, tensors, channels, weights = 1, 3, 3, 9
            continue
        inputs = _inputs(layer)
        if fusion.joins(layer):
            alias[id(layer.output)] = id(inputs[0])
            continue
        operators = 2 if isinstance(layer, layers.BatchNormalization) else 1  # unfolded: MUL and ADD
        softmax = getattr(layer, "activation", None) is keras.activations.softmax
        nodes += operators + softmax
        for tensor in inputs:
            lives[root(tensor)][1] = nodes
        made(layer.output, nodes)
        kernel = max((math.prod(weight.shape) for weight in getattr(layer, "weights", ())), default=0)
        if bits == 4 and isinstance(layer, layers.Conv2D):
            weights += -(-kernel // 2)
            scratch.append(Buffer(kernel, nodes - softmax, nodes - softmax))
        else:
            weights += kernel
        tensors += operators + softmax + (2 if kernel else 0)
        channels += layer.output.shape[-1] if kernel and operators == 1 else 0
    lives[root(model.outputs[0])][1] = nodes + 1
    buffers = [Buffer(sizes[key], *lives[key]) for key in reversed(lives)]
    tensors += 2  # the image, and the axes of the mean
    flash = weights + _FILE_TENSOR * tensors + _FILE_NODE * nodes + _FILE_CHANNEL * channels + _FILE_FIXED
    activations = (_own_plan(buffers, scratch) if planned else plan([*buffers, *scratch]))[0]
    return Fit(flash, activations, _structures(tensors, nodes, channels), exact=False)


def _inputs(layer) -> list:
    return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]


def _in_order(model) -> list:
    """Layers as the converter orders them: what an addition takes first is computed first."""
    import keras

    found: dict[object, None] = {}
    waiting = [(tensor._keras_history.operation, False) for tensor in reversed(model.outputs)]
    while waiting:
        layer, inputs_are_there = waiting.pop()
        if layer in found:
            continue
        if inputs_are_there or isinstance(layer, keras.layers.InputLayer):
            found[layer] = None
            continue
        waiting.append((layer, True))
        if not isinstance(layer, keras.Model):
            waiting += [(tensor._keras_history.operation, False) for tensor in reversed(_inputs(layer))]
    return list(found)


def fitting(flash: int, ram: int, image_shape: tuple[int, int, int], classes: int) -> Iterator[tuple[str, Fit]]:
    """The residual nets of the table that fit a board, most weights first.

    Args:
        flash: bytes.
        ram: bytes.
        image_shape: `(height, width, channels)`.
        classes: of the head.

    Yields:
        Name and size.
    """
    from keras_resnet.builder import build
    from keras_resnet.nets.graph import without_values
    from keras_resnet.nets.interface import ResNetSpec
    from keras_resnet.nets.specs import SPECS

    smallest = min(image_shape[:2])
    residual = [spec for spec in SPECS.values() if spec.shortcut != "none"]
    specs = [spec for spec in residual if spec.final_stride() <= smallest]
    likely = [spec for spec in specs if _least_weights(spec) <= flash and sum(spec.depths) * _LEAST_STRUCTURES <= ram]

    def measured(spec: ResNetSpec) -> Fit:
        with without_values():
            return of_model(build(spec, input_shape=image_shape, classes=classes))

    @functools.cache
    def activations(short: ResNetSpec) -> int:
        return measured(short).activations

    for spec in sorted(likely, key=_least_weights, reverse=True):
        # Depth costs weights; two blocks of a stage take the memory of a hundred.
        if activations(replace(spec, name="short", depths=tuple(min(depth, 2) for depth in spec.depths))) > ram:
            continue
        fit = measured(spec)
        if fit.flash <= flash and fit.arena <= ram:
            yield spec.name, fit


def largest(flash: int, ram: int, image_shape: tuple[int, int, int], classes: int) -> tuple[str, Fit] | None:
    """The first of `fitting`, or None where not even the smallest net fits.

    Example:
        >>> from export.memory import largest  # doctest: +SKIP
        >>> largest(98_496, 57_344, (32, 32, 3), 10)[0]  # doctest: +SKIP
        'resnet8'
    """
    return next(fitting(flash, ram, image_shape, classes), None)


def _least_weights(spec) -> int:
    """Fewer than the net has: the 3x3 convolutions of its blocks without their groups."""
    basic = spec.block == "basic"
    total = 0
    for block in spec.blocks():
        inner = spec.inner_width(block.filters)
        total += 18 * block.filters**2 if basic else 9 * inner**2 // spec.cardinality + 4 * block.filters * inner
    return int(0.9 * total) if len(spec.depths) > 1 else 0
