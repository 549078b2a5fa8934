"""timm's repositories on the Hugging Face hub, from a cache that the test makes; no network."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from keras_resnet import InputError, build, weights_card

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: hf:// was not tried")
TIMM = json.loads((Path(__file__).parent / "timm_tensors.json").read_text())
REVISION = "0123456789abcdef0123456789abcdef01234567"
CONFIG = {
    "architecture": "resnet10t",
    "num_classes": 10,
    "pretrained_cfg": {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "input_size": [3, 176, 176],
        "crop_pct": 0.95,
    },
}


@pytest.fixture
def cache(zero_kernels, tmp_path, monkeypatch):
    """A function that puts a repository into an otherwise empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(repository, config, state=None):
        folder = tmp_path / f"models--{repository.replace('/', '--')}"
        snapshot = folder / "snapshots" / REVISION
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(REVISION)
        (snapshot / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        if state is not None:
            safetensors.numpy.save_file(state, snapshot / "model.safetensors", {"format": "pt"})

    return put


def _state(name="resnet10t"):
    rng = np.random.default_rng(0)
    return {key: rng.standard_normal(shape).astype("f") for key, shape in TIMM[name].items()}


def test_weights_and_input_convention_of_a_repository(cache):
    state = _state()
    cache("timm/resnet10t.c3_in1k", CONFIG, state)
    model = build("resnet10t", weights="hf://timm/resnet10t.c3_in1k", classes=10, input_shape=(64, 64, 3))
    kernel = model.get_layer("conv2_block1_1_conv").kernel.numpy()
    np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), state["layer1.0.conv1.weight"])
    card = weights_card("hf://timm/resnet10t.c3_in1k", "resnet10t")
    assert card.preprocess.mean == pytest.approx((123.675, 116.28, 103.53))
    assert card.preprocess.std == pytest.approx((58.395, 57.12, 57.375))
    assert card.spec == "resnet10t"
    assert card.crop == 0.95


def test_a_revision_can_be_pinned(cache):
    cache("timm/resnet10t.c3_in1k", CONFIG, _state())
    assert weights_card(f"hf://timm/resnet10t.c3_in1k@{REVISION}", "resnet10t")
    with pytest.raises(InputError, match="cannot be had"):
        weights_card(f"hf://timm/resnet10t.c3_in1k@{'f' * 40}", "resnet10t")


def test_ten_classes_become_three(cache):
    cache("timm/resnet10t.c3_in1k", CONFIG, _state())
    build("resnet10t", weights="hf://timm/resnet10t.c3_in1k", weights_match="adapt", classes=3, input_shape=(64, 64, 1))


@pytest.mark.parametrize(
    ("model", "config", "said"),
    [
        ("resnet18", CONFIG, "timm's resnet10t, here 'resnet10t'; received 'resnet18'"),
        ("resnet50", {**CONFIG, "architecture": "resnet50"}, "here 'resnet50_v1_5'; received 'resnet50'"),
        ("resnet50_v1_5", {**CONFIG, "architecture": "resnetblur50"}, "here 'resnetblur50'; received 'resnet50_v1_5'"),
        ("resnet18", {**CONFIG, "architecture": "vit_base"}, "of a vit_base, which keras_resnet does not build"),
        ("resnet18", {"model_type": "bert"}, "its config.json is not timm's"),
        ("resnet18", "not json", "its config.json is not timm's"),
        ("resnet10t", {**CONFIG, "pretrained_cfg": {}}, "its config.json is not timm's"),
        ("resnet10t", CONFIG, "cannot be had"),  # no model.safetensors
    ],
)
def test_repositories_that_do_not_serve(cache, model, config, said):
    cache("timm/x", config, _state() if config is not CONFIG and model == "resnet10t" else None)
    with pytest.raises(InputError) as error:
        build(model, weights="hf://timm/x")
    assert said in str(error.value)


def test_what_is_not_in_the_cache_is_said_without_a_network(cache):
    with pytest.raises(InputError, match="hf://timm/resnet18.a1_in1k' cannot be had"):
        build("resnet18", weights="hf://timm/resnet18.a1_in1k")


def test_without_huggingface_hub_the_extra_is_named(zero_kernels, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'keras-resnet-toolkit\[hub\]'"):
        build("resnet18", weights="hf://timm/resnet18.a1_in1k")
