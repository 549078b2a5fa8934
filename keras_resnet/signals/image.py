"""The signal image: reading a picture, the same way for training, evaluation and prediction (`signals.interface`)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from keras_resnet.console import without_chatter
from keras_resnet.errors import InputError
from keras_resnet.lazily import tf
from keras_resnet.signals import crops, decoding, geometry, orientation, plain
from keras_resnet.signals.crops import Box
from keras_resnet.signals.decoding import FORMATS, decode, decode_part, is_as_it_is, rectangle_of
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.operations import has_tensorflow
from keras_resnet.signals.orientation import TURNS
from keras_resnet.signals.table import SIGNALS

SUFFIXES = SIGNALS["image"].suffixes
DRAWS = 5  # of a random part: four for the rectangle, one for the mirror
_QUALITY = 95  # of JPEG files that are written


def is_readable(contents: bytes, shape: tuple[int, int, int]) -> bool:
    """Says whether a file can be decoded.

    Args:
        contents: bytes of the file.
        shape: `(height, width, channels)` that the image gets.
    """
    return decoding.is_readable(contents, shape[2])


def resize(image: tf.Tensor, size: tuple[int, int], keep: Keep = 1.0) -> tf.Tensor:
    """Cuts out the central part that has the aspect of `size` and resizes it; or all of the image (`signals.fits`).

    Args:
        image: uint8 `(height, width, channels)`.
        size: `(height, width)` of the result.
        keep: share of the largest such part's height and width: 0.875 is the usual evaluation on ImageNet, to resize
            the shorter side to 256 and to cut out the central 224. `"pad"` or `"stretch"` for all of the image, `"own"`
            for pixels as large as they are.

    Returns:
        uint8 `(*size, channels)`; bilinear, with antialiasing when the image shrinks.
    """
    return _resized(image, size, keep)[0]


def _resized(image: tf.Tensor, size: tuple[int, int], keep: Keep) -> tuple[tf.Tensor, tf.Tensor]:
    """Does the work of `resize`; the matrix `(3, 3)` of the placement too."""
    shape = tf.shape(image)
    part = crops.rectangle(shape[0], shape[1], size, keep)
    if keep in ("pad", "own"):
        found = rectangle_of(image, tf.stack(part))
    else:
        found = tf.image.crop_to_bounding_box(image, *part)
    return scaled(found, size), geometry.cut_out(*part, size)


def scaled(image: tf.Tensor, size: tuple[int, int], antialias: bool = True) -> tf.Tensor:
    """The whole image, or each of several, resized: uint8 `(..., *size, channels)`."""
    if antialias:
        return _smoothed(image, size)
    resized = tf.image.resize(image, size, antialias=False)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _smoothed(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """What `tf.image.resize` with antialiasing gives, bit for bit, in half of its time.

    Its kernel is fast along rows of memory and slow along single pixels: height and width are resized in turn, in its
    order, each as the height of an image whose only column has as many channels as a row has values.
    """
    shape = [tf.shape(image)[place] if known is None else known for place, known in enumerate(image.shape)]
    width, channels = shape[-2:]
    high = _in_height(tf.reshape(image, (-1, shape[-3], 1, width * channels)), size[0])
    high = tf.transpose(tf.reshape(high, (-1, size[0], width, channels)), (0, 2, 1, 3))
    wide = _in_height(tf.reshape(high, (-1, width, 1, size[0] * channels)), size[1])
    wide = tf.cast(tf.round(wide), tf.uint8)  # weights are not negative, and add up to one: nothing to clip
    found = tf.transpose(tf.reshape(wide, (-1, size[1], size[0], channels)), (0, 2, 1, 3))
    return tf.reshape(found, (*shape[:-3], *size, channels))


def _in_height(columns: tf.Tensor, height: int) -> tf.Tensor:
    """Columns one pixel wide, `(n, H, 1, values)`, in another height, float32."""
    return tf.image.resize(columns, (height, 1), antialias=True)


def decoded(
    contents: tf.Tensor, shape: tuple[int, int, int], keep: Keep = 1.0, upright: bool = True
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes files and resizes their central parts.

    Args:
        contents: bytes of files, `(n,)`.
        shape: `(height, width, channels)` of an image.
        keep: share of the central part's height and width that is used, or a word (`signals.fits`).
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `(n, *shape)`, and the matrices of their placement, float32 `(n, 3, 3)`.
    """
    if not has_tensorflow():
        return plain.decoded(contents, shape, keep, upright)

    def one(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, matrix = _resized(decode(contents, shape[2], upright), shape[:2], keep)
        return tf.ensure_shape(image, shape), matrix

    contents = tf.convert_to_tensor(contents, tf.string)
    if contents.shape == (1,):  # without a loop, which is a tenth of the time
        image, matrix = one(contents[0])
        return image[None], matrix[None]
    return tf.map_fn(one, contents, fn_output_signature=(tf.uint8, tf.float32))


def parts(
    contents: tf.Tensor, shape: tuple[int, int, int], draws: tf.Tensor, box: Box, upright: bool = True
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes random rectangles of files, as `random_part` does.

    Args:
        contents: bytes of files, `(n,)`.
        shape: `(height, width, channels)` of an image.
        draws: uniform in [0, 1), `(n, 5)`.
        box: chooses the rectangle; a function of `signals.crops`.
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `(n, *shape)`, and the matrices of their placement, float32 `(n, 3, 3)`.
    """
    if not has_tensorflow():
        return plain.parts(contents, shape, draws, box, upright)
    return tf.map_fn(
        lambda one: random_part(one[0], shape, one[1], box, upright),
        (contents, draws),
        fn_output_signature=(tf.uint8, tf.float32),
    )


def random_part(
    contents: tf.Tensor, shape: tuple[int, int, int], draws: tf.Tensor, box: Box, upright: bool = True
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a random rectangle of a file, of a JPEG no more than that, mirrors half of them, and resizes it.

    Args:
        contents: bytes of the file, scalar.
        shape: `(height, width, channels)` of the result, with 1 or 3 channels.
        draws: uniform in [0, 1), `(5,)`: four for `box`, and whether to mirror.
        box: chooses the rectangle; a function of `signals.crops`.
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `shape`, and the matrix of the placement, float32 `(3, 3)`.
    """
    size, channels = shape[:2], shape[2]
    image, part = decode_part(contents, channels, lambda height, width: box(height, width, draws, size), upright)
    # Smoothing takes half of the time, and hardly shows below a reduction to a half; evaluation always smooths.
    is_large = tf.reduce_any(tf.shape(image)[:2] > 2 * tf.constant(size))
    image = tf.cond(is_large, lambda: scaled(image, size), lambda: scaled(image, size, antialias=False))
    mirrored = draws[4] < 0.5
    image = tf.cond(mirrored, lambda: tf.reverse(image, (1,)), lambda: image)  # tf.where takes 50 times as long
    row, column, height, width = tf.unstack(part)
    return tf.ensure_shape(image, shape), geometry.cut_out(row, column, height, width, size, mirrored)


def load(path: str | os.PathLike, shape: tuple[int, int, int], keep: Keep = 1.0) -> np.ndarray:
    """Reads an image that a person named.

    Args:
        path: PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC file; it is turned upright.
        shape: `(height, width, channels)` of the result, with 1 channel for grey, 3 for RGB.
        keep: share of the central part's height and width that is used, or a word (`resize`).

    Returns:
        uint8 `shape`.

    Raises:
        InputError: no such file, or it cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is no file: expected a picture ({FORMATS})")
    if not has_tensorflow():
        try:
            return plain.decoded(np.array([path.read_bytes()], object), shape, keep)[0][0]
        except InputError as error:
            raise InputError(f"{path} cannot be decoded as an image: {error}") from error
    try:
        with without_chatter():
            image = decode(path.read_bytes(), shape[2])
    except (tf.errors.OpError, InputError) as error:
        heic = f": {error}" if "pi-heif" in str(error) else f": expected {FORMATS}"
        raise InputError(f"{path} cannot be decoded as an image{heic}") from error
    return resize(image, shape[:2], keep).numpy()


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of a picture that stands upright, of which the head is read where that says it.

    Args:
        path: file that `load` reads.
    """
    if (known := _said_size(path)) is not None:
        return known
    height, width = decode(Path(path).read_bytes(), 3).shape[:2]
    return height, width


def _said_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """What the head of a JPEG or PNG file says; None for others, and where Pillow cannot tell."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.format not in ("JPEG", "PNG"):
                return None
            width, height = picture.size
            is_on_its_side = TURNS[orientation.of(picture)][0]
    except Exception:  # Pillow raises anything on damaged files, which `decode` names
        return None
    return (width, height) if is_on_its_side else (height, width)


def encode(image: np.ndarray) -> bytes:
    """Makes a PNG file of an image, uint8 `(height, width, channels)`."""
    if not has_tensorflow():
        return plain.png(image)
    return tf.io.encode_png(image).numpy()


def reduced(contents: bytes, shorter_side: int, upright: bool = True) -> bytes:
    """Makes a file that every reader takes for the same pixels, and a smaller one of a large one.

    Args:
        contents: bytes of a file.
        shorter_side: length in pixels that a longer shorter side is reduced to (JPEG, quality 95); 0 to keep it.
        upright: whether the orientation in EXIF is applied.

    Returns:
        Bytes of a PNG or JPEG file that EXIF does not turn; `contents` itself where it is one and short enough. Files
        that are only turned become JPEG of that quality, those of other formats PNG.
    """
    plain = is_as_it_is(contents, upright)
    if plain and not shorter_side:
        return contents
    image = decode(contents, 3, upright)
    height, width = image.shape[:2]
    if shorter_side and min(height, width) > shorter_side:
        scale = shorter_side / min(height, width)
        image = scaled(image, (round(height * scale), round(width * scale)))
    elif plain:
        return contents
    elif format_of(contents) != "jpeg":
        return encode(image.numpy())
    return tf.io.encode_jpeg(image, quality=_QUALITY, chroma_downsampling=False).numpy()


def shape_of(contents: bytes) -> tuple[int, int, int]:
    """Height, width and channels of a PNG or JPEG file."""
    return tuple(decode(contents, 0, upright=False).shape)


def format_of(contents: bytes) -> str:
    """Says of a PNG or JPEG file which it is: `"png"` or `"jpeg"`."""
    return "jpeg" if contents[:2] == b"\xff\xd8" else "png"


def noise(shape: tuple[int, int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """Makes images whose pixels are independent of each other, for checks without data.

    Args:
        shape: `(height, width, channels)` of an image.
        count: number of images.
        rng: generator to draw from.

    Returns:
        uint8 `(count, *shape)`.
    """
    return rng.integers(0, 256, (count, *shape), np.uint8)


def resized(examples: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Resizes images as an app hands them to a file of another size: bilinear, rounded to whole pixel values.

    Args:
        examples: uint8 `(n, H, W, C)`.
        shape: `(height, width, ...)` of the result, None where any length goes.

    Returns:
        uint8 `(n, height, width, C)`; `examples` itself where the size is theirs.
    """
    height, width = shape[:2]
    if height is None or width is None or examples.shape[1:3] == (height, width):
        return examples
    size = height, width
    if not has_tensorflow():
        return plain.scaled(examples, size, smooth=False)
    return np.clip(np.round(tf.image.resize(examples, size).numpy()), 0, 255).astype(np.uint8)
