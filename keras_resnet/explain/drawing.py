"""Heat maps on images, as pictures and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import files, pictures
from keras_resnet.errors import InputError
from keras_resnet.page import render, table

_PERCENTILE = 99.5  # brightest values; single pixels beyond it would darken the rest
_OPACITY, _POWER = 0.75, 0.7


@dataclass(frozen=True)
class Panel:
    """One heat map.

    Attributes:
        label: name of the class.
        probability: probability of the class, 0 to 1, or another value whose evidence it is.
        heat: heat map, float `(height, width)`.
        error: relative error of the sum, where the method has one.
        form: format of `probability`; the task's `EVIDENCE`, where it has one.
        box: x1, y1, x2, y2 of the object whose evidence it is, in pixels of the heat map; None where there is none.
    """

    label: str
    probability: float
    heat: np.ndarray
    error: float | None = None
    form: str = "{:.1%}"
    box: tuple[float, ...] | None = None

    @property
    def text(self) -> str:
        """`probability` as people read it."""
        return self.form.format(self.probability)


@dataclass(frozen=True)
class Row:
    """An image and what speaks for its classes.

    Attributes:
        name: name of the image.
        image: pixels, uint8 `(height, width, channels)`.
        panels: one panel per class, best first.
        photo: the same part of the photograph in more pixels, for people; None where there are no more.
    """

    name: str
    image: np.ndarray
    panels: tuple[Panel, ...]
    photo: np.ndarray | None = None


def overlay(image: np.ndarray, heat: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """Lays a map over an image: the larger the value, the more of the colour and the less of the image.

    Args:
        image: uint8 `(height, width, 1 or 3)`.
        heat: heat map, float `(height, width)`.
        signed: whether red is for and blue against the class; otherwise dark to yellow.

    Returns:
        uint8 `(height, width, 3)`.

    Example:
        >>> import numpy as np
        >>> overlay(np.full((4, 4, 3), 90, "uint8"), np.eye(4)).shape
        (4, 4, 3)
    """
    from matplotlib import colormaps

    top = float(np.percentile(np.abs(heat), _PERCENTILE)) or float(np.abs(heat).max()) or 1.0
    level = np.clip(heat / top, -1 if signed else 0, 1)
    colours = colormaps["RdBu_r"](level / 2 + 0.5) if signed else colormaps["inferno"](level)
    grey = image.mean(axis=-1, keepdims=True).repeat(3, axis=-1) / 255  # colours of the image would mix with the map's
    alpha = _OPACITY * (np.abs(level) ** _POWER)[..., None]
    return np.rint(255 * ((1 - alpha) * grey + alpha * colours[..., :3])).astype(np.uint8)


def draw(rows: Sequence[Row], title: str, *, signed: bool):
    """A figure: a row per image, the image first, then its classes.

    Args:
        rows: images with their panels, one row each.
        title: title above the figure.
        signed: whether the maps have negative values.
    """
    columns = 1 + max(len(row.panels) for row in rows)
    made = pictures.figure(2.4 * columns, 2.75 * len(rows) + 0.5)
    made.suptitle(title, fontsize=11)
    for line, row in zip(made.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        for axes in line:
            axes.axis("off")
        shown = row.image if row.photo is None else row.photo
        line[0].imshow(_rgb(shown), interpolation="nearest")
        line[0].set_title(_short(row.name), fontsize=9)
        for axes, panel in zip(line[1:], row.panels, strict=False):
            axes.imshow(overlay(shown, _stretched(panel.heat, shown), signed=signed), interpolation="nearest")
            axes.set_title(f"{_short(panel.label)}\n{panel.text}", fontsize=9)
            if panel.box is not None:
                axes.add_patch(_frame(panel.box, shown.shape[1] / panel.heat.shape[1]))
    return made


def _frame(box: Sequence[float], scale: float) -> Any:
    """The rim of a box in a picture so many times as large."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = (side * scale for side in box)
    return Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor="#3fd0ff", linewidth=1.5)


def _stretched(heat: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A heat map in the size of an image."""
    from PIL import Image

    height, width = image.shape[:2]
    if heat.shape == (height, width):
        return heat
    return np.asarray(Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def _rgb(image: np.ndarray) -> np.ndarray:
    return image.repeat(3, axis=-1) if image.shape[-1] == 1 else image[..., :3]


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"


def write(rows: Sequence[Row], path: Path, title: str, command: str, *, signed: bool, overwrite: bool) -> None:
    """Writes a `.png`, or an `.html` page with the picture and a table.

    Args:
        rows: images with their panels, one row each.
        path: file that ends in `.png` or `.html`.
        title: title above the figure.
        command: command line that made the page.
        signed: whether the maps have negative values.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: another suffix, the file exists, or it cannot be written.
    """
    picture = pictures.png(draw(rows, title, signed=signed))
    if path.suffix == ".png":
        save(path, picture, overwrite)
        return
    legend = "Red speaks for the class, blue against it." if signed else "Yellow marks where the class was found."
    panels = [(row, panel) for row in rows for panel in row.panels]
    summed = any(panel.error is not None for _, panel in panels)
    header = ("image", "answer", "evidence", *(["error of the sum"] if summed else []))
    cells = [(row.name, each.label, each.text, *([f"{each.error:.2%}"] if summed else [])) for row, each in panels]
    alternative = f"Heat maps over {len(rows)} images; the table below names their classes. {legend}"
    text = render(
        "keras_resnet/picture.html",
        title=title,
        words=legend,
        picture=pictures.embedded(picture, alternative),
        classes=table("What is explained", header, cells),
        command=command,
    )
    save(path, text.encode(), overwrite)


def save(path: Path, contents: bytes, overwrite: bool) -> None:
    """Writes a file beside its name first.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(contents)


def check_suffix(path: Path, allowed: Sequence[str] = (".png", ".html")) -> None:
    """Refuses names of other kinds of files, before any work.

    Raises:
        InputError: another suffix.
    """
    if path.suffix not in allowed:
        raise InputError(f"-o {path}: expected a name that ends in {' or '.join(allowed)}")
