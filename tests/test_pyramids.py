"""Feature pyramids: published counts, names, and values against NumPy."""

import math

import keras
import numpy as np
import pytest

from keras_resnet import InputError
from keras_resnet.nets.blocks import Primitives
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.graph import without_values
from keras_resnet.nets.options import Options
from keras_resnet.nets.pyramids import PYRAMIDS, PyramidSpec, get_pyramid, pyramid


def _built(spec, channels, size=(64, 32)):
    """A net from maps of a backbone to those of a pyramid."""
    p = Primitives(CONVENTIONS["torch"], keras, Options())
    strides = {2**level: each for level, each in channels.items()}
    taps = {s: keras.Input((size[0] // s, size[1] // s, width), name=f"c{s}") for s, width in strides.items()}
    return keras.Model(
        {f"c{s}": each for s, each in taps.items()}, {f"p{s}": each for s, each in pyramid(p, taps, spec).items()}
    )


RESNET50 = {2: 256, 3: 512, 4: 1024, 5: 2048}


@pytest.mark.parametrize(
    ("name", "parameters", "strides"),  # torchvision's modules
    [
        ("fpn", 3_868_672, (8, 16, 32, 64, 128)),
        ("fpn_c5", 7_997_440, (8, 16, 32, 64, 128)),
        ("fpn_pool", 3_344_384, (4, 8, 16, 32, 64)),
    ],
)
def test_published_pyramids_have_their_exact_size(name, parameters, strides):
    with without_values():
        net = _built(PYRAMIDS[name], RESNET50)
    assert sum(math.prod(variable.shape) for variable in net.trainable_variables) == parameters
    assert PYRAMIDS[name].strides == strides
    shapes = {name: tensor.shape[1:] for name, tensor in net.output.items()}
    assert shapes == {f"p{s}": (math.ceil(64 / s), math.ceil(32 / s), 256) for s in strides}


def test_names_of_layers_say_their_level():
    with without_values():
        net = _built(PYRAMIDS["fpn"], {3: 4, 4: 8, 5: 16})
    convolutions = {layer.name for layer in net.layers if isinstance(layer, keras.layers.Conv2D)}
    laterals = {f"fpn_p{n}_lateral_conv" for n in (3, 4, 5)}
    assert convolutions == laterals | {f"fpn_p{n}_conv" for n in (3, 4, 5, 6, 7)}
    light = _built(PYRAMIDS["light"], {3: 4, 4: 8, 5: 16})
    assert {tensor.shape[-1] for tensor in light.outputs} == {128} and len(light.outputs) == 3


def _convolved(x, kernel, bias, stride=1):
    """A convolution with a border of zeros as wide on every side, in loops."""
    pad, (n, h, w, _) = kernel.shape[0] // 2, x.shape
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    size = (h + 2 * pad - kernel.shape[0]) // stride + 1, (w + 2 * pad - kernel.shape[1]) // stride + 1
    out = np.zeros((n, *size, kernel.shape[-1])) + bias
    for i in range(size[0]):
        for j in range(size[1]):
            rows, columns = i * stride, j * stride
            window = x[:, rows : rows + kernel.shape[0], columns : columns + kernel.shape[1]]
            out[:, i, j] += np.einsum("nabc,abco->no", window, kernel)
    return out


@pytest.mark.parametrize("source", ["output", "backbone", "pool"])
def test_maps_are_joined_from_the_deepest_upwards_as_numpy_does(source):
    spec = PyramidSpec(name="mine", levels=(1, 2), width=4, extra=2, source=source)
    net = _built(spec, {1: 3, 2: 5}, size=(16, 24))
    rng = np.random.default_rng(0)
    values = {}
    for layer in net.layers:
        if layer.weights:
            layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
            values[layer.name] = [np.asarray(weight, "d") for weight in layer.get_weights()]
    c1, c2 = (rng.normal(size=(2, *size)) for size in ((8, 12, 3), (4, 6, 5)))
    received = net({"c2": c1.astype("f"), "c4": c2.astype("f")})

    deep = _convolved(c2, *values["fpn_p2_lateral_conv"])
    joined = _convolved(c1, *values["fpn_p1_lateral_conv"]) + deep.repeat(2, axis=1).repeat(2, axis=2)
    expected = {
        "p2": _convolved(joined, *values["fpn_p1_conv"]),
        "p4": _convolved(deep, *values["fpn_p2_conv"]),
    }
    if source == "pool":
        expected["p8"] = expected["p4"][:, ::2, ::2]
        expected["p16"] = expected["p8"][:, ::2, ::2]
    else:
        start = expected["p4"] if source == "output" else c2
        expected["p8"] = _convolved(start, *values["fpn_p3_conv"], stride=2)
        expected["p16"] = _convolved(np.maximum(expected["p8"], 0), *values["fpn_p4_conv"], stride=2)
    assert set(received) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(received[name], value, atol=1e-5 * np.abs(value).max(), err_msg=name)


def test_what_cannot_be_joined_is_said_in_a_line():
    with pytest.raises(InputError, match="at strides 8, 16, 32; the backbone has them at 4, 8: take another"):
        _built(PYRAMIDS["fpn"], {2: 4, 3: 8})
    with pytest.raises(InputError, match=r"the map at stride 8 is \(5, 4\), not twice \(2, 2\)"):
        _built(PYRAMIDS["fpn"], {3: 4, 4: 4, 5: 4}, size=(40, 32))
    with pytest.raises(InputError, match="unknown pyramid 'fpm': did you mean"):
        get_pyramid("fpm")
    with pytest.raises(InputError, match="unknown source of extra levels 'p5'"):
        PyramidSpec(name="mine", source="p5")
    for how in ({"levels": (3, 5)}, {"levels": ()}, {"levels": (4, 3)}, {"width": 1.5}, {"extra": True}):
        with pytest.raises(InputError, match=r"expected levels like \(3, 4, 5\)"):
            PyramidSpec(name="mine", **how)
    for how in ({"width": 0}, {"extra": -1}):
        with pytest.raises(InputError, match="expected whole numbers from 1 and from 0"):
            PyramidSpec(name="mine", **how)
