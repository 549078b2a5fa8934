"""Errors per layer, and layers in float."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from export import program
from export.formats import litert
from export.formats.artifacts import artifact
from export.making import autofloat, pipeline
from export.proof import layer_errors
from keras_resnet import GateError, InputError, build, card
from keras_resnet.runtime.opening import open_runner

SHIPPED = ["--model", "resnet8", "--weights", "digits"]


@pytest.mark.slow
def test_every_layer_of_a_float_file_equals_keras(rows, source):
    entries = layer_errors.layer_errors(Path(rows["tflite", "float32"]["file"]), source, source.evidence(10))
    # Stem, 3 blocks of 2 convolutions and an addition, 2 projections, pooling, answer; the logits are no Keras output.
    assert len(entries) == 1 + 3 * 3 + 2 + 1 + 1
    assert min(entry.sqnr for entry in entries) > 100
    assert max(entry.max_abs for entry in entries) < 1e-3


@pytest.mark.slow
def test_errors_are_the_engines_own_tensors_beside_keras(rows, source, digits):
    """One layer replayed by hand."""
    path = Path(rows["tflite", "int8"]["file"])
    entries = {entry.layer: entry for entry in layer_errors.layer_errors(path, source, source.evidence(4))}
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    engine = Interpreter(str(path), experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
    engine.allocate_tensors()
    details = next(d for d in engine.get_tensor_details() if d["name"] == "conv3_block1_out")
    layer = source.model.get_layer("conv3_block1_out").output
    evidence = source.evidence(4)
    reference = keras.Model(source.model.input, layer).predict_on_batch(source.card.preprocess(evidence.pixels))
    received = []
    for pixels in evidence.pixels:
        engine.set_tensor(engine.get_input_details()[0]["index"], (pixels.astype("i2") - 128).astype("i1")[None])
        engine.invoke()
        scale, zero_point = details["quantization"]
        received.append((engine.get_tensor(details["index"])[0].astype("f") - zero_point) * scale)
    noise = np.square(reference - np.stack(received)).sum()
    assert entries["conv3_block1_out"].sqnr == pytest.approx(10 * np.log10(np.square(reference).sum() / noise), abs=1.0)


@pytest.mark.slow
def test_a_spoilt_layer_is_the_one_that_loses(rows, source, tmp_path):
    path = Path(rows["tflite", "int8"]["file"])
    lite = flatbuffer_utils.convert_bytearray_to_object(bytearray(path.read_bytes()))
    graph = lite.subgraphs[0]
    spoilt = next(t for t in graph.tensors if t.name == b"conv3_block1_1_relu/1")
    data = np.array(lite.buffers[spoilt.buffer].data)
    lite.buffers[spoilt.buffer].data = np.random.default_rng(0).permutation(data)
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(flatbuffer_utils.convert_object_to_bytearray(lite))
    card.append(bad, card.read(path))
    assert program.alone("debug", [str(bad), *SHIPPED, "--limit", "10", "--json", "e.json"]) == 0
    entries = json.loads(Path("e.json").read_text())
    assert max(entries, key=lambda entry: entry["lost"])["layer"] == "conv3_block1_1_relu"
    page = Path(f"{bad}.layers.html").read_text()
    assert "<svg" in page
    assert "conv3_block1_1_relu" in page
    assert program.alone("debug", [str(bad), *SHIPPED]) == 2  # the page is not overwritten


@pytest.mark.proof
def test_the_fewest_layers_stay_in_float(source, tmp_path, monkeypatch):
    """All are tried with the engine; fewer do not pass, and those that stay are float in the file."""
    seen, path = {}, tmp_path / "m.tflite"
    original = pipeline.export

    def counting(source, targets, **options):
        report = original(source, targets, **options)
        if targets[0][1] != path:
            seen[len(targets[0][0].keep_float)] = report.passed
            assert "validation images" in report.evidence  # no choice on test images
        return report

    monkeypatch.setattr(pipeline, "export", counting)
    report, kept = autofloat.auto_float(source, path, gates={"sqnr": 47.0}, limit=60)
    assert "test images" in report.evidence and "validation" not in report.evidence
    file = Path(report.rows[0].file)  # with another name where the test images are harder
    assert seen[len(kept)]
    assert len(kept) >= 1
    assert not seen[len(kept) - 1]
    engine = Interpreter(str(file))
    dtypes = {t["name"]: t["dtype"] for t in engine.get_tensor_details()}
    assert all(dtypes[name] == np.float32 for name in kept)
    assert np.int8 in dtypes.values()
    assert open_runner(file).input.dtype == "int8"
    manifest = json.loads(Path(f"{file}.manifest.json").read_text())
    assert manifest["artifact"]["keep_float"] == list(kept)


def test_the_shortest_prefix_is_found_with_few_attempts():
    ranking = [f"layer{i}" for i in range(50)]
    for needed in (1, 2, 7, 33, 50):
        tried = []

        def attempt(layers, needed=needed, tried=tried):
            tried.append(len(layers))
            return len(layers) >= needed

        assert autofloat._shortest(ranking, attempt) == tuple(ranking[:needed])
        assert len(tried) <= 12
    with pytest.raises(GateError, match="do not hold with all 50 layers"):
        autofloat._shortest(ranking, lambda layers: False)


@pytest.mark.slow
def test_files_without_our_names_are_refused(rows, source, tmp_path):
    lite = flatbuffer_utils.read_model(rows["tflite", "float32"]["file"])
    for number, tensor in enumerate(lite.subgraphs[0].tensors):
        tensor.name = f"t{number}".encode()
    flatbuffer_utils.write_model(lite, tmp_path / "other.tflite")
    with pytest.raises(InputError, match="no tensor bears the name of a layer"):
        layer_errors.layer_errors(tmp_path / "other.tflite", source, source.evidence(4))
    with pytest.raises(InputError, match="in .tflite files only"):
        layer_errors.layer_errors(Path(rows["onnx", "float32"]["file"]), source, source.evidence(4))


@pytest.mark.slow
def test_a_kept_layer_needs_the_quantizer_that_can(rows, source, tmp_path):
    with pytest.raises(InputError, match="--quantizer litert only"):
        artifact("tflite:int8", keep_float=("conv1_relu",))
    made = dataclasses.replace(artifact("tflite:int8@litert"), keep_float=("conv1_relu",))
    content = Path(rows["tflite", "float32"]["file"]).read_bytes()
    samples = source.card.preprocess(source.dataset.train.images[:4])
    file = tmp_path / "m.tflite"
    file.write_bytes(litert.quantized(content, dataclasses.replace(made, input="normalized"), samples))
    dtypes = {t["name"]: t["dtype"] for t in Interpreter(str(file)).get_tensor_details()}
    assert dtypes["conv1_relu"] == np.float32
    assert dtypes["conv2_block1_1_relu"] == np.int8


@pytest.mark.slow
def test_a_file_of_another_model_is_named_as_that(rows, source):
    path = Path(rows["tflite", "int8"]["file"])
    larger = dataclasses.replace(source, model=build("resnet8", input_shape=(64, 64, 3)))
    with pytest.raises(InputError, match=r"of another model: its input is \(32, 32, 3\), here \(64, 64, 3\)"):
        layer_errors.layer_errors(path, larger, larger.evidence(4))
    wider = build("resnet8", classes=5, weights=None)
    with pytest.raises(InputError, match=r"of another model: its \w+ is \(10,\), here \(5,\)"):
        layer_errors.layer_errors(path, dataclasses.replace(source, model=wider), source.evidence(4))
