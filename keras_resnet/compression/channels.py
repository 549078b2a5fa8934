"""Channel pruning: whole channels go, and what is left is a plain, narrower net.

Only channels inside a residual (or a stem) can go alone: what is added to a shortcut must keep its width. Such channels
lie between two convolutions with nothing but a norm, an activation, dropout or padding between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.compression import rewriting
from keras_resnet.errors import InputError
from keras_resnet.nets.fusion import Fusion, consumers, producer
from keras_resnet.nets.graph import multiply_adds

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_BATCH = 20  # images
_BYTES = 500_000_000  # of patches that are cut out at once
_BETWEEN = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Dropout,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)


@dataclass(frozen=True)
class Span:
    """Channels that can go without anybody else noticing.

    Attributes:
        first: convolution that makes them.
        norm: norm behind that convolution.
        last: convolution that takes them.
    """

    first: str
    norm: str
    last: str


def spans(model: keras.Model) -> list[Span]:
    """Finds the channels that can go.

    Args:
        model: functional model, not compressed.

    Returns:
        The spans in the order of computation; grouped convolutions have none.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.compression.channels import spans
        >>> spans(keras_resnet.build("resnet8"))[0]
        Span(first='conv2_block1_1_conv', norm='conv2_block1_1_bn', last='conv2_block1_2_conv')
    """
    followers_of = consumers(model)
    found = []
    for norm in Fusion(model, "keras").norms(folded=True):
        first = producer(norm)
        if not isinstance(first, _CONVOLUTIONS) or first.groups > 1:
            continue
        followers = followers_of[norm.name]
        while len(followers) == 1 and isinstance(followers[0], _BETWEEN):
            followers = followers_of[followers[0].name]
        if len(followers) == 1 and isinstance(followers[0], _CONVOLUTIONS) and followers[0].groups == 1:
            found.append(Span(first.name, norm.name, followers[0].name))
    return found


def importance(
    model: keras.Model, images: np.ndarray, targets: np.ndarray, loss: Callable[[Any, Any], Any]
) -> dict[Span, np.ndarray]:
    """Change of the loss without a channel, to first order (arXiv:1906.10771, gates behind the norms).

    Args:
        model: functional model, not compressed.
        images: some thousand preprocessed images, float32 `(n, H, W, C)`.
        targets: their targets, one row per image.
        loss: function of a batch's targets and of the model's outputs, whose mean is the loss.

    Returns:
        `(channels,)` by span: squares of gate times gradient, summed over small batches; comparable between spans.
    """
    import tensorflow as tf

    known = spans(model)
    # Gamma and beta; a list, as TensorFlow sorts the keys of dictionaries.
    gates = [[v.value for v in model.get_layer(span.norm).trainable_variables] for span in known]

    @tf.function
    def gradients(pixels, wanted):
        with tf.GradientTape() as tape:
            lost = tf.reduce_mean(loss(wanted, tf.cast(model(pixels, training=False), tf.float32)))
        return tape.gradient(lost, gates)

    found = [np.zeros(gate[0].shape) for gate in gates]
    for start in range(0, len(images) - _BATCH + 1, _BATCH):
        parts = gradients(images[start : start + _BATCH], targets[start : start + _BATCH])
        for total, own, part in zip(found, gates, parts, strict=True):
            total += np.square(sum((g * v).numpy() for g, v in zip(part, own, strict=True)))
    return dict(zip(known, found, strict=True))


def choose(
    model: keras.Model, share: float, sizes: dict[Span, np.ndarray], multiple: int = 16
) -> dict[str, np.ndarray]:
    """Chooses channels that stay, so that at most a share of the multiply-adds does.

    The channels that matter least for what they cost go first, over all spans together. No span loses nearly all of
    its own: what matters little now is what a long training would need.

    Args:
        model: functional, plain, of a known input size.
        share: share of the multiply-adds that stays, above 0 and below 1.
        sizes: result of `importance`.
        multiple: every span keeps a multiple of so many channels, as engines compute them in blocks, or of a quarter of
            its own where that is less; at least that, and at least half of the share.

    Returns:
        Ascending indices of the channels that stay, by the name of the span's first convolution.

    Raises:
        InputError: the share cannot be reached.
    """
    limit, total = share * multiply_adds(model), float(multiply_adds(model))
    order = {span: np.argsort(-values, kind="stable") for span, values in sizes.items()}
    width = {span: len(values) for span, values in sizes.items()}
    step = {span: max(1, min(multiple, count // 4)) for span, count in width.items()}
    least = {span: max(step[span], round(share / 2 * width[span])) for span in width}
    while total > limit:
        candidates = []
        for span in order:
            less = (width[span] - 1) // step[span] * step[span]
            if less >= least[span]:
                saved = _per_channel(model, span, width) * (width[span] - less)
                lost = sizes[span][order[span][less : width[span]]].sum()
                candidates.append((lost / saved, span.first, span, less, saved))
        if not candidates:
            raise InputError(
                f"{model.name}: {total / multiply_adds(model):.0%} of the multiply-adds remain when every residual has "
                f"as few channels as it may ({min(width.values())} and more): {share:.0%} cannot be reached"
            )
        *_, span, less, saved = min(candidates, key=lambda row: row[:2])
        width[span], total = less, total - saved
    return {span.first: np.sort(order[span][: width[span]]) for span in order if width[span] < len(order[span])}


def _per_channel(model: keras.Model, span: Span, width: dict[Span, int]) -> float:
    """Multiply-adds of a channel, given what is left of its neighbours."""

    def taps(layer) -> int:
        return math.prod(layer.kernel.shape[:-2]) * math.prod(layer.output.shape[1:-1])

    first, last = model.get_layer(span.first), model.get_layer(span.last)
    incoming = next((width[other] for other in width if other.last == span.first), first.kernel.shape[-2])
    outgoing = next((width[other] for other in width if other.first == span.last), last.kernel.shape[-1])
    return taps(first) * incoming + taps(last) * outgoing


def narrowed(model: keras.Model, kept: dict[str, np.ndarray]) -> keras.Model:
    """A net without some channels.

    Args:
        model: functional, plain; untouched.
        kept: result of `choose` for this model, or for one with the same layers.

    Returns:
        A plain model with the remaining weights; its layers have the same names.
    """
    out: dict[str, np.ndarray] = {}
    into: dict[str, np.ndarray] = {}
    for span in spans(model):
        if span.first in kept:
            out |= {span.first: kept[span.first], span.norm: kept[span.first]}
            into[span.last] = kept[span.first]

    def clone(layer):
        config = layer.get_config()
        narrower = layer.name in out and isinstance(layer, _CONVOLUTIONS)
        return type(layer).from_config({**config, "filters": len(out[layer.name])} if narrower else config)

    net = rewriting.cloned(model, clone)
    for layer in net.layers:
        values = model.get_layer(layer.name).get_weights()
        if layer.name in into:
            values[0] = np.take(values[0], into[layer.name], axis=-2)
        if layer.name in out:
            values = [np.take(value, out[layer.name], axis=-1) for value in values]
        layer.set_weights(values)
    return net


def reconstruct(
    narrow: keras.Model, model: keras.Model, images: np.ndarray, kept: dict[str, np.ndarray], positions: int = 8
) -> None:
    """Gives the convolutions behind removed channels the weights that come closest to what they computed before.

    Linear least squares on samples of their inputs, span after span (arXiv:1707.06168, section 3.1): a net that has
    lost half of its channels answers well before it is trained further.

    Args:
        narrow: result of `narrowed`; changed in place. One- and three-dimensional convolutions stay as they are.
        model: model that the narrow one was made from.
        images: some thousand preprocessed images, float32 `(n, H, W, C)`.
        kept: result of `choose` that it was made by: of a convolution that lost channels itself, those that stay count.
        positions: sampled of every image.
    """
    for span in spans(narrow):
        last = narrow.get_layer(span.last)
        same = last.kernel.shape == model.get_layer(span.last).kernel.shape
        if not same and isinstance(last, keras.layers.Conv2D):
            inputs = _sampled(narrow, last.name, images, positions, patches=True)
            outputs = _sampled(model, last.name, images, positions, patches=False)
            outputs = outputs[:, kept[last.name]] if last.name in kept else outputs
            _fit(narrow, last, inputs, outputs)


def _sampled(model: keras.Model, name: str, images: np.ndarray, positions: int, *, patches: bool) -> np.ndarray:
    """Rows `(n * positions, features)`: what a convolution takes or gives at random places, the same for both."""
    layer = model.get_layer(name)
    part = keras.Model(model.input, layer.input if patches else layer.output)
    height, width = layer.output.shape[1:3]
    random, rows = np.random.default_rng(0), []
    chunk = max(1, min(100, _BYTES // (4 * height * width * math.prod(layer.kernel.shape[:-1]))))
    for start in range(0, len(images), chunk):
        values = part(images[start : start + chunk], training=False)
        if patches:
            how = {"strides": layer.strides, "dilation_rate": layer.dilation_rate[0], "padding": layer.padding}
            values = keras.ops.image.extract_patches(values, layer.kernel_size, **how)
        values = keras.ops.convert_to_numpy(values).reshape(-1, height * width, values.shape[-1])
        chosen = random.integers(0, height * width, (len(values), positions))
        rows.append(np.take_along_axis(values, chosen[..., None], axis=1).reshape(-1, values.shape[-1]))
    return np.concatenate(rows).astype(np.float64)


def _fit(model: keras.Model, layer: keras.layers.Conv2D, inputs: np.ndarray, outputs: np.ndarray) -> None:
    """Least squares, with a constant where bias or norm can take it."""
    follower = next(iter(consumers(model)[layer.name]))
    norm = follower if isinstance(follower, keras.layers.BatchNormalization) else None
    constant = layer.use_bias or norm is not None
    rows = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1) if constant else inputs
    square = rows.T @ rows
    square += np.eye(len(square)) * (1e-4 * np.trace(square) / len(square))  # some inputs are always 0
    found = np.linalg.solve(square, rows.T @ outputs)
    kernel = found[:-1] if constant else found
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign(found[-1])
    elif norm is not None:
        norm.moving_mean.assign(keras.ops.convert_to_numpy(norm.moving_mean) - found[-1])
