"""What is known of a picture after one glance: size, format, oddities, and hashes that find it again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from keras_resnet.console import progress
from keras_resnet.looking.gathering import Item
from keras_resnet.signals import orientation

THUMB = 16  # pixels of the side of the small grey picture that near duplicates are compared by
_DRAFT = 64  # a JPEG file is decoded at the smallest scale that has so many pixels
_TINY, _LONG = 32, 4.0  # pixels; ratio of the sides
_ENDINGS = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png",), "WEBP": (".webp",), "GIF": (".gif",)}


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one picture.

    Attributes:
        error: why it cannot be read; empty where it can.
        width: in pixels, upright.
        height: in pixels, upright.
        form: format, like `"JPEG"`.
        digest: hash of the file's bytes.
        phash: perceptual hash of 64 bits.
        thumb: grey values, uint8 `(THUMB * THUMB,)`, as bytes.
        odd: what is unusual, in words.
    """

    error: str = ""
    width: int = 0
    height: int = 0
    form: str = ""
    digest: bytes = b""
    phash: int = 0
    thumb: bytes = b""
    odd: tuple[str, ...] = ()


def examine(items: Sequence[Item]) -> list[Facts]:
    """Looks at all pictures, on all cores, with a bar for a person who waits.

    Args:
        items: examples.
    """
    with contextlib.suppress(ImportError):  # what is missing is said of each such file
        import pi_heif

        pi_heif.register_heif_opener()
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # about damaged EXIF
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return list(progress(pool.map(facts_of, items), "looking at pictures", len(items)))


def facts_of(item: Item) -> Facts:
    """Looks at one picture.

    Args:
        item: example.
    """
    if isinstance(item.source, np.ndarray):
        pixels = item.source[..., 0] if item.source.shape[-1] == 1 else item.source[..., :3]
        return _of_image(Image.fromarray(np.ascontiguousarray(pixels)), hashlib.blake2b(pixels.tobytes()), "")
    try:
        contents = item.source.read_bytes() if isinstance(item.source, Path) else item.source
    except OSError as error:
        return Facts(error=error.strerror or "it cannot be opened")
    digest = hashlib.blake2b(contents, digest_size=16)
    if not contents:
        return Facts(error="it is empty")
    try:
        with Image.open(io.BytesIO(contents)) as image:
            return _of_image(image, digest, item.source.suffix.lower() if isinstance(item.source, Path) else "")
    except Exception as error:  # Pillow raises anything on damaged files
        return Facts(error=_reason(error), digest=digest.digest())


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no picture of a known format"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return "it has more pixels than a photo: a decompression bomb?"
    return " ".join(str(error).split())[:120] or type(error).__name__


def _of_image(image: Image.Image, digest: hashlib.blake2b, ending: str) -> Facts:
    form, size = image.format or "pixels", image.size
    turned = orientation.of(image)
    odd = list(_odd(image, ending))
    image.draft("L", (_DRAFT, _DRAFT))  # a JPEG file's own reduction, which spares most of the decoding
    small = orientation.upright(image)
    grey = small.convert("L")
    is_on_its_side = orientation.TURNS[turned][0]
    if turned != 1:
        odd.append("turned by EXIF")
    thumb = np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0))
    if int(thumb.max()) - int(thumb.min()) <= 2:
        odd.append("of one colour")
    bits = imagehash.phash(grey).hash
    return Facts(
        width=size[1] if is_on_its_side else size[0],
        height=size[0] if is_on_its_side else size[1],
        form=form,
        digest=digest.digest(),
        phash=int.from_bytes(np.packbits(bits).tobytes(), "big"),
        thumb=thumb.tobytes(),
        odd=tuple(odd),
    )


def _odd(image: Image.Image, ending: str):
    """What is unusual about a picture, in words, by its header."""
    width, height = image.size
    if min(width, height) < _TINY and ending:
        yield f"smaller than {_TINY} pixels"
    if max(width, height) > _LONG * min(width, height):
        yield f"longer than {_LONG:.0f} to 1"
    if image.mode in ("CMYK", "YCCK"):
        yield "in colours for printing (CMYK)"
    if image.mode.startswith(("I", "F")):
        yield "of more than 8 bits"
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        yield "transparent"
    if getattr(image, "n_frames", 1) > 1:
        yield "animated, or of several pages"
    known = _ENDINGS.get(image.format or "")
    if ending and known and ending not in known:
        yield f"{image.format} by its content, {ending} by its name"
