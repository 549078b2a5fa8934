"""What the code of a signal offers: everything that depends on what an example looks like.

A signal is a row of `signals.table.SIGNALS` and a module with these functions. `SignalCode` is what every signal has;
`EncodedCode` comes on top where examples are read from files while a net trains.
"""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np

from keras_resnet.signals.fits import Keep


class SignalCode(Protocol):
    """Functions that predictions, exports and trainings on arrays need."""

    def load(self, path: str | os.PathLike, shape: tuple[int, ...], keep: Keep = 1.0) -> np.ndarray:
        """Reads an example that a person named.

        Args:
            path: file with one of the row's suffixes.
            shape: shape of the result, that of a net's input without the batch.
            keep: what of an example is used (`signals.fits`).

        Returns:
            The example as data sources have it: the row's dtype and values, `shape`.

        Raises:
            InputError: no such file, or it cannot be decoded.
        """

    def noise(self, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
        """Makes examples that mean nothing, for checks without data: the row's dtype, `(count, *shape)`."""

    def resized(self, examples: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
        """Resizes examples as an app does for a file of another size than the data.

        Args:
            examples: the row's dtype, `(n, *axes, channels)`.
            shape: `(*axes, channels)` of the result, None for an axis that may have any length.

        Returns:
            The row's dtype; `examples` itself where the shape is theirs.
        """


class EncodedCode(SignalCode, Protocol):
    """Functions for examples in files, which tf.data calls in graphs.

    Attributes:
        DRAWS: random numbers that `parts` uses for an example.
    """

    DRAWS: int

    def is_readable(self, contents: bytes, shape: tuple[int, ...]) -> bool:
        """Says whether a file can be decoded to an example of `shape`."""

    def decoded(self, contents, shape: tuple[int, ...], keep: Keep = 1.0, upright: bool = True):
        """Decodes files and resizes their central part.

        Args:
            contents: bytes of files, `(n,)`, tensor or array.
            shape: shape of an example.
            keep: what of an example is used (`signals.fits`).
            upright: whether an example is turned as its file says; truth of places may mean the pixels in the file.

        Returns:
            Examples, the row's dtype, `(n, *shape)`; and the matrices `(n, rank + 1, rank + 1)` of their placement.
        """

    def parts(self, contents, shape: tuple[int, ...], draws, box, upright: bool = True):
        """Decodes random parts of files.

        Args:
            contents: bytes of files, `(n,)`, tensor.
            shape: shape of an example.
            draws: uniform in [0, 1), `(n, DRAWS)`.
            box: chooses the part; the `box` of an `Augmentation`.
            upright: as in `decoded`.

        Returns:
            As `decoded`.
        """
