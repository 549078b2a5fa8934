"""The table of signals: what a net looks at is a row here, and a module with the functions of `signals.interface`."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, cast

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.options import AXES

if TYPE_CHECKING:
    from keras_resnet.signals.interface import EncodedCode


@functools.cache  # and what is cached, TensorFlow does not try to trace
def _imported(module: str) -> ModuleType:
    """The module of a row."""
    return importlib.import_module(module)


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One kind of input.

    Attributes:
        name: name in cards, recipes and messages.
        summary: what an example is, for people.
        plural: word for several examples, as in "images/s".
        key: name of the examples in what a split's `fetch` gives.
        rank: axes of an example without the channels, 2 for an image.
        channels: number of channels that a source gives where it can give several, 3 for an image: RGB.
        suffixes: endings of files that `load` reads, in lower case; empty where there are no files.
        dtype: number type of the examples of data sources.
        values: smallest and largest value of such an example; None where any number may come.
        supports: what exists beyond reading, training, evaluation and export: some of `CAPABILITIES`.
        module: full name of the module, imported on first use.
    """

    name: str
    summary: str
    key: str
    rank: int
    plural: str = "examples"
    channels: int = 1
    suffixes: tuple[str, ...] = ()
    dtype: str = "float32"
    values: tuple[float, float] | None = None
    supports: frozenset[str] = field(default_factory=frozenset)
    module: str

    @property
    def code(self) -> EncodedCode:
        """The functions; those of `EncodedCode` only where the row has suffixes."""
        return cast("EncodedCode", _imported(self.module))

    def require(self, capability: str) -> None:
        """Refuses what the signal does not support.

        Args:
            capability: one of `CAPABILITIES`.

        Raises:
            InputError: the signal has no such capability.
        """
        if capability not in self.supports:
            able = ", ".join(sorted(self.supports)) or "training, evaluation, prediction and export alone"
            raise InputError(f"signal {self.name} does not support {capability}: it supports {able}")

    def fixed_shape(self, shape: tuple[int | None, ...], declared: tuple[int | None, ...]) -> tuple[int, ...]:
        """The shape of one example, for data that a model takes.

        Args:
            shape: shape of one example as the model takes it, channels last.
            declared: shape of the model's input with the batch, for the message.

        Raises:
            InputError: examples of this signal have another number of axes, or the model takes any size.
        """
        fixed = tuple(size for size in shape if size is not None)
        if not len(fixed) == len(shape) == self.rank + 1:
            axes = ", ".join(AXES.get(self.rank, (f"{self.rank} axes",)))
            remedy = "; give --image-size N" if self.name == "image" and len(shape) == self.rank + 1 else ""
            raise InputError(f"the model takes {declared}: expected (batch, {axes}, channels), fixed{remedy}")
        return fixed


CAPABILITIES = ("corruptions", "explain", "views")

SIGNALS: dict[str, Signal] = {
    row.name: row
    for row in (
        Signal(
            name="image",
            summary="pictures, grey or RGB: PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC",
            plural="images",
            key="image",
            rank=2,
            channels=3,
            suffixes=(*(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"),),
            dtype="uint8",
            values=(0.0, 255.0),
            supports=frozenset(CAPABILITIES),
            module="keras_resnet.signals.image",
        ),
    )
}


def get_signal(name: str) -> Signal:
    """Returns the signal of that name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in SIGNALS:
        raise unknown_name("signal", name, SIGNALS)
    return SIGNALS[name]
