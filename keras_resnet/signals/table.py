"""The table of signals: what a net looks at is a row here, and a module with the functions of `signals.interface`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from keras_resnet.errors import InputError, unknown_name

if TYPE_CHECKING:
    from keras_resnet.signals.interface import EncodedCode


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
    module: str

    @property
    def code(self) -> EncodedCode:
        """The functions; those of `EncodedCode` only where the row has suffixes."""
        return cast("EncodedCode", importlib.import_module(self.module))

    def check_shape(self, shape: tuple[int | None, ...], what: str) -> None:
        """Refuses a shape that no example of this signal has.

        Args:
            shape: shape without the batch.
            what: whose shape it is, for the message.

        Raises:
            InputError: it has another number of axes.
        """
        if len(shape) != self.rank + 1:
            raise InputError(
                f"{what} has shape {tuple(shape)}: expected {self.rank} axes and channels, as the signal is {self.name}"
            )


SIGNALS: dict[str, Signal] = {
    row.name: row
    for row in (
        Signal(
            name="image",
            summary="pictures, grey or RGB, as PNG and JPEG files",
            plural="images",
            key="image",
            rank=2,
            channels=3,
            suffixes=(".png", ".jpg", ".jpeg"),
            dtype="uint8",
            values=(0.0, 255.0),
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
