"""Memory of a TFLite file: what it takes, and the plan that it can carry."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from export.memory.plan import Buffer, own_plan, plan
from export.memory.size import Fit, structures

_PLAN = "OfflineMemoryAllocation"  # metadata that TFLite Micro looks for
_PLAN_VERSION, _ONLINE = 1, -1


def write_plan(path: Path) -> None:
    """Writes the offsets of `best_plan` into a TFLite file, where they are better than what TFLite Micro finds itself.

    TFLite Micro reads them (metadata `OfflineMemoryAllocation`), every other engine reads past them. They hold for
    kernels of any make: scratch memory is placed around them.

    Args:
        path: TFLite file with nothing appended to it yet.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    graph = lite.subgraphs[0]
    indices, buffers = _buffers(lite)
    _, places = own_plan(buffers, _scratch(lite))
    if not places:
        return
    offsets = np.full(len(graph.tensors), _ONLINE, np.int32)
    offsets[indices] = places
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.array([_PLAN_VERSION, 0, len(offsets), *offsets], "<i4").tobytes()
    entry.name, entry.buffer = _PLAN.encode(), len(lite.buffers)
    lite.buffers.append(buffer)
    lite.metadata = [*(lite.metadata or []), entry]
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(lite)))


def _written_plan(lite) -> list[int] | None:
    """The offsets in a file's metadata, by tensor."""
    for entry in lite.metadata or []:
        if entry.name == _PLAN.encode():
            return np.frombuffer(bytes(lite.buffers[entry.buffer].data), "<i4")[3:].tolist()
    return None


def of_file(path: Path) -> Fit:
    """Reads a file.

    Args:
        path: TFLite file with one subgraph and static shapes.
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
    behind = structures(len(graph.tensors), len(graph.operators), channels)
    return Fit(len(content), activations, behind, exact=True)


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
