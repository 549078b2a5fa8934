"""Every kind of net in the table becomes TFLite and ONNX, in float and in eight bits, in both layouts."""

import dataclasses

import keras
import numpy as np
import pytest

from export import export, load_source
from export.formats.artifacts import artifact
from keras_resnet import ModelCard, build, load_dataset, save_model
from keras_resnet.nets.specs import SPECS

_SIZE = ("name", "paper", "depths", "width", "stem_width", "classes", "group_width", "cardinality")


def _small(spec):
    """The row with a block in each of two stages and few channels; its kind stays."""
    width = 4 * spec.cardinality if spec.cardinality == 1 else 64
    groups = {"cardinality": 4, "group_width": 16} if spec.cardinality > 1 else {}
    shrunk = {"depths": (1, 1), "width": max(width, 8), "stem_width": None, "classes": 10}
    return dataclasses.replace(spec, name=f"small_{spec.name}", **shrunk, **groups)


def _kinds():
    """The first row of each kind: rows that differ in more than numbers of blocks and channels."""
    kinds = {}
    for spec in SPECS.values():
        kind = tuple(getattr(spec, f.name) for f in dataclasses.fields(spec) if f.name not in _SIZE)
        kinds.setdefault((*kind, spec.group_width > 64, spec.cardinality > 1), spec)
    return list(kinds.values())


KINDS = _kinds()


def test_the_kinds_are_many():
    names = {spec.name for spec in KINDS}
    assert {"resnet18", "resnet50", "resnet50v2", "resnext50_32x4d", "resnet50d", "resnetrs50", "resnet8"} <= names


def _source(spec, path):
    """With scales that are not the initial ones, and the statistics of digits: no range is empty or runs away."""
    keras.utils.set_random_seed(1)
    model = build(_small(spec), input_shape=(32, 32, 3))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    rng = np.random.default_rng(1)
    for norm in norms:
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.3, norm.beta.shape))
        norm.momentum, before = 0.0, norm.momentum
    model(load_dataset("digits").train.images[:200].astype("f"), training=True)
    for norm in norms:
        norm.momentum = before
    save_model(model, path, ModelCard(dataset="digits", labels=tuple("0123456789")))
    return load_source(path)


@pytest.mark.proof
@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.name)
def test_every_kind_of_row_becomes_files_that_compute_the_same(spec, tmp_path):
    source = _source(spec, tmp_path / "m.keras")
    failed = {}
    # Classes of an untrained net are near ties, which eight bits decide otherwise: there its values are what counts.
    for precision, gates in {"float32": {}, "int8": {"agreement": 0.5, "drop": 100.0}}.items():
        made = [artifact(f"tflite:{precision}"), artifact(f"onnx:{precision}")]
        targets = [(each, each.file(tmp_path, "m")) for each in made]
        targets.append((artifact(f"onnx:{precision}", layout="nchw"), tmp_path / f"nchw-{precision}.onnx"))
        rows = export(source, targets, limit=60, samples=40, gates=gates).rows
        failed |= {row.file: [gate for gate in row.gates if not gate.passed] for row in rows if not row.passed}
    assert not failed
