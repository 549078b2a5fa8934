"""`python -m export --all`: every file, looked at from outside our own readers."""

import dataclasses
import hashlib
import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from export.formats.artifacts import all_artifacts as names
from export.formats.artifacts import artifact
from export.formats.onnx import OPSET
from export.formats.precisions import PRECISIONS
from export.formats.table import FORMATS
from export.making import pipeline
from export.model import evidence
from export.proof import golden, verification
from keras_resnet import machine
from keras_resnet.card import ModelCard
from keras_resnet.runtime.opening import open_runner
from keras_resnet.tasks import get_task

pytestmark = pytest.mark.slow
KEYS = [
    *("file", "format", "precision", "quantizer", "input", "io", "engine", "size_bytes", "operators", "unfolded"),
    *("notes", "max_abs", "cosine", "sqnr", "agreement", "top1", "top1_reference", "drop", "drop_error"),
    *("latency_ms", "gates", "task", "outputs", "processor", "drop_interval"),
]
ARTIFACTS = [artifact(name) for name in names()]
TFLITE = [a.precision for a in ARTIFACTS if a.format.name == "tflite"]
ONNX = [a.precision for a in ARTIFACTS if a.format.name == "onnx"]


def test_every_artifact_has_a_row_and_a_file(rows, everything):
    assert set(rows) == {(a.format.name, a.precision) for a in ARTIFACTS}
    for row in rows.values():
        assert list(row) == KEYS
        assert row["processor"] == machine.processor()
        if row["format"] != "saved_model":
            assert Path(row["file"]).stat().st_size == row["size_bytes"]
        assert all(gate["passed"] for gate in row["gates"])
        assert row["top1"] >= 0.98
        assert row["latency_ms"] > 0
    assert json.loads((everything / "j.json").read_text()) == list(rows.values())


def test_precisions_have_the_sizes_they_promise(rows):
    size = {key: row["size_bytes"] for key, row in rows.items()}
    full = size["tflite", "float32"]
    assert 310_000 < full < 325_000  # 78,186 weights of 4 bytes
    assert size["tflite", "float16"] < 0.55 * full
    for precision in ("dynamic_int8", "int8", "int16x8"):
        assert size["tflite", precision] < 0.33 * full
    assert size["tflite", "int8"] <= 98_496  # MLPerf Tiny's own file
    assert size["onnx", "int8"] < 0.4 * size["onnx", "float32"]


def _interpreter(rows, precision):
    engine = Interpreter(model_path=rows["tflite", precision]["file"])
    engine.allocate_tensors()
    return engine


@pytest.mark.parametrize("precision", TFLITE)
def test_tflite_interface(rows, precision):
    engine = _interpreter(rows, precision)
    (image,), (probabilities,) = engine.get_input_details(), engine.get_output_details()
    dtype = np.dtype(FORMATS["tflite"].offers[precision].io[0])
    assert (image["name"], image["shape"].tolist(), image["dtype"]) == ("image", [1, 32, 32, 3], dtype)
    assert (probabilities["name"], probabilities["shape"].tolist()) == ("probabilities", [1, 10])
    assert probabilities["dtype"] == dtype
    assert image["shape_signature"].tolist() == [1, 32, 32, 3]
    assert engine.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}


@pytest.mark.parametrize("precision", TFLITE)
def test_tflite_operators_as_the_interpreter_counts_them(rows, precision):
    operators = rows["tflite", precision]["operators"]
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    engine = Interpreter(model_path=rows["tflite", precision]["file"], experimental_op_resolver_type=plain)
    seen = Counter(op["op_name"] for op in engine._get_ops_details())
    seen.pop("DELEGATE", None)
    assert seen == operators
    convolutions = 10 if precision == "int8" else 9  # one is the preprocessing
    network = {"CONV_2D": convolutions, "ADD": 3, "MEAN": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert {name: count for name, count in operators.items() if name != "DEQUANTIZE"} == network  # all BN folded


def test_shares_of_many_images_are_put_together_in_order(rows, monkeypatch):
    monkeypatch.setattr("keras_resnet.machine.cores", lambda: 3)
    images = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3)).astype("float32")
    shared, alone = (open_runner(rows["tflite", "int8"]["file"], threads=threads) for threads in (None, 1))
    np.testing.assert_array_equal(shared(images)["probabilities"], alone(images)["probabilities"])
    assert (len(shared._engines), len(alone._engines)) == (3, 1)
    # Threads would be a part of the measured latency.
    monkeypatch.delattr("keras_resnet.runtime.tflite.ThreadPoolExecutor")
    np.testing.assert_array_equal(shared(images[:1])["probabilities"], alone(images[:1])["probabilities"])


def test_full_integer_files_hold_no_float_tensor(rows):
    for precision in ("int8", "int16x8"):
        assert not [t["name"] for t in _interpreter(rows, precision).get_tensor_details() if t["dtype"] == np.float32]


@pytest.mark.parametrize("precision", ONNX)
def test_onnx_interface(rows, precision):
    path = rows["onnx", precision]["file"]
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path)
    (image,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape, image.type) == ("image", ["batch", 32, 32, 3], "tensor(float)")
    assert (probabilities.name, probabilities.shape) == ("probabilities", ["batch", 10])
    assert session.run(None, {"image": np.zeros((3, 32, 32, 3), "f")})[0].shape == (3, 10)
    assert onnx.load(path).opset_import[0].version == OPSET


@pytest.mark.parametrize("key", [("onnx", "float16"), ("onnx", "dynamic_int8"), ("onnx", "int8")])
def test_onnx_precisions_hold_what_they_say(rows, key):
    graph = onnx.load(rows[key]["file"]).graph
    kinds = Counter(onnx.TensorProto.DataType.Name(t.data_type) for t in graph.initializer if len(t.dims) == 4)
    assert kinds == {{"float16": "FLOAT16", "dynamic_int8": "UINT8", "int8": "INT8"}[key[1]]: 10 - (key[1] != "int8")}


def test_onnx_folds_batch_normalisation(rows):
    operators = rows["onnx", "float32"]["operators"]
    assert (operators["Conv"], operators["Relu"], operators["Transpose"]) == (9, 7, 1)
    assert "Mul" not in operators
    assert "BatchNormalization" not in operators


def test_onnx_int8_has_unsigned_activations_and_signed_seven_bit_weights(rows):
    graph = onnx.load(rows["onnx", "int8"]["file"]).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [array for array in arrays.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(kernels) == 10  # one is the preprocessing
    assert max(np.abs(kernel.astype(int)).max() for kernel in kernels) <= 64
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    producers = {node.output[0]: node for node in graph.node}
    for node in convolutions:
        activation = producers[node.input[0]]
        assert activation.op_type == "DequantizeLinear"
        assert arrays[activation.input[2]].dtype == np.uint8
        assert arrays[producers[node.input[1]].input[1]].ndim == 1  # a scale per channel


def test_cards_travel(rows):
    wanted = {"labels": list("0123456789"), "spec": "resnet8", "dataset": "digits"}
    for (form, _), row in rows.items():
        if form == "saved_model":
            text = (Path(row["file"]) / "assets.extra" / "keras_resnet.json").read_text()
        elif form in ("tflite", "keras"):
            with zipfile.ZipFile(row["file"]) as archive:
                text = archive.read("keras_resnet.json")
        else:
            text = {p.key: p.value for p in onnx.load(row["file"]).metadata_props}["keras_resnet"]
        assert wanted.items() <= json.loads(text).items()
        mean = (0.0,) if row["input"] == "raw" else (127.5,)
        assert ModelCard.loads(text, "file").preprocess.mean == mean
        assert (row["input"] == "raw") == (row["precision"] == "int8")


def test_accuracy_is_what_the_engines_say_themselves(rows, digits):
    """Replays the int8 file with the interpreter alone, as a person on a phone would."""
    engine = _interpreter(rows, "int8")
    (image,), (probabilities,) = engine.get_input_details(), engine.get_output_details()
    assert image["quantization"] == (1.0, -128)  # int8 input: the pixel less 128
    right = 0
    for pixels, label in zip(digits.test.images, digits.test.labels, strict=True):
        engine.set_tensor(image["index"], (pixels.astype("i2") - 128).astype("i1")[None])
        engine.invoke()
        right += engine.get_tensor(probabilities["index"])[0].argmax() == label
    assert right / 360 == pytest.approx(rows["tflite", "int8"]["top1"], abs=1e-9)


def test_report_page_is_complete_and_needs_nothing_else(rows, everything):
    page = (everything / "report.html").read_text().replace("<wbr>", "")
    for row in rows.values():
        assert Path(row["file"]).name in page
    for title in ("Size", "Latency", "Accuracy"):
        assert f"<h2>{title}</h2>" in page
    assert page.count('class="bar ') == 3 * len(rows)
    assert "$" not in page
    assert "http" not in page
    assert "src=" not in page


def test_every_precision_has_a_tolerance_with_a_reason():
    limits = get_task("classification").code.LIMITS
    assert {precision for row in FORMATS.values() for precision in row.offers} == set(PRECISIONS) == set(limits)
    assert all(row.tolerance.reason and limits[name].reason for name, row in PRECISIONS.items())


def test_golden_vectors_lie_beside_every_file_and_replay(rows, digits):
    """With the interpreter alone, as a person looking for an error in an app would."""
    for row in rows.values():
        with np.load(f"{row['file']}.golden.npz", allow_pickle=False) as archive:
            golden = {name: archive[name] for name in archive.files}
        about = json.loads(str(golden["about"]))
        assert about["model"] == Path(row["file"]).name
        np.testing.assert_array_equal(golden["pixels"], digits.test.images[:8])
        np.testing.assert_array_equal(golden["labels"], digits.test.labels[:8])
        if row["format"] == "tflite":
            engine = _interpreter(rows, row["precision"])
            (image,), (probabilities,) = engine.get_input_details(), engine.get_output_details()
            for values, expected in zip(golden["input"], golden["probabilities"], strict=True):
                engine.set_tensor(image["index"], values[None])
                engine.invoke()
                scale, zero_point = probabilities["quantization"]
                received = engine.get_tensor(probabilities["index"])[0].astype("f")
                if scale:
                    received = (received - zero_point) * scale
                np.testing.assert_allclose(received, expected, atol=about["tolerance"])
    with np.load(
        f"{rows['tflite', 'int16x8']['file']}.golden.npz"
    ) as archive:  # no engine has kernels of its own for it
        assert json.loads(str(archive["about"]))["tolerance"] == 4 / 256
    with np.load(f"{rows['tflite', 'int8']['file']}.golden.npz") as archive:
        assert archive["input"].dtype == archive["probabilities_raw"].dtype == np.int8


def test_manifests_say_where_files_come_from(rows, digits):
    manifest = json.loads(Path(f"{rows['tflite', 'int8']['file']}.manifest.json").read_text())
    content = Path(rows["tflite", "int8"]["file"]).read_bytes()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    calibration = manifest["calibration"]
    pixels = digits.train.images[calibration["indices"]]
    assert calibration["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert manifest["scales"]["image"] == [1.0, -128]
    assert manifest["verification"]["top1"] == rows["tflite", "int8"]["top1"]
    assert {"keras", "tensorflow"} <= set(manifest["environment"]["packages"])
    assert json.loads(Path(f"{rows['onnx', 'float32']['file']}.manifest.json").read_text())["calibration"] is None


def test_what_does_not_fit_in_memory_is_read_again_and_kept_on_the_disk(rows, source, monkeypatch):
    file = Path(rows["tflite", "int8"]["file"])
    usual = pipeline.verify(file, source, limit=100).rows[0]
    monkeypatch.setattr(evidence, "BUDGET", 1000)
    monkeypatch.setattr(verification, "_IN_MEMORY", 1000)
    kept = []
    room = verification.References._room
    monkeypatch.setattr(verification.References, "_room", lambda *a: kept.append(room(*a)) or kept[-1])
    few = source.evidence(100)
    assert few._kept is None
    assert len(few) == sum(len(examples) for examples, _ in few.chunks(30)) == 100
    small = pipeline.verify(file, source, limit=100).rows[0]
    assert [type(values) for values in kept] == [np.memmap]
    same = dataclasses.replace(small, latency_ms=usual.latency_ms)
    assert same == usual


def test_golden_vectors_are_bounded(rows, source, tmp_path, monkeypatch):
    file = Path(rows["onnx", "float32"]["file"])
    one = 3072 + 4 * 3072 + 4 * 10  # pixels, input, output
    for budget, count in ((1, 1), (3 * one, 3), (10**9, 8)):
        monkeypatch.setattr(golden, "BUDGET", budget)
        target = tmp_path / f"{budget}.npz"
        golden.write(file, target, file.name, source.card.preprocess, source.evidence(20), None)
        arrays, _ = golden.read(target)
        assert {len(values) for values in arrays.values()} == {count}
