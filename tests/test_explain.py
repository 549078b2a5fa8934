"""Heat maps against the logit they decompose, finite differences, and nets whose answer is known."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, cli
from keras_resnet.explain import METHODS, Net, cam, explain, grad_cam, integrated_gradients, occlusion, pooled_features
from keras_resnet.explain.drawing import overlay
from keras_resnet.explain.grids import feature_maps, first_filters
from keras_resnet.explain.pixels import _slopes
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks import sole

KINDS = {"resnet18": 64, "resnetv2_18": 64, "resnet50": 64, "seresnet50": 64, "resnet20_cifar": 32}  # pixels


@pytest.fixture(scope="module")
def net():
    return Net(keras_resnet.build("resnet8", weights="digits"))


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:6]


@pytest.fixture(scope="module")
def prepared(images, digits_runner):
    return digits_runner.card.preprocess(images)


def logits_of(name: str, **how) -> np.ndarray:
    return keras_resnet.build(name, classifier_activation=None, **how)


@pytest.mark.slow
def test_cam_is_the_exact_decomposition_of_the_logit(net, prepared):
    expected = logits_of("resnet8", weights="digits").predict(prepared, verbose=0)
    bias = net.model.get_layer("predictions").bias.numpy()
    for cls in range(10):
        maps = cam(net, prepared, np.full(6, cls))
        np.testing.assert_allclose(maps.mean(axis=(1, 2)) + bias[cls], expected[:, cls], rtol=1e-4, atol=1e-4)


def test_logits_and_probabilities_leave_the_model_as_it_is(net, prepared):
    before = net.model.predict(prepared, verbose=0)
    scores = net.logits(prepared).numpy()
    np.testing.assert_allclose(scores, logits_of("resnet8", weights="digits").predict(prepared, verbose=0), atol=1e-4)
    np.testing.assert_allclose(net.model.predict(prepared, verbose=0), before, atol=1e-6)
    assert net.model.layers[-1].activation is keras.activations.softmax
    assert all("call" not in vars(layer) for layer in net.model.layers)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n if n in ("resnetv2_18", "seresnet50") else in_proof(n) for n in KINDS])
def test_cam_and_grad_cam_agree_for_every_kind_of_net(name):
    """With average pooling and one dense layer, Grad-CAM's positive part is CAM's, up to the number of positions."""
    spec, size = keras_resnet.nets.specs.get_spec(name), KINDS[name]
    small = dataclasses.replace(spec, width=16, depths=(2, *(1 for _ in spec.depths[1:])))
    model = keras_resnet.build(small, input_shape=(size, size, 3), classes=7)
    net = Net(model)
    x = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("f")
    exact = cam(net, x, np.array([1, 6]))
    found = grad_cam(net, x, np.array([1, 6]))
    positions = exact.shape[1] * exact.shape[2]
    np.testing.assert_allclose(found * positions, np.maximum(exact, 0), rtol=1e-3, atol=1e-4 * np.abs(exact).max())


def test_slopes_against_finite_differences(net, prepared):
    x = prepared[:1].astype("f")
    found = _slopes(net, x, np.array([3]))
    for place in ((0, 10, 12, 0), (0, 20, 16, 2), (0, 15, 15, 1)):
        step = np.zeros_like(x)
        step[place] = 5e-3
        difference = (net.logits(x + step)[0, 3] - net.logits(x - step)[0, 3]) / 1e-2
        assert found[place] == pytest.approx(float(difference), abs=0.05 + 0.05 * abs(float(difference)))


@pytest.mark.proof
def test_integrated_gradients_are_complete(net, prepared):
    classes = np.array([0, 3])
    maps, errors = integrated_gradients(net, prepared[:2], classes, -1.0)
    logits = net.logits(np.concatenate([prepared[:2], np.full((1, 32, 32, 3), -1.0)])).numpy()
    for place, cls in enumerate(classes):
        change = logits[place, cls] - logits[2, cls]
        assert maps[place].sum() == pytest.approx(change, rel=0.0101)
        assert errors[place] <= 0.01


def test_integrated_gradients_of_a_linear_net_are_its_terms():
    image = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones")(image)
    x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(2, kernel_initializer="normal")(x))
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype("f")
    maps, _ = integrated_gradients(Net(model), x, np.array([1]))
    kernel = model.layers[-1].kernel.numpy()[:, 1].reshape(4, 4)
    np.testing.assert_allclose(maps[0, ..., 0], x[0, ..., 0] * kernel, rtol=1e-4, atol=1e-6)


def corner_net() -> keras.Model:
    """Class 1 is the brightness of the upper left quarter."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(1, 1, kernel_initializer="ones", use_bias=False)(image / 255)
    x = keras.layers.Cropping2D(((0, 8), (0, 8)))(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    kernel = keras.initializers.Constant([[-1.0, 1.0]])
    return keras.Model(image, keras.layers.Dense(2, activation="softmax", kernel_initializer=kernel)(x))


@pytest.mark.parametrize("method", ["integrated-gradients", "smoothgrad", "occlusion"])
def test_methods_find_the_part_that_decides(method):
    pixels = np.random.default_rng(0).integers(60, 255, (2, 16, 16, 3)).astype(np.uint8)
    found = explain(corner_net(), pixels, method=method, classes=1)
    inside, outside = found.heat[:, :8, :8], np.delete(found.heat, np.s_[:10], axis=1)
    assert (inside > 0).mean() > 0.9
    np.testing.assert_allclose(outside, 0, atol=1e-6)


def test_occlusion_against_a_loop(digits_runner, images):
    found = occlusion(digits_runner, images[:1], np.array([3]), window=8, stride=8)
    whole = sole(digits_runner(digits_runner.card.preprocess(images[:1])), "probabilities")[0, 3]
    for top in (0, 8, 24):
        covered = images[:1].copy()
        covered[:, top : top + 8, 16:24] = 127
        fall = whole - sole(digits_runner(digits_runner.card.preprocess(covered)), "probabilities")[0, 3]
        np.testing.assert_allclose(found[0, top : top + 8, 16:24], fall, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        "cam",
        "grad-cam++",
        *(in_proof(m) for m in ("grad-cam", "integrated-gradients", "smoothgrad")),
    ],
)
def test_a_randomised_net_gives_another_map(method, digits_runner, images):
    """Sanity check of Adebayo et al. 2018, arXiv:1810.03292: a map that ignores the weights explains nothing."""
    twin = keras.models.clone_model(digits_runner.model)
    random = KerasRunner(twin, digits_runner.card)
    images = images[:2] if method == "integrated-gradients" else images
    classes = list(sole(digits_runner(digits_runner.card.preprocess(images)), "probabilities").argmax(1))
    a, b = (explain(r, images, method=method, classes=classes).heat for r in (digits_runner, random))
    again = explain(digits_runner, images, method=method, classes=classes).heat
    same = np.mean([np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, again, strict=True)])
    other = np.nanmean([np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)])
    assert same > 0.99
    assert other < 0.7


@pytest.mark.proof
def test_nested_models_and_preprocessing_layers(digits_runner, images):
    """The same map, however the model is put together."""
    backbone = keras.Model(digits_runner.model.input, digits_runner.model.get_layer("avg_pool").input, name="backbone")
    head = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.5), keras.layers.Dense(10, activation="softmax")]
    )
    nested = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 127.5, -1), backbone, head])
    nested.layers[-1].layers[-1].set_weights(digits_runner.model.get_layer("predictions").get_weights())
    for method in ("cam", "grad-cam", "grad-cam++", "integrated-gradients"):
        flat = explain(digits_runner, images[:2], method=method)
        deep = explain(nested, images[:2], method=method)
        np.testing.assert_allclose(deep.heat, flat.heat, atol=2e-2 * np.abs(flat.heat).max())
    inner = next(step.name for step in Net(nested).steps if step.name.endswith("conv2_block1_out"))
    for layer in (inner, "conv2_block1_out"):
        assert explain(nested, images[:2], layer=layer).heat.shape == (2, 32, 32)


def test_layers_of_any_place(digits_runner, images):
    early, late = (explain(digits_runner, images, layer=name).heat for name in ("conv2_block1_out", "conv4_block1_out"))
    assert np.abs(early - late).max() > 0
    np.testing.assert_array_equal(late, explain(digits_runner, images).heat)  # the default


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"method": "gradcam"}, "did you mean grad-cam"),
        ({"layer": "conv2_block1_ou"}, "did you mean conv2_block1_out"),
        ({"layer": "predictions"}, "expected a feature map"),
        ({"method": "cam", "layer": "conv2_block1_out"}, "use grad-cam"),
        ({"method": "occlusion", "layer": "conv2_block1_out"}, "leave out layer"),
        ({"classes": 10}, "expected 0 to 9"),
        ({"classes": [1, 2]}, "one for each"),
    ],
)
def test_mistakes(how, message, digits_runner, images):
    with pytest.raises(InputError, match=message):
        explain(digits_runner, images, **how)


def test_models_that_cannot_be_looked_into(images):
    dense = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="no convolution"):
        explain(dense, images)
    flat = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(InputError, match="cam needs a net that ends"):
        explain(flat, images, method="cam")


def test_filters_and_feature_maps(net, prepared):
    name, filters = first_filters(net)
    kernel = net.model.get_layer("conv1_conv").kernel.numpy()
    assert (name, filters.shape) == ("conv1_conv", (16, 3, 3, 3))
    assert np.corrcoef(filters[5].ravel(), kernel[..., 5].ravel())[0, 1] == pytest.approx(1)
    assert filters.min() >= 0
    assert filters.max() <= 1
    name, tiles = feature_maps(net, prepared[0], "conv2_block1_out")
    tap = keras.Model(net.model.input, net.model.get_layer("conv2_block1_out").output)(prepared[:1]).numpy()[0]
    assert tiles.shape == (16, 32, 32, 1)
    assert np.corrcoef(tiles[2].ravel(), tap[..., 2].ravel())[0, 1] == pytest.approx(1)


def test_pooled_features_against_the_graph(digits_runner, images):
    name, features = pooled_features(digits_runner, images)
    tap = keras.Model(digits_runner.model.input, digits_runner.model.get_layer("avg_pool").output)
    assert name == "avg_pool"
    np.testing.assert_allclose(features, tap(digits_runner.card.preprocess(images)), atol=1e-5)


def test_overlays_show_the_image_where_nothing_is():
    image = np.full((4, 4, 3), 100, np.uint8)
    heat = np.zeros((4, 4))
    heat[0, 0], heat[3, 3] = 1, -1
    made = overlay(image, heat, signed=True)
    np.testing.assert_array_equal(made[1, 1], 100)
    assert made[0, 0, 0] > made[0, 0, 2]  # red for
    assert made[3, 3, 2] > made[3, 3, 0]  # blue against


@pytest.fixture
def photo(tmp_path, digits):
    path = tmp_path / "photo.png"
    Image.fromarray(digits.test.images[0]).save(path)
    return path


MODEL = ["explain", "--model", "resnet8", "--weights", "digits"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [m if m == "grad-cam" else in_proof(m) for m in METHODS])
def test_the_command_draws(method, photo, tmp_path, capsys):
    assert cli.main([*MODEL, str(photo), "--method", method, "-o", "out.png", "--top", "2"]) == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width > 300
    assert "written: out.png" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_writes_pages(photo, tmp_path):
    assert cli.main([*MODEL, str(photo), "--class", "3", "-o", "a.html", "--json", "a.json"]) == 0
    assert cli.main([*MODEL, "--filters", "-o", "filters.html"]) == 0
    assert cli.main([*MODEL, str(photo), "--feature-maps", "--layer", "conv3_block1_out", "-o", "maps.png"]) == 0
    assert 'alt="' in (tmp_path / "a.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("projection", ["pca", in_proof("tsne")])
def test_the_command_draws_embeddings(projection, tmp_path):
    arguments = ["--embeddings", "--data", "digits", "--limit", "40", "--projection", projection]
    assert cli.main([*MODEL, *arguments, "-o", "points.html"]) == 0
    assert (tmp_path / "points.html").read_text().count("<title>image ") == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.png"], "expected an image"),
        (["none.png", "-o", "a.png"], "none.png"),
        (["broken.png", "-o", "a.png"], "broken.png"),
        (["photo.png", "-o", "a.gif"], ".png or .html"),
        (["photo.png", "-o", "a.png", "--class", "10"], "classes 0 to 9"),
        (["photo.png", "-o", "a.png", "--class", "cat"], "unknown class"),
        (["photo.png", "-o", "a.png", "--layer", "conv9"], "unknown layer"),
        (["photo.png", "-o", "photo.png"], "exists"),
        (["--filters", "--embeddings", "-o", "a.png"], "expected one of"),
        (["--embeddings", "-o", "a.html"], "go together"),
        (["photo.png", "--top", "0", "-o", "a.png"], "from 1"),
    ],
)
def test_mistakes_are_one_line(arguments, message, photo, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert cli.main([*MODEL, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "a.png").exists()
