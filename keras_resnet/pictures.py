"""Charts and images for pages that need nothing but themselves."""

from __future__ import annotations

import base64
import colorsys
import contextlib
import html
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from matplotlib.figure import Figure  # without pyplot: no display, no global state
from matplotlib.text import Text

from keras_resnet.page import Html
from keras_resnet.untrusted import visible

if TYPE_CHECKING:
    from matplotlib.ticker import MaxNLocator

# Told apart with every kind of colour vision (Okabe and Ito 2008), dark enough for thin lines on white.
COLOURS = ("#0072b2", "#d55e00", "#007a57", "#aa4499", "#8c6d00", "#3a8fb7", "#555555", "#882255")
_LEGEND = 3  # names in a line
DASHES = ("-", "--", "-.", ":")


def figure(width: float = 9, height: float = 4) -> Figure:
    """An empty figure in inches, laid out without overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def hues(count: int) -> np.ndarray:
    """Colours that are far apart, the same for everybody: hues by the golden angle, of three brightnesses.

    Args:
        count: number of colours.

    Returns:
        uint8 `(count, 3)`: red, green, blue.
    """
    found = [colorsys.hsv_to_rgb(n * 0.618034 % 1.0, 0.75, (1.0, 0.75, 0.5)[n % 3]) for n in range(count)]
    return np.round(255 * np.array(found).reshape(count, 3)).astype(np.uint8)


def reduced(pixels: np.ndarray, most: int) -> np.ndarray:
    """A picture no larger than a number of pixels: uint8 `(H, W, channels)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`.
        most: pixels of the longer side at most.
    """
    from PIL import Image

    side = max(pixels.shape[:2])
    if side <= most:
        return pixels
    height, width = (max(1, round(length * most / side)) for length in pixels.shape[:2])
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    found = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2))
    return found[..., None] if found.ndim == 2 else found


def svg(made: Figure, alternative: str) -> Html:
    """A figure as inline SVG with a text for screen readers.

    Args:
        made: figure to be drawn.
        alternative: what the picture shows, in words.
    """
    text = io.StringIO()
    with _drawing(made):
        made.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    code = text.getvalue()[text.getvalue().index("<svg") :]
    code = code.replace("<svg", f'<svg role="img" aria-label="{html.escape(alternative, quote=True)}"', 1)
    # Where the page is narrower than its letters could be read, it is scrolled.
    return Html(f'<div class="scroll picture">{code}</div>')


@contextlib.contextmanager
def _drawing(made: Figure) -> Iterator[None]:
    """Takes texts as they are, formulas and control characters too; letters that the font has not become boxes."""
    for text in made.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(visible(text.get_text(), lines=True))
        if "mathdefault" not in text.get_text():  # the numbers of an axis
            text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def png(made: Figure, dpi: int = 110) -> bytes:
    """A figure as a PNG file's bytes."""
    packed = io.BytesIO()
    with _drawing(made):
        made.savefig(packed, format="png", dpi=dpi)
    return packed.getvalue()


def embedded(picture: bytes, alternative: str) -> Html:
    """A PNG file inside an `<img>`.

    Args:
        picture: bytes of the file.
        alternative: what the picture shows, in words.
    """
    data = base64.b64encode(picture).decode("ascii")
    return Html(f'<img src="data:image/png;base64,{data}" alt="{html.escape(alternative, quote=True)}">')


def matrix(shares: np.ndarray, rows: Sequence[str], columns: Sequence[str], x: str, y: str) -> Figure:
    """A chart of shares by row and column, each from half a hundredth on as a whole number of a hundred.

    Args:
        shares: 0 to 1, `(rows, columns)`.
        rows: names of the rows.
        columns: names of the columns.
        x: words below.
        y: words to the left.
    """
    size = 3 + 0.45 * max(shares.shape)
    made = figure(size + 0.8, size)
    axes = made.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel=x, ylabel=y, xticks=range(len(columns)), yticks=range(len(rows)))
    # Labels of ticks are written anew while a figure is drawn, so `_drawing` comes too early for them.
    axes.set_xticklabels(list(map(visible, columns)), rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(list(map(visible, rows)))
    for row, column in np.argwhere(shares >= 0.005):  # less is 0 % as a whole number
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{100 * shares[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    return made


def lines(
    title: str,
    curves: Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
    x: str,
    y: str,
    *,
    log: bool = False,
    bands: Mapping[str, Sequence[float]] | None = None,
    marker: str = "",
) -> Figure:
    """A chart of lines; every line has its own colour and dash.

    Args:
        title: words above the chart.
        curves: x values and y values by name of the line.
        x: words at the x axis, with the unit.
        y: words at the y axis, with the unit.
        log: whether the y axis is logarithmic.
        bands: half of the width of a band around a line, by name of the line.
        marker: shape of the points, as matplotlib names it.
    """
    made = figure(8.5, 4 + 0.25 * math.ceil(len(curves) / _LEGEND))
    axes = made.subplots()
    for number, (name, (places, values)) in enumerate(curves.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        axes.plot(places, values, dash, color=colour, label=name, linewidth=1.6, marker=marker)
        if bands and name in bands:
            low, high = np.subtract(values, bands[name]), np.add(values, bands[name])
            axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(title=title, xlabel=x, ylabel=y, yscale="log" if log else "linear")
    axes.grid(alpha=0.3)
    if all(float(place).is_integer() for places, _ in curves.values() for place in places):
        cast("MaxNLocator", axes.xaxis.get_major_locator()).set_params(integer=True)
    if curves:
        made.legend(loc="outside lower center", ncols=min(_LEGEND, len(curves)), frameon=False)
    return made
