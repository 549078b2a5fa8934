"""TFLite metadata, read back with another reader: flatbuffers' tables by the numbers of the published schema."""

import dataclasses
import zipfile

import flatbuffers
import numpy as np
import pytest
from flatbuffers.table import Table

from export import artifact
from export.formats import tflite
from export.making import metadata
from export.making.pipeline import export
from keras_resnet import card as card_lib
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.runtime.opening import open_runner
from keras_resnet.signals.conventions import PREPROCESS


class Reader:
    """A flatbuffer table whose fields are asked for by slot."""

    def __init__(self, content, position):
        self.table = Table(bytearray(content), position)

    @classmethod
    def root(cls, content):
        return cls(content, flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0))

    def _field(self, slot):
        return self.table.Offset(4 + 2 * slot)

    def child(self, slot):
        return Reader(self.table.Bytes, self.table.Indirect(self.table.Pos + self._field(slot)))

    def text(self, slot):
        return self.table.String(self.table.Pos + self._field(slot)).decode()

    def byte(self, slot):
        place = self._field(slot)
        return self.table.Get(flatbuffers.number_types.Int8Flags, self.table.Pos + place) if place else 0

    def _vector(self, slot):
        place = self._field(slot)
        return self.table.Vector(place), self.table.VectorLen(place)

    def children(self, slot):
        start, count = self._vector(slot)
        return [Reader(self.table.Bytes, self.table.Indirect(start + 4 * i)) for i in range(count)]

    def floats(self, slot):
        start, count = self._vector(slot)
        return np.frombuffer(self.table.Bytes, np.float32, count, start).tolist()


@pytest.fixture(scope="module")
def file(source, tmp_path_factory):
    """An int8 file with uint8 input and metadata."""
    path = tmp_path_factory.mktemp("metadata") / "m.tflite"
    export(source, [(artifact("tflite:int8", io="uint8", labels_file="labels.txt"), path)], limit=50, samples=20)
    return path


def _metadata(path):
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model(str(path))
    entries = {entry.name: entry.buffer for entry in lite.metadata}
    return bytes(lite.buffers[entries[metadata.NAME.encode()]].data)


@pytest.mark.slow
def test_every_field_is_where_the_schema_has_it(file, source):
    content = _metadata(file)
    assert content[4:8] == b"M001"
    model = Reader.root(content)
    assert model.text(0) == "resnet8" and model.text(7) == "1.0.0"
    (graph,) = model.children(3)
    (image,), (scores,) = graph.children(2), graph.children(3)
    assert image.text(0) == "image"
    assert image.child(3).byte(0) == 2  # ContentProperties.ImageProperties
    assert image.child(3).child(1).byte(0) == 1  # ColorSpaceType.RGB
    (unit,) = image.children(4)
    assert unit.byte(0) == 1  # ProcessUnitOptions.NormalizationOptions
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([0.0], [1.0])
    assert (image.child(5).floats(0), image.child(5).floats(1)) == ([255.0], [0.0])
    assert scores.child(3).byte(0) == 1  # ContentProperties.FeatureProperties
    (labels,) = scores.children(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # AssociatedFileType.TENSOR_AXIS_LABELS


@pytest.mark.slow
def test_labels_and_card_lie_uncompressed_in_the_archive(file, source):
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(source.card.labels)
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
    assert card_lib.read(file).labels == source.card.labels
    assert card_lib.read(file).sha256 == tflite.fingerprint(file)


@pytest.mark.slow
def test_engines_read_past_it(file, source):
    runner = open_runner(file)
    pixels = source.evidence(20).pixels
    agree = runner(runner.card.preprocess(pixels))["probabilities"].argmax(axis=1) == source.model.predict(
        source.card.preprocess(pixels), verbose=0
    ).argmax(axis=1)
    assert agree.mean() >= 0.95
    assert runner.input.dtype == "uint8"


def test_what_metadata_cannot_say_is_refused(tmp_path):
    labelled = ModelCard(labels=("a", "b"))
    with pytest.raises(InputError, match="BGR: use --input raw"):
        metadata.add(tmp_path / "x.tflite", labelled, PREPROCESS["caffe"], "labels.txt")
    with pytest.raises(InputError, match="names of the classes"):
        metadata.add(tmp_path / "x.tflite", ModelCard(), PREPROCESS["none"], "labels.txt")
    with pytest.raises(InputError, match="for TFLite files"):
        artifact("onnx:float32", labels_file="labels.txt")


def test_the_range_of_normalized_pixels():
    card = dataclasses.replace(ModelCard(labels=("a", "b")), dataset="x")
    content = metadata._content(flatbuffers.Builder(64), card, PREPROCESS["tf"], "l.txt")
    (graph,) = Reader.root(content).children(3)
    (image,) = graph.children(2)
    assert (image.child(5).floats(0), image.child(5).floats(1)) == ([1.0], [-1.0])
    (unit,) = image.children(4)
    assert unit.child(1).floats(0) == [127.5]


def test_one_label_per_line():
    assert metadata.labels_text(["tabby, tabby cat", "two\nlines", ""]) == "tabby, tabby cat\ntwo lines\nunnamed\n"
