"""Nets with a part against aliasing, in files: average pools and a reflected border, which every converter knows."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

from export import memory
from export.formats import onnx, tflite
from export.formats.artifacts import artifact
from keras_resnet import ResNetSpec, build, open_runner
from keras_resnet.compression import rewriting
from keras_resnet.nets.compressed import FakeQuantize

pytestmark = pytest.mark.proof


@pytest.fixture(params=["blur", "mean"])
def model(request):
    mini = ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="deep", shortcut="D", width=8, classes=10)
    spec = dataclasses.replace(mini, antialiasing=request.param)
    image = keras.Input((32, 32, 3), name="image")
    net = build(spec, input_tensor=image)
    return keras.Model(image, {"probabilities": net.output})


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((16, 32, 32, 3)).astype("f")


@pytest.mark.parametrize(("name", "limit"), [("tflite:float32", 1e-5), ("onnx:float32", 1e-5), ("tflite:int8", 0.03)])
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
def test_files_compute_what_keras_does(model, images, name, limit, tmp_path):
    form = {"tflite": tflite, "onnx": onnx}[name.partition(":")[0]]
    path = tmp_path / f"m.{name.partition(':')[0]}"
    form.convert(model, artifact(name, input="normalized"), images, path)
    expected = model.predict_on_batch(images)["probabilities"]
    runner = open_runner(path, trusted=True)
    assert np.abs(runner(images)["probabilities"] - expected).max() <= limit
    assert np.ptp(expected) > 4 * limit
    if name == "tflite:int8":
        found = memory.of_file(path)
        assert found.activations == memory.of_model(model, raw=False, planned=False).activations


def test_a_saved_model_opens_without_this_package(model, images, tmp_path):
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys; sys.modules['keras_resnet'] = None; import keras, numpy as np\n"
        "model = keras.saving.load_model('m.keras')\n"
        "np.save('received.npy', model.predict_on_batch(np.load('images.npy'))['probabilities'])\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    expected = model.predict_on_batch(images)["probabilities"]
    np.testing.assert_allclose(np.load(tmp_path / "received.npy"), expected, atol=1e-6)


def test_pools_of_nets_that_are_trained_for_integers_have_the_range_of_their_input(model):
    clone = rewriting.compressed(model, lambda layer: (), bits=8)
    ranges = {layer.name for layer in clone.layers if isinstance(layer, FakeQuantize)}
    assert {"pool1_pool_range", "conv3_block1_1_relu_range"} & ranges == {"conv3_block1_1_relu_range"}
    assert not [name for name in ranges if "blur" in name or "mean" in name or "pad" in name]
    assert clone.count_params() == model.count_params() + sum(len(clone.get_layer(name).weights) for name in ranges)
