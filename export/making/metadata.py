"""TFLite metadata in pure Python: what MediaPipe, ML Kit and Android's MetadataExtractor read out of a `.tflite` file.

A flatbuffer `ModelMetadata` (file identifier `M001`) is a buffer of the model, under the name `TFLITE_METADATA`; the
labels are a file in a zip archive that is appended. Slots and enumerations are those of `metadata_schema.fbs`
(tflite-support, Apache-2.0). Neither tflite-support nor MediaPipe is needed: the one has no wheels for today's Pythons,
the other's writer fails to import (1.2.2).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.files import member
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.untrusted import visible

NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # the oldest version that knows all that is written here
_RGB = 1  # ColorSpaceType
_FEATURE, _IMAGE, _BOX = 1, 2, 3  # ContentProperties
_NORMALIZATION = 1  # ProcessUnitOptions
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # AssociatedFileType
_BOUNDARIES = 1  # BoundingBoxType; coordinates are shares of the image by default
_BOXES = "detection"  # the task whose files MediaPipe's ObjectDetector runs
# Its names of a detector's outputs, by ours.
DETECTED = {"boxes": "location", "classes": "category", "scores": "score", "count": "number of detections"}
_MASKS = "segmentation"  # the task whose files MediaPipe's ImageSegmenter runs
_SEGMENTER, _SEGMENTER_IDENTIFIER, _NO_ACTIVATION = "SEGMENTER_METADATA", b"V001", 0
_ALIGNED = 16  # bytes, of custom metadata


def add(path: Path, card: ModelCard, preprocess: Preprocess, labels_file: str) -> None:
    """Writes metadata and labels into a TFLite file; the card must be added afterwards.

    Args:
        path: file with nothing appended to it yet.
        card: class names and name of the variant.
        preprocess: input convention of the file.
        labels_file: name of the file of class names.

    Raises:
        InputError: the convention has no place in the metadata, or a model without labels.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    if preprocess.channels != "rgb":
        raise InputError("TFLite metadata know RGB images only, and these weights take BGR: use --input raw")
    names = card.labels or tuple(card.facts.get("names", ()))
    if not names:
        raise InputError("TFLite metadata need the names of the classes, and the model has none: save it with a card")
    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    graph = lite.subgraphs[0]
    outputs = [graph.tensors[index].name.decode() for index in graph.outputs]
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = _content(flatbuffers.Builder(1024), card, preprocess, labels_file, outputs)
    entry.name, entry.buffer = NAME.encode(), len(lite.buffers)
    lite.buffers.append(buffer)
    lite.metadata = [*(lite.metadata or []), entry]
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(lite)))
    # Readers on phones map the archive into memory: its members must be stored as they are.
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(member(labels_file, stored=True), labels_text(names))


def labels_text(labels: Sequence[str]) -> str:
    """One label per line, in the order of the outputs."""
    return "".join(f"{visible(' '.join(label.split())) or 'unnamed'}\n" for label in labels)


def _content(
    builder, card: ModelCard, preprocess: Preprocess, labels_file: str, outputs: Sequence[str] = ("probabilities",)
) -> bytes:
    """The flatbuffer `ModelMetadata`; children come before their parents."""
    table, text, floats = _writers(builder)
    pixel_range = [[(value - preprocess.mean[0]) / preprocess.std[0]] for value in (0, 255)]
    normalization = table(2, {0: floats(preprocess.mean), 1: floats(preprocess.std)})
    unit = table(2, {1: normalization}, {0: (builder.PrependUint8Slot, _NORMALIZATION)})
    image = table(
        7,
        {
            0: text("image"),
            1: text("RGB image"),
            3: _contents(table, builder, _IMAGE, table(2, {}, {0: (builder.PrependInt8Slot, _RGB)})),
            4: _offsets(builder, [unit]),
            5: table(2, {0: floats(pixel_range[1]), 1: floats(pixel_range[0])}),
        },
    )
    found = _answers(builder, labels_file, outputs) if card.task == _BOXES else [_scores(builder, labels_file)]
    more = {9: _offsets(builder, [_segmenter(builder, table)])} if card.task == _MASKS else {}
    subgraph = table(10, {2: _offsets(builder, [image]), 3: _offsets(builder, found), **more})
    name = card.spec or {_MASKS: "image segmenter", _BOXES: "object detector"}.get(card.task, "image classifier")
    model = table(
        8,
        {
            0: text(name),
            1: text(f"{name}, trained on {card.dataset or 'unknown data'}"),
            2: text("1"),
            3: _offsets(builder, [subgraph]),
            7: text(_PARSER),
        },
    )
    builder.Finish(model, _IDENTIFIER)
    return bytes(builder.Output())


def _labelled(builder, labels_file: str, what: str, kind: int):
    """The file of labels: in the order of the scores, or of what an output has as numbers."""
    table, text, _ = _writers(builder)
    words = {0: text(labels_file), 1: text(f"one label per line, in the order of the {what}")}
    return _offsets(builder, [table(5, words, {2: (builder.PrependInt8Slot, kind)})])


def _scores(builder, labels_file: str):
    """An output with a score of every class."""
    table, text, floats = _writers(builder)
    return table(
        7,
        {
            0: text("probabilities"),
            1: text("one score per class"),
            3: _contents(table, builder, _FEATURE, table(0, {})),
            5: table(2, {0: floats([1.0]), 1: floats([0.0])}),
            6: _labelled(builder, labels_file, "scores", _AXIS_LABELS),
        },
    )


def _answers(builder, labels_file: str, outputs: Sequence[str]):
    """The outputs of a detector in the file's order; which is which, MediaPipe knows by their names alone."""
    table, text, _ = _writers(builder)
    found = []
    for name in outputs:
        if name == "boxes":
            builder.StartVector(4, 4, 4)
            for place in (3, 2, 1, 0):  # of x1, y1, x2, y2; backwards, as all vectors are written
                builder.PrependUint32(place)
            order = builder.EndVector()
            box = table(3, {0: order}, {1: (builder.PrependInt8Slot, _BOUNDARIES)})
            content = _contents(table, builder, _BOX, box)
        else:
            content = _contents(table, builder, _FEATURE, table(0, {}))
        labels = {6: _labelled(builder, labels_file, "classes", _VALUE_LABELS)} if name == "classes" else {}
        found.append(table(7, {0: text(DETECTED[name]), 3: content, **labels}))
    return found


def _segmenter(builder, table):
    """What makes a segmenter of it: scores that are probabilities already (`image_segmenter_metadata_schema.fbs`)."""
    from flatbuffers import Builder

    inner = Builder(64)
    inner.StartObject(2)
    inner.PrependInt8Slot(0, _NO_ACTIVATION, -1)  # written although it is the default: MediaPipe warns otherwise
    inner.Finish(inner.EndObject(), _SEGMENTER_IDENTIFIER)
    content = bytes(inner.Output())
    name = builder.CreateString(_SEGMENTER)
    builder.StartVector(1, len(content), _ALIGNED)
    for value in reversed(content):
        builder.PrependByte(value)
    data = builder.EndVector()
    return table(2, {0: name, 1: data})


def _writers(builder) -> tuple[Callable, Callable, Callable]:
    """Functions that write a table, a string and a vector of floats, and return their place."""

    def table(slots: int, children: Mapping[int, int], scalars: Mapping[int, tuple[Callable, int]] | None = None):
        builder.StartObject(slots)
        for slot, place in children.items():
            builder.PrependUOffsetTRelativeSlot(slot, place, 0)
        for slot, (prepend, value) in (scalars or {}).items():
            prepend(slot, value, 0)
        return builder.EndObject()

    def floats(values: Sequence[float]):
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
        return builder.EndVector()

    return table, builder.CreateString, floats


def _contents(table, builder, kind: int, properties: int):
    return table(3, {1: properties}, {0: (builder.PrependUint8Slot, kind)})


def _offsets(builder, places: Sequence[int]):
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()
