"""RandAugment of uint8 images as a function of random numbers (Cubuk et al. 2019, arXiv:1909.13719).

The operations are Pillow's, which the paper and PyTorch's libraries use; Keras' own layer draws from a generator with a
state, which a pipeline that starts in the middle of a run cannot have. Every operation grows with its level, as in
timm's "increasing" set, whose numbers the recipes of "ResNet strikes back" are given in.
"""

from __future__ import annotations

import math

from keras_resnet.lazily import tf
from keras_resnet.signals.geometry import projective
from keras_resnet.signals.placement import Placement

DRAWS = 4  # of one layer: which operation, whether, how much, which direction
_FILL = 128.0  # what comes in from outside
_MOST = 10.0  # of the magnitude


def rand_augment(images, draws, magnitude: float, deviation: float = 0.5, layers: int = 2, share: float = 0.5):
    """Applies operations of `OPERATIONS`, drawn for every image with replacement.

    Args:
        images: uint8 `(n, H, W, 3)`.
        draws: uniform in [0, 1), `(n, 4 * layers)`.
        magnitude: 0 to 10, the strongest.
        deviation: standard deviation of the magnitude.
        layers: operations on one image.
        share: probability that an operation is applied.

    Returns:
        uint8 `(n, H, W, 3)`, and their `Placement`.
    """
    shape = images.shape[1:]

    def augment(one):
        image, own = one
        matrix = tf.eye(3)
        for layer in range(layers):
            choice, applied, noise, sign = tf.unstack(own[DRAWS * layer : DRAWS * (layer + 1)])
            level = tf.clip_by_value(magnitude + deviation * tf.math.ndtri(noise), 0.0, _MOST) / _MOST
            signed = tf.where(sign < 0.5, -level, level)
            number = tf.minimum(tf.cast(choice * len(OPERATIONS), tf.int32), len(OPERATIONS) - 1)
            number = tf.where(applied < share, number, len(OPERATIONS))
            branches = [
                lambda name=name, x=image, a=level, s=signed: (OPERATIONS[name](x, a, s), _matrix(name, shape, s))
                for name in OPERATIONS
            ]
            image, step = tf.switch_case(number, [*branches, lambda x=image: (x, tf.eye(3))])
            image, matrix = tf.ensure_shape(image, shape), matrix @ step
        return image, matrix

    kinds = tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((3, 3), tf.float32)
    moved, matrices = tf.map_fn(augment, (images, draws), fn_output_signature=kinds)
    return moved, Placement(matrices, tuple(shape[:2]))


def _matrix(name: str, shape, signed):
    """The matrix `(3, 3)` of an operation's placement."""
    if name not in GEOMETRIC:
        return tf.eye(3)
    return projective(_coefficients(*GEOMETRIC[name](shape, signed)))


# --- Every operation takes an image (H, W, 3), a level from 0 to 1 and the same with a sign.


def _looked_up(image, table):
    """Replaces every value by its entry: `table` is `(256,)` for all channels, or `(3, 256)`."""
    table = tf.cast(tf.clip_by_value(table, 0, 255), tf.uint8)
    if table.shape.rank == 1:
        return tf.gather(table, tf.cast(image, tf.int32))
    channels = [tf.gather(table[c], tf.cast(image[..., c], tf.int32)) for c in range(3)]
    return tf.stack(channels, axis=-1)


_VALUES = list(range(256))


def _autocontrast(image, level, signed):
    """The darkest value of every channel becomes 0, the brightest 255."""
    low, high = (tf.cast(f(image, (0, 1)), tf.float64)[:, None] for f in (tf.reduce_min, tf.reduce_max))
    values = tf.constant(_VALUES, tf.float64)[None]
    scale = 255 / tf.maximum(high - low, 1)
    stretched = tf.clip_by_value(values * scale - low * scale, 0, 255)
    return _looked_up(image, tf.cast(tf.where(high > low, stretched, values), tf.int32))


def _equalize(image, level, signed):
    """Every channel's values become about equally frequent."""

    def table(channel):
        counts = tf.math.bincount(tf.cast(tf.reshape(channel, [-1]), tf.int32), minlength=256, maxlength=256)
        last = tf.boolean_mask(counts, counts > 0)[-1]
        step = (tf.reduce_sum(counts) - last) // 255
        below = tf.cumsum(counts, exclusive=True)
        return tf.where(step > 0, (step // 2 + below) // tf.maximum(step, 1), tf.constant(_VALUES))

    return _looked_up(image, tf.stack([table(image[..., c]) for c in range(3)]))


def _invert(image, level, signed):
    return 255 - image


def _posterize(image, level, signed):
    """Keeps the highest four bits down to none."""
    dropped = tf.cast(4 + tf.cast(level * 4, tf.int32), tf.int32)
    values = tf.constant(_VALUES)
    return _looked_up(image, tf.bitwise.left_shift(tf.bitwise.right_shift(values, dropped), dropped))


def _solarize(image, level, signed):
    """Inverts what is as bright as a threshold, or brighter, which falls from 256 to 0."""
    values = tf.constant(_VALUES)
    return _looked_up(image, tf.where(values < 256 - tf.cast(level * 256, tf.int32), values, 255 - values))


def _solarize_add(image, level, signed):
    """Brightens what is darker than 128 by up to 110."""
    values = tf.constant(_VALUES)
    return _looked_up(image, tf.where(values < 128, values + tf.cast(level * 110, tf.int32), values))


def _blended(image, other, signed):
    """Between `other` (factor 0.1), the image (1) and beyond (1.9)."""
    image, other = tf.cast(image, tf.float32), tf.cast(other, tf.float32)
    return tf.cast(tf.clip_by_value(other + (1 + 0.9 * signed) * (image - other), 0, 255), tf.uint8)


def _grey(image):
    weighted = tf.cast(image, tf.int32) * tf.constant([19595, 38470, 7471])
    return tf.bitwise.right_shift(tf.reduce_sum(weighted, -1, keepdims=True) + 0x8000, 16)


def _color(image, level, signed):
    return _blended(image, _grey(image), signed)


def _contrast(image, level, signed):
    return _blended(image, tf.floor(tf.reduce_mean(tf.cast(_grey(image), tf.float32)) + 0.5), signed)


def _brightness(image, level, signed):
    return _blended(image, 0, signed)


def _sharpness(image, level, signed):
    """Between the image smoothed, but for its border, and sharpened."""
    kernel = tf.constant([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]])[..., None, None] / 13
    x = tf.cast(image, tf.float32)[None]
    smooth = tf.nn.depthwise_conv2d(x, tf.tile(kernel, (1, 1, 3, 1)), (1, 1, 1, 1), "VALID")[0]
    smooth = tf.pad(tf.floor(smooth + 0.5), ((1, 1), (1, 1), (0, 0)))
    inner = tf.pad(tf.ones_like(image[1:-1, 1:-1]), ((1, 1), (1, 1), (0, 0)))
    return _blended(image, tf.where(inner > 0, smooth, x[0]), signed)


# --- Those that move pixels: rows that give an output pixel's place in the input, as factors of x and y and a constant.


def _rotate(shape, signed):
    """By up to 30 degrees."""
    angle = signed * (30 * math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    y, x = ((n - 1) / 2 for n in shape[:2])
    return (cosine, -sine, x - cosine * x + sine * y), (sine, cosine, y - sine * x - cosine * y)


def _shear_x(shape, signed):
    slope = 0.3 * signed
    return (1.0, slope, slope / 2), (0.0, 1.0, 0.0)  # half a pixel: about the corner, not its centre


def _shear_y(shape, signed):
    slope = 0.3 * signed
    return (1.0, 0.0, 0.0), (slope, 1.0, slope / 2)


def _translate_x(shape, signed):
    """By up to 0.45 of the width."""
    return (1.0, 0.0, 0.45 * signed * shape[1]), (0.0, 1.0, 0.0)


def _translate_y(shape, signed):
    return (1.0, 0.0, 0.0), (0.0, 1.0, 0.45 * signed * shape[0])


def _coefficients(row_of_x, row_of_y):
    return tf.stack([*row_of_x, *row_of_y, 0.0, 0.0])


GEOMETRIC = {
    "rotate": _rotate,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}


def _move(name: str):
    """The operation of a row of `GEOMETRIC`, bilinear."""

    def operation(image, level, signed):
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=image[None],
            transforms=_coefficients(*GEOMETRIC[name](image.shape, signed))[None],
            output_shape=tf.shape(image)[:2],
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
            fill_value=_FILL,
        )
        return moved[0]

    return operation


OPERATIONS = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _move("rotate"),
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": _move("shear_x"),
    "shear_y": _move("shear_y"),
    "translate_x": _move("translate_x"),
    "translate_y": _move("translate_y"),
}
