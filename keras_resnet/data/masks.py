"""Masks in files: pictures whose pixels are classes, as grey or palette values or as colours (`legends`)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_resnet import machine
from keras_resnet.data.dataset import Split
from keras_resnet.data.legends import NAMES, Colour, Legend, spans
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

if TYPE_CHECKING:
    from PIL import Image

_BINARY: dict[str, Any] = {
    "names": ("background", "object"),
    "colours": ((0, 0, 0), (255, 255, 255)),
    "by_colour": True,
}


class Encoded(Protocol):
    """A picture that is a file or a part of one; paths are such."""

    def read_bytes(self) -> bytes:
        """Its bytes."""


def opened(source: Encoded) -> Image.Image:
    """Opens a picture, of which only the head is read where it is a file.

    Args:
        source: encoded picture.
    """
    from PIL import Image

    return Image.open(source if isinstance(source, Path) else io.BytesIO(source.read_bytes()))


def size_of(source: Encoded) -> tuple[int, int] | None:
    """Height and width of a picture, as it lies; None where it cannot be opened: others count and name such files.

    Args:
        source: encoded picture.
    """
    try:
        with opened(source) as picture:
            width, height = picture.size
    except Exception:  # Pillow raises anything on damaged files
        return None
    return height, width


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """Masks in files, one for every picture.

    Attributes:
        paths: files, or parts of such.
        legend: meaning of their values.
    """

    paths: tuple[Encoded, ...]
    legend: Legend

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        """The mask of a picture: uint8 `(H, W)`.

        Raises:
            InputError: the file is damaged, or has colours that the legend has not.
        """
        return decoded(self.paths[index], self.legend)

    def take(self, indices: np.ndarray) -> MaskFiles:
        """The masks at these positions."""
        return replace(self, paths=tuple(self.paths[index] for index in indices))

    def joined(self, other: MaskFiles) -> MaskFiles:
        """These masks, then the others."""
        return replace(self, paths=self.paths + other.paths)


def decoded(path: Encoded, legend: Legend) -> np.ndarray:
    """The classes of a mask file, uint8 `(H, W)`; 255 is void.

    Args:
        path: grey or palette picture of values, or one of colours that the legend has.
        legend: meaning of the values.

    Raises:
        InputError: no picture, or colours that are not in the legend.
    """
    values, palette = stored(path)
    if legend.by_colour:
        return _of_colours(path, values if values.ndim == 3 else _coloured(values, palette), legend)
    if values.ndim == 3:
        raise InputError(
            f"{path} has colours: expected values of classes (grey or palette), or a {NAMES} with lines like "
            "'road 128 64 128'"
        )
    if legend.values:
        seen = np.bincount(values.ravel(), minlength=256) > 0
        if (value := legend.strange(seen)) is not None:
            raise InputError(
                f"{path} has the value {value}, which means nothing: expected {spans(legend.values)} for classes, "
                f"{spans((*legend.void, VOID))} for void"
            )
    return legend.lookup()[values]


def _coloured(values: np.ndarray, palette: np.ndarray | None) -> np.ndarray:
    """Colours of a grey or palette picture."""
    return np.repeat(values[..., None], 3, axis=-1) if palette is None else palette[values]


def _of_colours(path: Encoded, colours: np.ndarray, legend: Legend) -> np.ndarray:
    known = {**dict.fromkeys(legend.void_colours, VOID), **{c: n for n, c in enumerate(legend.colours)}}
    codes = colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, places = np.unique(codes, return_inverse=True)
    strange = [code for code in found.tolist() if (code >> 16, code >> 8 & 255, code & 255) not in known]
    if strange:
        code = strange[0]
        raise InputError(f"{path} has the colour {code >> 16} {code >> 8 & 255} {code & 255}, which {NAMES} has not")
    classes = np.array([known[code >> 16, code >> 8 & 255, code & 255] for code in found.tolist()], np.uint8)
    return classes[places].reshape(codes.shape)


def stored(path: Encoded) -> tuple[np.ndarray, np.ndarray | None]:
    """What a picture holds: values `(H, W)` or colours `(H, W, 3)`, uint8; and the palette `(256, 3)` where it has one.

    Args:
        path: file.

    Raises:
        InputError: no picture, or values beyond those of classes.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            picture.load()
            if picture.mode == "P":
                table = np.zeros((256, 3), np.uint8)
                known = np.array(picture.getpalette() or [], np.uint8).reshape(-1, 3)
                table[: len(known)] = known
                return np.asarray(picture), table
            if picture.mode in ("L", "1"):
                return np.asarray(picture).astype(np.uint8), None
            if picture.mode.startswith("I"):
                values = np.asarray(picture)
                if values.size and (values.min() < 0 or values.max() > VOID):
                    raise InputError(f"{path} has the value {values.max()}: expected classes from 0 to 254, 255 void")
                return values.astype(np.uint8), None
            if picture.mode not in ("RGB", "RGBA", "LA"):
                raise InputError(f"{path} is of the mode {picture.mode}: expected grey values, a palette or colours")
            colours = np.asarray(picture.convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # Pillow raises anything on damaged files
        raise InputError(f"{path} cannot be decoded as a mask: {visible(error)[:200]}") from error
    return (colours[..., 0], None) if (colours[..., :1] == colours).all() else (colours, None)


def settled(paths: Sequence[Encoded], legend: Legend) -> Legend:
    """Decides for a whole set whether its masks are read by colours or by values.

    By colours, where `classes.txt` has some and a mask is coloured, has a value that is no class, or is white where
    white is a class. Without `classes.txt`, masks of 0 and 255 alone are a background and an object.

    Args:
        paths: all masks.
        legend: meaning that `classes.txt` gives.

    Raises:
        InputError: a mask cannot be decoded.
    """
    if legend.fixed or (legend.names and not legend.colours):
        return legend
    with ThreadPoolExecutor(machine.cores()) as pool:
        looked = list(pool.map(lambda path: _looked(path, legend), paths))
    seen = np.logical_or.reduce([values for values, _ in looked])
    if not legend.names:
        binary = set(np.flatnonzero(seen).tolist()) == {0, VOID} and not any(coloured for _, coloured in looked)
        return replace(legend, **_BINARY) if binary and not legend.void else legend
    white = seen[VOID] and (VOID, VOID, VOID) in {*legend.colours, *legend.void_colours}
    known = {*(legend.values or range(len(legend.names))), *legend.void}
    beyond = any(n not in known for n in np.flatnonzero(seen[:VOID]).tolist())
    by_colour = white or beyond or any(coloured for _, coloured in looked)
    return replace(legend, by_colour=True) if by_colour else legend


def _looked(path: Encoded, legend: Legend) -> tuple[np.ndarray, bool]:
    """Values that a mask has, bool `(256,)`; and whether its colours, or those of its palette, say what they mean."""
    values, palette = stored(path)
    if values.ndim == 3:
        return np.zeros(256, bool), True
    seen = np.bincount(values.ravel(), minlength=256) > 0
    if palette is None or not legend.colours:
        return seen, False
    used = [tuple(map(int, palette[n])) for n in np.flatnonzero(seen)]
    grey = all(colour == (n,) * 3 for n, colour in zip(np.flatnonzero(seen), used, strict=True))
    return seen, not grey and set(used) <= {*legend.colours, *legend.void_colours}


def palette(path: Encoded, count: int) -> tuple[Colour, ...]:
    """Colours of a palette picture; empty where it is none."""
    with opened(path) as picture:
        if picture.mode != "P":
            return ()
        values = np.array(picture.getpalette() or [], np.int64).reshape(-1, 3)
    colours = [tuple(map(int, values[place])) if place < len(values) else (0, 0, 0) for place in range(count)]
    return tuple((red, green, blue) for red, green, blue in colours)


def legend_of(split: Split) -> Legend | None:
    """The legend of a split's masks, where they are read from files.

    Args:
        split: split of any kind.
    """
    return getattr(getattr(split, "maps", {}).get("mask"), "legend", None)
