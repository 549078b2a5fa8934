"""The nets that the package ships: files that fit, say how they were made, and bring their own input convention."""

import json

import numpy as np
import pytest
import safetensors
from tiers import in_proof

from keras_resnet import build, evaluate, load_dataset, load_model, save_model
from keras_resnet.nets.graph import without_values
from keras_resnet.runtime.opening import open_named
from keras_resnet.signals.conventions import row_of
from keras_resnet.training import finetune_recipe
from keras_resnet.weights import WEIGHT_SETS, load_weights, registry, weights_card
from keras_resnet.weights.files import named_variables
from keras_resnet.weights.registry import SEGMENTER_WEIGHTS

SHIPPED = [row for row in WEIGHT_SETS.values() if not row.md5]
GPU = [row for row in SHIPPED if ", Keras on JAX, " in row.source]
MEAN, STD = (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)  # of benchmarks/trained/train_gpu.py
MOST_BYTES, MOST_TOGETHER = 4_200_000, 20_000_000


def _name(row):
    return f"{row.spec}-{row.name}"


def _tensors(path):
    """Shapes by name, and the strings of the header; no values are read."""
    with safetensors.safe_open(path, framework="numpy") as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}, file.metadata()


def test_the_nets_of_the_tables_are_shipped():
    names = [f"resnet{depth}_cifar" for depth in (32, 44, 56, 110)]
    assert [row.spec for row in GPU] == [*names, "resnetv2_164_cifar"]


@pytest.mark.parametrize("row", SHIPPED, ids=_name)
def test_a_file_has_the_tensors_of_its_net_and_no_other(row):
    with without_values():
        model = build(row.spec)
    shapes = {name: tuple(variable.shape) for name, variable in named_variables(model).items()}
    assert _tensors(row.path(include_top=True))[0] == shapes


@pytest.mark.parametrize("row", [SHIPPED[0], *(in_proof(row) for row in SHIPPED[1:])], ids=_name)
def test_every_tensor_is_used(row, zero_kernels):
    """Loaded in the way that leaves out what does not fit, so that the report says it."""
    model = build(row.spec)
    report = load_weights(model, row.name, match="partial")
    assert report.exact and report.loaded == len(model.weights)
    assert all(np.any(layer.kernel) for layer in model.layers if hasattr(layer, "kernel"))


def test_files_are_within_their_limits():
    sizes = {path: path.stat().st_size for path in registry.FILES.iterdir()}
    assert max(sizes.values()) <= MOST_BYTES and sum(sizes.values()) <= MOST_TOGETHER
    assert sizes.keys() == {row.path(include_top=True) for row in (*SHIPPED, *SEGMENTER_WEIGHTS.values())}


@pytest.mark.parametrize("row", SHIPPED, ids=_name)
def test_a_header_says_what_the_row_says(row):
    assert weights_card(row.path(include_top=True), row.spec) == row.card == weights_card(row.name, row.spec)


@pytest.mark.parametrize("row", GPU, ids=_name)
def test_nets_of_the_gpu_say_how_they_were_made(row):
    header = _tensors(row.path(include_top=True))[1]
    training, environment = json.loads(header["training"]), json.loads(header["environment"])
    assert (training["net"], training["images"], training["held_out"]) == (row.spec, 50_000, False)
    assert (training["peak"], training["decay"]) == (0.2, 5e-4)
    settings = (
        "80 epochs, batch 128, one-cycle, 10 warm-up epochs, Nesterov 0.9, coupled decay, crop-flip, seed 0, bf16"
    )
    assert training["settings"] == settings
    assert row.source.startswith(("benchmarks/trained/", "shared/reference/gpu/"))
    assert environment["script"].rpartition("/")[2] == row.source.partition(",")[0].rpartition("/")[2]
    gpu = training["device"].split()[1]
    assert gpu in ("H100", "H200") and f"one {gpu}, one run with seed 0" in row.source
    assert abs(training["right"] / training["of"] - row.top1) < 0.0005  # in bf16 on the device


@pytest.mark.parametrize("row", GPU, ids=_name)
def test_the_input_convention_of_the_gpu_is_a_row_that_trainings_take(row):
    card = weights_card(row.name, row.spec)
    assert (card.preprocess.mean, card.preprocess.std, card.preprocess.channels) == (MEAN, STD, "rgb")
    assert finetune_recipe(row.name, "digits", model=row.spec).preprocess == row_of(card.preprocess) == "pytorch-cifar"


@pytest.mark.slow
def test_a_net_takes_its_input_convention_along(tmp_path, zero_kernels):
    """`evaluate` and `predict` ask the runner's card, exports that of the model; a saved model has it too."""
    save_model(build("resnet32_cifar", weights="cifar10"), tmp_path / "m.keras")
    runner, pixels = open_named("resnet32_cifar", "cifar10"), np.full((1, 32, 32, 3), 255, np.uint8)
    expected = (255 - np.array(MEAN)) / STD
    for card in (runner.card, load_model(tmp_path / "m.keras")[1]):
        np.testing.assert_allclose(card.preprocess(pixels)[0, 0, 0], expected, rtol=1e-6)


@pytest.mark.proof
def test_resnet56_has_the_accuracy_it_was_trained_to(cifar_dir):
    """9,363 of 10,000 in float32; another processor and float16 may move three."""
    right = evaluate(open_named("resnet56_cifar", "cifar10"), load_dataset("cifar10", cifar_dir).test).top1 * 10_000
    assert abs(right - 9363) <= 3.01
