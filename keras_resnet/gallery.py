"""Small pictures of examples for pages: an `<img>` each, with the example's name below it."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_resnet.page import Html
from keras_resnet.untrusted import visible

SIDE = 128  # pixels of the longer side; pages show them smaller, for sharp screens
_QUALITY = 80


@dataclass(frozen=True)
class Shown:
    """A picture with words; templates escape them.

    Attributes:
        picture: `<img>`.
        name: the example's name.
        words: what is said of it.
    """

    picture: Html
    name: str
    words: str = ""


@dataclass(frozen=True)
class Strip:
    """Pictures of one example side by side, of one size, with words; templates escape them.

    Attributes:
        pictures: `<img>` by what it shows.
        name: the example's name.
        words: what is said of it.
        legend: what its colours mean: a mark, a name and words.
    """

    pictures: dict[str, Html]
    name: str
    words: str = ""
    legend: tuple[tuple[Html, str, str], ...] = ()


def mark(colour: tuple[int, ...]) -> Html:
    """A square of a colour, for legends.

    Args:
        colour: red, green and blue, 0 to 255.
    """
    red, green, blue = map(int, colour)
    return Html(f'<span class="mark" style="background:#{red:02x}{green:02x}{blue:02x}"></span>')


def image_tag(pixels: np.ndarray, alternative: str, *, side: int, exact: bool = False) -> Html:
    """An `<img>` of pixels, no larger than they are.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`.
        alternative: what it shows, in words.
        side: pixels of the longer side, at most.
        exact: whether every pixel keeps its colour, as those of masks must.
    """
    image: Image.Image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]).convert("RGB")
    factor = min(1.0, side / max(image.size))
    if factor < 1:
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.NEAREST if exact else Image.Resampling.BILINEAR)
    return _packed(image, alternative, exact=exact)


def shown(source: Path | bytes | np.ndarray, name: str, words: str = "") -> Shown:
    """A small picture of an example, upright; a line of text in place of one that cannot be read.

    Args:
        source: file, bytes of one, or pixels, uint8 `(H, W, C)`.
        name: the example's name.
        words: what is said of it.
    """
    return Shown(_tag(source, name), name, words)


def _tag(source: Path | bytes | np.ndarray, name: str) -> Html:
    try:
        image = _small(source)
    except Exception:  # Pillow raises anything on damaged files
        return Html("<span>(it cannot be shown)</span>")
    return _packed(image, name)


def _packed(image: Image.Image, words: str, *, exact: bool = False) -> Html:
    packed, kind = io.BytesIO(), "png" if exact else "jpeg"
    if exact:
        image.quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    else:
        image.save(packed, "JPEG", quality=_QUALITY)
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    size = f'width="{image.width}" height="{image.height}"'
    alternative = html.escape(visible(words), quote=True)
    return Html(f'<img src="data:image/{kind};base64,{data}" {size} alt="{alternative}" title="{alternative}">')


def _small(source: Path | bytes | np.ndarray) -> Image.Image:
    if isinstance(source, np.ndarray):
        image: Image.Image = Image.fromarray(source[..., 0] if source.shape[-1] == 1 else source[..., :3])
    else:
        image = Image.open(io.BytesIO(source.read_bytes() if isinstance(source, Path) else source))
        image.draft("RGB", (SIDE, SIDE))
        image = ImageOps.exif_transpose(image)
    image = image.convert("RGB")
    factor = SIDE / max(image.size)  # small pictures of data sets become larger
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR if factor < 1 else Image.Resampling.NEAREST)
