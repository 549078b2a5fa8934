"""One block of every kind against a reference in NumPy, written from the papers and not from blocks.py."""

import keras
import numpy as np
import pytest

from keras_resnet import ResNetSpec
from keras_resnet.nets.blocks import Primitives, residual_block, stem_pool, zero_pad_shortcut
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.interface import BlockSpec
from keras_resnet.nets.options import Options

NAME = "conv3_block1"


class Reference:
    """The layers of one block in NumPy, by name."""

    def __init__(self, model, epsilon):
        """Takes the block's weights."""
        self.weights = {f"{layer.name}/{w.name}": w.numpy() for layer in model.layers for w in layer.weights}
        self.epsilon = epsilon

    def conv(self, x, part, stride=1, pad=(0, 0), groups=1, dilation=1):
        kernel = self.weights[f"{NAME}_{part}_conv/kernel"]
        size = (kernel.shape[0] - 1) * dilation + 1
        x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
        windows = windows[:, ::stride, ::stride, :, ::dilation, ::dilation]
        parts = zip(np.split(windows, groups, axis=3), np.split(kernel, groups, axis=3), strict=True)
        y = np.concatenate([np.einsum("nhwcij,ijco->nhwo", w, k) for w, k in parts], axis=-1)
        return y + self.weights.get(f"{NAME}_{part}_conv/bias", 0)

    def norm(self, x, part):
        gamma, beta, mean, variance = (
            self.weights[f"{NAME}_{part}_bn/{v}"] for v in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + self.epsilon) * gamma + beta

    def conv_norm(self, x, part, **how):
        return self.norm(self.conv(x, part, **how), part)

    def squeeze_and_excite(self, x):
        gate = relu(self.conv(x.mean(axis=(1, 2), keepdims=True), "se_1"))
        return x / (1 + np.exp(-self.conv(gate, "se_2")))


def relu(x):
    return np.maximum(x, 0)


def mean_of_four(x):
    """2x2 average pool with stride 2; at an odd border the mean of what is there."""
    n, h, w, c = x.shape
    y = np.empty((n, -(-h // 2), -(-w // 2), c), x.dtype)
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            y[:, row, column] = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean(axis=(1, 2))
    return y


BOTH = (1, 1)  # a 3x3 convolution's zeros before and behind, as in Caffe and PyTorch


def same(size):
    """Of a 3x3 convolution with stride 2, as TensorFlow has it."""
    return (1, 1) if size % 2 else (0, 1)


def basic(r, x):
    shortcut = r.conv_norm(x, "0", stride=2)
    y = relu(r.conv_norm(x, "1", stride=2, pad=BOTH))
    return relu(shortcut + r.conv_norm(y, "2", pad=BOTH))


def basic_identity(r, x):
    return relu(x + r.conv_norm(relu(r.conv_norm(x, "1", pad=BOTH)), "2", pad=BOTH))


def basic_c(r, x):
    return relu(r.conv_norm(x, "0") + r.conv_norm(relu(r.conv_norm(x, "1", pad=BOTH)), "2", pad=BOTH))


def plain(r, x):
    return relu(r.conv_norm(relu(r.conv_norm(x, "1", stride=2, pad=BOTH)), "2", pad=BOTH))


def option_a(r, x):
    shortcut = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (4, 4)))
    y = relu(r.conv_norm(x, "1", stride=2, pad=BOTH))
    return relu(shortcut + r.conv_norm(y, "2", pad=BOTH))


def option_d(r, x):
    shortcut = r.conv_norm(mean_of_four(x), "0")
    y = relu(r.conv_norm(x, "1", stride=2, pad=BOTH))
    return relu(shortcut + r.conv_norm(y, "2", pad=BOTH))


def mlperf_tiny(r, x):
    shortcut = r.conv(x, "0", stride=2)
    y = relu(r.conv_norm(x, "1", stride=2, pad=same(x.shape[1])))
    return relu(shortcut + r.conv_norm(y, "2", pad=BOTH))


def bottleneck_2015(r, x):
    y = relu(r.conv_norm(x, "1", stride=2))
    y = relu(r.conv_norm(y, "2", pad=BOTH))
    return relu(r.conv_norm(x, "0", stride=2) + r.conv_norm(y, "3"))


def bottleneck_v1_5(r, x, groups=1):
    y = relu(r.conv_norm(x, "1"))
    y = relu(r.conv_norm(y, "2", stride=2, pad=BOTH, groups=groups))
    return relu(r.conv_norm(x, "0", stride=2) + r.conv_norm(y, "3"))


def resnext(r, x):
    return bottleneck_v1_5(r, x, groups=4)


def squeeze(r, x):
    y = relu(r.conv_norm(x, "1"))
    y = relu(r.conv_norm(y, "2", stride=2, pad=BOTH))
    return relu(r.conv_norm(x, "0", stride=2) + r.squeeze_and_excite(r.conv_norm(y, "3")))


def preactivation_basic(r, x):
    entry = relu(r.norm(x, "preact"))
    y = relu(r.conv_norm(entry, "1", stride=2, pad=BOTH))
    return r.conv(entry, "0", stride=2) + r.conv(y, "2", pad=BOTH)


def preactivation_bottleneck(r, x):
    entry = relu(r.norm(x, "preact"))
    y = relu(r.conv_norm(relu(r.conv_norm(entry, "1")), "2", stride=2, pad=BOTH))
    return r.conv(entry, "0", stride=2) + r.conv(y, "3")


def keras_v2_last_block(r, x):
    """The identity is subsampled, not projected."""
    entry = relu(r.norm(x, "preact"))
    y = relu(r.conv_norm(relu(r.conv_norm(entry, "1")), "2", stride=2, pad=BOTH))
    return x[:, ::2, ::2] + r.conv(y, "3")


def dilated_basic(r, x):
    """Where a stride of 2 became a dilation: the convolution that strode keeps its own, the next one doubles."""
    shortcut = r.conv_norm(x, "0")
    y = relu(r.conv_norm(x, "1", pad=(2, 2), dilation=2))
    return relu(shortcut + r.conv_norm(y, "2", pad=(4, 4), dilation=4))


def dilated_d(r, x):
    """As in timm's AvgPool2dSame: means of four, where zeros behind the last row and column count."""
    end = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    pooled = (end[:, :-1, :-1] + end[:, 1:, :-1] + end[:, :-1, 1:] + end[:, 1:, 1:]) / 4
    y = relu(r.conv_norm(x, "1", pad=BOTH))
    return relu(r.conv_norm(pooled, "0") + r.conv_norm(y, "2", pad=(2, 2), dilation=2))


def blurred(x, stride):
    """The filter (1, 2, 1) / 4 along both axes, over a border that mirrors what is inside."""
    n, h, w, c = x.shape
    y = np.zeros((n, h, w, c))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    for row, column in np.ndindex(3, 3):
        y += (1, 2, 1)[row] * (1, 2, 1)[column] / 16 * padded[:, row : row + h, column : column + w]
    return y[:, ::stride, ::stride]


def blur_basic(r, x):
    y = blurred(relu(r.conv_norm(x, "1", pad=BOTH)), 2)
    return relu(r.conv_norm(x, "0", stride=2) + r.conv_norm(y, "2", pad=BOTH))


def blur_dilated(r, x):
    y = blurred(relu(r.conv_norm(x, "1", pad=BOTH)), 1)
    return relu(r.conv_norm(x, "0") + r.conv_norm(y, "2", pad=(2, 2), dilation=2))


def mean_bottleneck(r, x):
    y = relu(r.conv_norm(relu(r.conv_norm(x, "1")), "2", pad=BOTH, groups=4))
    return relu(r.conv_norm(mean_of_four(x), "0") + r.conv_norm(mean_of_four(y), "3"))


def mean_dilated(r, x):
    """Nothing is left of the mean."""
    y = relu(r.conv_norm(relu(r.conv_norm(x, "1")), "2", pad=BOTH))
    return relu(r.conv_norm(x, "0") + r.conv_norm(y, "3"))


B = {"block": "bottleneck"}
KINDS = {
    # name: (what differs in the spec, channels of the input, stride, dilations, reference)
    "basic": ({}, 4, 2, (1, 1), basic),
    "basic identity": ({}, 8, 1, (1, 1), basic_identity),
    "option C": ({"shortcut": "C"}, 8, 1, (1, 1), basic_c),
    "option A": ({"shortcut": "A", "width": 16}, 8, 2, (1, 1), option_a),
    "option D": ({"shortcut": "D"}, 4, 2, (1, 1), option_d),
    "plain": ({"shortcut": "none"}, 4, 2, (1, 1), plain),
    "mlperf tiny": ({"convention": "mlperf_tiny"}, 4, 2, (1, 1), mlperf_tiny),
    "bottleneck 2015": ({**B, "convention": "keras"}, 4, 2, (1, 1), bottleneck_2015),
    "bottleneck v1.5": (B, 4, 2, (1, 1), bottleneck_v1_5),
    "resnext": ({**B, "cardinality": 4, "group_width": 16}, 4, 2, (1, 1), resnext),
    "squeeze and excitation": ({**B, "se_ratio": 0.25}, 4, 2, (1, 1), squeeze),
    "pre-activation basic": ({"preactivation": True}, 4, 2, (1, 1), preactivation_basic),
    "pre-activation bottleneck": ({**B, "preactivation": True}, 4, 2, (1, 1), preactivation_bottleneck),
    "keras v2": ({**B, "preactivation": True, "convention": "keras_v2"}, 32, 2, (1, 1), keras_v2_last_block),
    "dilated": ({}, 4, 1, (2, 4), dilated_basic),
    "dilated option D": ({"shortcut": "D"}, 4, 1, (1, 2), dilated_d),
    "blur": ({"antialiasing": "blur"}, 4, 2, (1, 1), blur_basic),
    "blur without a stride": ({"antialiasing": "blur"}, 8, 1, (1, 1), basic_identity),
    "dilated blur": ({"antialiasing": "blur"}, 4, 1, (1, 2), blur_dilated),
    "mean": (
        {**B, "antialiasing": "mean", "shortcut": "D", "cardinality": 4, "group_width": 16},
        *(4, 2, (1, 1), mean_bottleneck),
    ),
    "dilated mean": ({**B, "antialiasing": "mean"}, 4, 1, (1, 2), mean_dilated),
}


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_block_against_numpy(kind, size):
    change, channels, stride, (dilation, later), reference = KINDS[kind]
    spec = ResNetSpec(**{"name": "one", "block": "basic", "depths": (1, 1), "width": 8, **change})
    convention = CONVENTIONS[spec.convention]
    image = keras.Input((size, size, channels))
    block = BlockSpec(NAME, spec.width, stride, dilation, later, 1.0)
    model = keras.Model(image, residual_block(Primitives(convention, keras), image, spec, block))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape).astype("f") - 0.5 * (w.ndim > 1) for w in model.get_weights()])
    x = rng.standard_normal((2, size, size, channels)).astype("f")
    expected = reference(Reference(model, convention.epsilon), x)
    received = model.predict_on_batch(x)
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("kind", ["blur", "mean"])
def test_stem_pools_against_numpy(kind, size):
    spec = ResNetSpec(name="one", block="basic", depths=(1,), antialiasing=kind)
    image = keras.Input((size, size, 2))
    model = keras.Model(image, stem_pool(Primitives(CONVENTIONS["torch"], keras), image, spec))
    x = np.random.default_rng(0).random((2, size, size, 2)).astype("f")
    if kind == "mean":  # PyTorch's AvgPool2d(2): what is left over at the end does not count
        expected = mean_of_four(x[:, : size // 2 * 2, : size // 2 * 2])
    else:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        expected = blurred(np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).max(axis=(-2, -1)), 2)
    np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-6)
    assert model.weights == []


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_option_a_subsamples_and_pads_channels_on_both_sides(rank):
    image = keras.Input((*(5,) * rank, 4))
    p = Primitives(CONVENTIONS["torch"], keras, Options(rank=rank))
    spec = ResNetSpec(name="one", block="basic", depths=(1,), shortcut="A")
    model = keras.Model(image, zero_pad_shortcut(p, image, spec, BlockSpec("conv3_block1", 8, 2, 1, 1, 1.0)))
    x = np.random.default_rng(0).standard_normal((2, *(5,) * rank, 4)).astype("f")
    expected = np.pad(x[(slice(None), *(slice(None, None, 2),) * rank)], (*((0, 0),) * (rank + 1), (2, 2)))
    np.testing.assert_array_equal(model.predict_on_batch(x), expected)
    assert model.count_params() == 0
