"""The part of a net that stays in float32 whatever the precision is: what makes boxes of a detector's raw numbers.

A quantizer has no word of complaint for it: TensorFlow's rounds coordinates, and what keeps boxes of one class from
meeting those of another, to 256 steps. So the rest of the net is quantized alone, its outputs in float32,
and this part, converted by itself, is put behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from keras_resnet.nets.graph import FLOAT, deep_graphs


def parted(model: keras.Model) -> tuple[keras.Model, keras.Model | None]:
    """A net without its part of the name `FLOAT`, and that part.

    Args:
        model: functional; the part may be within a net of it, and then is the last of both.

    Returns:
        The net up to the part, whose outputs have the names of the part's inputs; and the part, or None where there is
        none.
    """
    layers = {layer.name: layer for layer in model.layers}
    with deep_graphs():
        if isinstance(layers.get(FLOAT), keras.Model):
            tail = layers[FLOAT]
            given = tail._inbound_nodes[-1].arguments.args[0]
            return keras.Model(model.input, dict(given), name=model.name), tail
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                body, tail = parted(layer)
                if tail is not None:
                    start = layer._inbound_nodes[-1].input_tensors[0]
                    return keras.Model(model.input, body(start), name=model.name), tail
    return model, None


def joined(body: bytes, tail: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """One TFLite file of two, the second one's operators behind those of the first.

    Args:
        body: content of a file with a signature.
        tail: content of a file whose inputs are outputs of the first one, float32 both.
        inputs: their names, in the order of the second file's inputs.
        outputs: names of the second one's outputs, in their order.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    first, second = (flatbuffer_utils.read_model_from_bytearray(bytearray(each)) for each in (body, tail))
    graph, part = first.subgraphs[0], second.subgraphs[0]
    (signature,) = first.signatureDefs
    ends = {entry.name.decode(): entry.tensorIndex for entry in signature.outputs}
    place = _places(graph, part, {index: ends[name] for index, name in zip(part.inputs, inputs, strict=True)})
    codes, buffers = len(first.operatorCodes), len(first.buffers)
    for index, tensor in enumerate(part.tensors):
        if place[index] >= len(graph.tensors):
            tensor.buffer += buffers
            tensor.name = f"{FLOAT}/{index}".encode()
            graph.tensors.append(tensor)
    for operator in part.operators:
        operator.opcodeIndex += codes
        operator.inputs, operator.outputs = (
            [place[int(i)] for i in each] for each in (operator.inputs, operator.outputs)
        )
        graph.operators.append(operator)
    first.operatorCodes += second.operatorCodes
    first.buffers += second.buffers
    graph.outputs = [place[int(index)] for index in part.outputs]
    signature.outputs = _entries(graph, outputs)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(first))


def _places(graph, part, known: Mapping[int, int]) -> dict[int, int]:
    """Where every tensor of the second file is in the first; -1, which stands for none, stays."""
    place, count = {-1: -1, **{int(index): int(end) for index, end in known.items()}}, len(graph.tensors)
    for index in range(len(part.tensors)):
        if index not in place:
            place[index], count = count, count + 1
    return place


def _entries(graph, names: Sequence[str]):
    """Names the outputs of a graph, and gives what a signature says of them."""
    from ai_edge_litert import schema_py_generated as schema

    found = []
    for index, name in zip(graph.outputs, names, strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), int(index)
        graph.tensors[index].name = entry.name
        found.append(entry)
    return found
