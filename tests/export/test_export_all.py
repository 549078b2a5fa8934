"""`python -m export --all`: every file, looked at from outside our own readers."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from export.formats import FORMATS, all_artifacts
from export.onnx import OPSET
from export.verify import TOLERANCES
from keras_resnet.card import ModelCard

pytestmark = pytest.mark.slow
KEYS = [
    *("file", "format", "precision", "size_bytes", "operators", "max_abs", "cosine", "agreement"),
    *("top1", "top1_reference", "latency_ms", "gates"),
]
TFLITE = [a.precision for a in all_artifacts() if a.format.name == "tflite"]
ONNX = [a.precision for a in all_artifacts() if a.format.name == "onnx"]


def test_every_artifact_has_a_row_and_a_file(rows, everything):
    assert set(rows) == {(a.format.name, a.precision) for a in all_artifacts()}
    for row in rows.values():
        assert list(row) == KEYS
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
    dtype = np.dtype(FORMATS["tflite"].io.get(precision, "float32"))
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
    network = {"CONV_2D": 9, "ADD": 3, "MEAN": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert {name: count for name, count in operators.items() if name != "DEQUANTIZE"} == network  # all BN folded


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


def test_onnx_folds_batch_normalisation(rows):
    operators = rows["onnx", "float32"]["operators"]
    assert (operators["Conv"], operators["Relu"], operators["Transpose"]) == (9, 7, 1)
    assert "Mul" not in operators
    assert "BatchNormalization" not in operators


def test_onnx_int8_has_unsigned_activations_and_signed_seven_bit_weights(rows):
    graph = onnx.load(rows["onnx", "int8"]["file"]).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [array for array in arrays.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(kernels) == 9
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
        if form == "tflite":
            with zipfile.ZipFile(row["file"]) as archive:
                text = archive.read("keras_resnet.json")
        else:
            text = {p.key: p.value for p in onnx.load(row["file"]).metadata_props}["keras_resnet"]
        assert wanted.items() <= json.loads(text).items()
        assert ModelCard.loads(text, "file").preprocess.mean == (127.5,)


def test_accuracy_is_what_the_engines_say_themselves(rows, digits):
    """Replays the int8 file with the interpreter alone, as a person on a phone would."""
    engine = _interpreter(rows, "int8")
    (image,), (probabilities,) = engine.get_input_details(), engine.get_output_details()
    scale, zero_point = image["quantization"]
    right = 0
    for pixels, label in zip(digits.test.images, digits.test.labels, strict=True):
        values = (pixels.astype("f") - 127.5) / 127.5
        engine.set_tensor(image["index"], np.clip(np.round(values / scale + zero_point), -128, 127).astype("i1")[None])
        engine.invoke()
        right += engine.get_tensor(probabilities["index"])[0].argmax() == label
    assert right / 360 == pytest.approx(rows["tflite", "int8"]["top1"], abs=1e-9)


def test_report_page_is_complete_and_needs_nothing_else(rows, everything):
    page = (everything / "report.html").read_text()
    for row in rows.values():
        assert Path(row["file"]).name in page
    for title in ("Size", "Latency", "Accuracy"):
        assert f"<h2>{title}</h2>" in page
    assert page.count('class="bar ') == 3 * len(rows)
    assert "$" not in page
    assert "http" not in page
    assert "src=" not in page


def test_every_precision_has_a_tolerance_with_a_reason():
    assert {a.precision for a in all_artifacts()} == set(TOLERANCES)
    assert all(tolerance.reason for tolerance in TOLERANCES.values())
