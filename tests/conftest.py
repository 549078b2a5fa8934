"""Two logical CPU devices always, a quiet TensorFlow, and the fixtures that several files share."""

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = tempfile.mkdtemp()  # nothing of the developer's own, and Keras writes its settings there

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet import preprocessing, runners, training

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Commands look for runs/ and write exports/ in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def digits():
    return keras_resnet.load_dataset("digits")


@pytest.fixture(scope="session")
def digits_runner():
    """The trained model that ships with the package."""
    return runners.open_named("resnet8", "digits")


@pytest.fixture(scope="session")
def mini_spec():
    """A net of 1,000 parameters for tests that are not about the net."""
    return keras_resnet.ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=4, classes=10)


@pytest.fixture(scope="session")
def short_recipe():
    recipe = training.RECIPES["digits-resnet8"]
    return dataclasses.replace(recipe, epochs=2, batch_size=64, warmup_epochs=0.0, subset=640)


@pytest.fixture(scope="session")
def short_run(short_recipe, tmp_path_factory):
    """A run directory after two epochs."""
    return training.train(short_recipe, run_dir=tmp_path_factory.mktemp("run"), verbose=False).run_dir


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Forty small images in two classes, red and blue, PNG and JPEG."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (root / name).mkdir()
        for number in range(20):
            pixels = rng.integers(0, 80, (12, 16, 3), np.uint8)
            pixels[..., channel] += 150
            suffix, encode = (".png", tf.io.encode_png) if number % 2 else (".jpg", tf.io.encode_jpeg)
            (root / name / f"{number:02}{suffix}").write_bytes(encode(pixels).numpy())
    return root


@pytest.fixture(scope="session")
def cifar_dir(tmp_path_factory):
    """A folder with the official CIFAR-10 files; where there is none, tests skip."""
    if "CIFAR10_DIR" in os.environ:
        return Path(os.environ["CIFAR10_DIR"])
    unpack = SHARED / "cifar10" / "unpack.py"
    if not unpack.exists():
        pytest.skip("no real CIFAR-10: set CIFAR10_DIR to the folder that holds cifar-10-batches-bin")
    folder = tmp_path_factory.mktemp("cifar")
    subprocess.run([sys.executable, str(unpack), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture
def tf_preprocess():
    return preprocessing.PREPROCESS["tf"]
