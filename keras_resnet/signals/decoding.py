"""Files of pictures as pixels: JPEG and PNG by TensorFlow, others by Pillow; upright, as their EXIF entry says.

Everything here works in graphs of tf.data. JPEG files without EXIF, most of those in data sets, cost no call of Python.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_resnet.errors import InputError
from keras_resnet.lazily import tf
from keras_resnet.signals import crops, orientation
from keras_resnet.signals.fits import GREY
from keras_resnet.signals.operations import has_tensorflow
from keras_resnet.signals.orientation import TURNS

FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
_PNG = b"\x89PNG\r\n\x1a\n"
_HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1", b"ftypheim", b"ftypheis")
_HEAD = 64  # bytes in which EXIF begins, behind the marker of JPEG or JFIF
Part = Callable[[Any, Any], Any]  # tensors: height and width to a rectangle


def decode(contents: tf.Tensor, channels: int, upright: bool = True) -> tf.Tensor:
    """Decodes a picture, the first one of an animation.

    Args:
        contents: bytes of the file, scalar.
        channels: 1 for grey, 3 for RGB; 0 for as many as it has.
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `(height, width, channels)`; an array where TensorFlow is not installed.
    """
    if not has_tensorflow():
        return pixels(contents, channels, upright)

    def plain() -> tf.Tensor:
        image = tf.io.decode_image(contents, channels=channels, expand_animations=False)
        return _turned(image, _turns(contents)) if upright else image

    image = tf.cond(_is_plain(contents), plain, lambda: _by_pillow(contents, channels, upright))
    image.set_shape((None, None, channels or None))
    return image


def decode_part(contents: tf.Tensor, channels: int, part: Part, upright: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a rectangle of a picture, of a JPEG no more than that.

    Args:
        contents: bytes of the file, scalar.
        channels: 1 for grey, 3 for RGB.
        part: function of height and width; gives the rectangle, int32 `(4,)`: row, column, height, width. It may reach
            beyond the picture, where it is grey.
        upright: whether the orientation in EXIF is applied; the rectangle is one of the upright picture.

    Returns:
        uint8 `(height, width, channels)` of the rectangle, and the rectangle.
    """

    def jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        whole = tf.io.extract_jpeg_shape(contents)[:2]
        if not upright:
            box = part(whole[0], whole[1])
            within = crops.inside(box, whole[0], whole[1])
            return _framed(tf.io.decode_and_crop_jpeg(contents, within, channels=channels), within, box), box
        turns = _turns(contents)
        size = tf.where(turns[0], whole[::-1], whole)
        box = part(size[0], size[1])
        within = crops.inside(box, size[0], size[1])
        lying = tf.io.decode_and_crop_jpeg(contents, _lying(within, size, turns), channels=channels)
        return _framed(_turned(lying, turns), within, box), box

    def other() -> tuple[tf.Tensor, tf.Tensor]:
        image = decode(contents, channels, upright)
        whole = tf.shape(image)
        box = part(whole[0], whole[1])
        return rectangle_of(image, box), box

    return tf.cond(tf.io.is_jpeg(contents), jpeg, other)


def rectangle_of(image: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """A rectangle of an image that may reach beyond it on every side, where it is grey.

    Args:
        image: uint8 `(H, W, channels)`.
        box: int32 `(4,)`: first row, first column, height, width.
    """
    whole = tf.shape(image)
    within = crops.inside(box, whole[0], whole[1])
    row, column, height, width = tf.unstack(within)
    return _framed(image[row : row + height, column : column + width], within, box)


def _framed(image: tf.Tensor, within: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The whole of a rectangle, of which a part is known: grey around it."""
    before = within[:2] - box[:2]
    after = box[2:] - within[2:] - before
    return tf.pad(image, [[before[0], after[0]], [before[1], after[1]], [0, 0]], constant_values=GREY)


def is_readable(contents: bytes, channels: int) -> bool:
    """Says whether `decode` can decode a file.

    Args:
        contents: bytes of the file.
        channels: channels that the image gets.
    """
    if not has_tensorflow():
        with contextlib.suppress(InputError):
            return bool(pixels(contents, channels).size)
        return False
    try:
        decode(contents, channels)
    except (tf.errors.OpError, InputError):
        return False
    return True


def is_as_it_is(contents: bytes, upright: bool = True) -> bool:
    """Whether others' readers get the same pixels: a PNG or JPEG file that EXIF does not turn.

    Args:
        contents: bytes of the file.
        upright: whether the orientation in EXIF is applied; if not, it does not matter.
    """
    return bool(_is_plain(contents)) and not (upright and np.any(_turns(contents)))


def _is_plain(contents: tf.Tensor) -> tf.Tensor:
    """Whether it is a JPEG or PNG file."""
    return tf.logical_or(tf.io.is_jpeg(contents), tf.equal(tf.strings.substr(contents, 0, len(_PNG)), _PNG))


def _turns(contents: tf.Tensor) -> tf.Tensor:
    """How a JPEG's pixels are turned to stand upright, bool `(3,)`: a row of `TURNS`."""
    head = tf.io.decode_raw(tf.strings.substr(contents, 0, _HEAD), tf.uint8)
    head = tf.concat([head, tf.zeros(4, tf.uint8)], 0)
    same = [tf.equal(head[place : place - 4], letter) for place, letter in enumerate(b"Exif")]
    has_exif = tf.reduce_any(tf.reduce_all(tf.stack(same), axis=0))

    def asked() -> tf.Tensor:
        return tf.ensure_shape(_of_bytes(_orientation, contents, tf.int64), ())

    number = tf.cond(has_exif, asked, lambda: tf.constant(1, tf.int64))
    return tf.gather(tf.cast(tf.constant(TURNS), tf.bool), number)


def _of_bytes(function: Callable[[bytes], object], contents: tf.Tensor, kind: tf.DType) -> tf.Tensor:
    """What a function of Python gives for a file; outside of graphs TensorFlow would take zeros off its end."""
    if tf.is_symbolic_tensor(contents):
        # Without a state, or a deterministic tf.data would decode one file at a time.
        plain = tf.autograph.experimental.do_not_convert(function)
        return tf.numpy_function(plain, [contents], kind, stateful=False)
    return tf.convert_to_tensor(function(tf.convert_to_tensor(contents).numpy()), kind)


def _orientation(contents: bytes) -> np.int64:
    """The entry of EXIF, 1 to 8; 1 where there is none that is understood."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged EXIF; the picture is what counts
            return np.int64(orientation.of(Image.open(io.BytesIO(contents))))
    except Exception:  # Pillow raises anything on damaged files; TensorFlow decides whether the picture is read
        return np.int64(1)


def _turned(image: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    image = tf.cond(turns[0], lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(turns[1], lambda: tf.reverse(image, (0,)), lambda: image)
    return tf.cond(turns[2], lambda: tf.reverse(image, (1,)), lambda: image)


def _lying(box: tf.Tensor, size: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """A rectangle of the upright picture as one of the pixels in the file."""
    row, column, height, width = tf.unstack(box)
    row = tf.where(turns[1], size[0] - row - height, row)
    column = tf.where(turns[2], size[1] - column - width, column)
    return tf.where(turns[0], tf.stack([column, row, width, height]), tf.stack([row, column, height, width]))


def _by_pillow(contents: tf.Tensor, channels: int, upright: bool) -> tf.Tensor:
    found = _of_bytes(lambda given: pixels(given, channels, upright), contents, tf.uint8)
    return tf.ensure_shape(found, (None, None, channels or None))


def pixels(contents: bytes, channels: int, upright: bool = True) -> np.ndarray:
    """Pixels of a file by Pillow, where TensorFlow does not read it, or not all of its kinds, or is not installed.

    Args:
        contents: bytes of the file.
        channels: 1 for grey, 3 for RGB; 0 for as many as it has.
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `(height, width, channels)`.

    Raises:
        InputError: no picture, a damaged one, or HEIC without the package for it.
    """
    from PIL import Image

    if contents[4:12] in _HEIC:
        _register_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(contents))
            if upright:
                image = orientation.upright(image)
            modes = {1: "L", 3: "RGB", 0: "L" if image.mode in ("1", "L") else "RGB"}
            found = np.asarray(image.convert(modes[channels]))
    except Exception as error:  # Pillow raises anything on damaged files
        raise InputError(f"expected a picture ({FORMATS}): {error}") from error
    return found[..., None] if found.ndim == 2 else found


def _register_heic() -> None:
    try:
        import pi_heif
    except ImportError as error:
        raise InputError("HEIC pictures need pi-heif: pip install 'keras-resnet-toolkit[heic]'") from error
    pi_heif.register_heif_opener()
