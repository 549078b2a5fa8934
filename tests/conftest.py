"""One thread and two logical CPU devices always, a quiet TensorFlow, and the fixtures that several files share.

Nothing heavy is imported here: with pytest-xdist the controlling process reads this file too, and runs no test.
"""

import dataclasses
import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import forked
import pytest
import tiers

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["KERAS_HOME"] = tempfile.mkdtemp()  # nothing of the developer's own, and Keras writes its settings there
for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # two processes share two cores

ROOT = Path(__file__).resolve().parents[1]
SHARED = tiers.SHARED


def pytest_addoption(parser):
    tiers.add_options(parser)


def pytest_configure(config):
    config.pluginmanager.register(tiers, "tiers")


def pytest_collection_finish(session):
    """Everything is imported, and nothing of TensorFlow has run: the moment to fork."""
    config = session.config
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput") or config.getoption("collectonly"):
        return
    gc.collect()
    gc.set_threshold(100_000, 20, 50)
    gc.freeze()  # half a million objects of imports, that collections need not look at
    forked.start()
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    tiers.begin(config)


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Commands look for runs/ and write exports/ in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _cold_start(request, monkeypatch):
    """Programs that a test starts are forked, but for a test whose subject is the start or another environment."""
    monkeypatch.setattr(forked.Forked, "cold", request.node.get_closest_marker("cold_start") is not None)


@pytest.fixture
def zero_kernels(monkeypatch):
    """Kernels begin as zeros, for nets whose values are loaded: random ones are most of the time that a net takes."""
    import keras

    draws = keras.initializers.VarianceScaling
    monkeypatch.setattr(draws, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """A function that has a folder made by the first of pytest's processes that asks for it."""
    base = tmp_path_factory.getbasetemp()

    def make(name, maker):
        folder = (base if worker_id == "master" else base.parent) / name
        with filelock.FileLock(f"{folder}.lock"):
            if not Path(f"{folder}.made").exists():
                maker(folder)
                Path(f"{folder}.made").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def digits():
    import keras_resnet

    return keras_resnet.load_dataset("digits")


@pytest.fixture(scope="session")
def digits_runner():
    """The trained model that ships with the package."""
    from keras_resnet.runtime import opening as runners

    return runners.open_named("resnet8", "digits")


@pytest.fixture(scope="session")
def mini_spec():
    """A net of 1,000 parameters for tests that are not about the net."""
    import keras_resnet

    return keras_resnet.ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=4, classes=10)


def _short_recipe():
    from keras_resnet import training

    recipe = training.RECIPES["digits-resnet8"]
    return dataclasses.replace(recipe, model="mini", epochs=2, batch_size=32, warmup_epochs=0.0, subset=256)


@pytest.fixture
def short_recipe(mini_spec, monkeypatch):
    """Two epochs of eight steps with the net of 1,000 parameters, which recipes know by its name."""
    from keras_resnet.nets.specs import SPECS

    monkeypatch.setitem(SPECS, "mini", mini_spec)
    return _short_recipe()


@pytest.fixture(scope="session")
def short_run(mini_spec, made_once):
    """A run directory after two epochs."""
    from keras_resnet import training
    from keras_resnet.nets.specs import SPECS

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SPECS, "mini", mini_spec)
            training.train(_short_recipe(), run_dir=folder, verbose=False)

    return made_once("short_run", make)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Forty small images in two classes, red and blue, PNG and JPEG."""
    import numpy as np
    import tensorflow as tf

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
def cifar_dir(made_once):
    """A folder with the official CIFAR-10 files; where there is none, tests skip."""
    if "CIFAR10_DIR" in os.environ:
        return Path(os.environ["CIFAR10_DIR"])
    unpack = SHARED / "cifar10" / "unpack.py"
    if not unpack.exists():
        pytest.skip("no real CIFAR-10: set CIFAR10_DIR to the folder that holds cifar-10-batches-bin")
    return made_once("cifar", lambda folder: subprocess.run([sys.executable, unpack, folder], check=True))


@pytest.fixture(scope="session")
def cifar_few():
    """The first 400 test images of CIFAR-10 and their labels; all 10,000 are for the proof tier (`cifar_dir`)."""
    import numpy as np
    from PIL import Image

    folder = SHARED / "cifar10"
    if not folder.exists():
        pytest.skip("no ../shared/data/cifar10: real CIFAR-10 images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # a mosaic of 100 x 100 images
        rows = np.asarray(Image.open(folder / "test_batch.webp").convert("RGB").crop((0, 0, 3200, 128)))
    pixels = rows.reshape(4, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(400, 32, 32, 3)
    return pixels, np.load(folder / "labels.npz")["test"][:400].astype(np.int64)


@pytest.fixture
def tf_preprocess():
    from keras_resnet.signals import conventions as preprocessing

    return preprocessing.PREPROCESS["tf"]
