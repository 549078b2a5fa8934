"""Where the elements of a moved example come from: what lets a truth follow its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Placement:
    """Maps places of an output to places of the input that it was made of.

    A place is a list of indices, the last axis first: `(x, y)` in an image. Whole numbers are the centres of elements,
    so the first pixel reaches from -0.5 to 0.5.

    Attributes:
        matrix: float32 `(n, rank + 1, rank + 1)`, one projective matrix for every example, array or tensor: a place
            `(x, y, 1)` of the output becomes one of the input, in homogeneous coordinates.
        size: lengths of the output's axes, `(height, width)` for an image.
        offsets: what is added to every place of the output before the matrix is applied, float32 `(n, *size, rank)`,
            the last axis first, as in a place; None for nothing. So an elastic move is one, behind all others.

    Example:
        >>> import numpy as np
        >>> shifted = Placement(np.float32([[[1, 0, 3], [0, 1, 0], [0, 0, 1]]]), (8, 8))
        >>> (shifted.matrix[0] @ [2, 5, 1]).tolist()  # column 2 of the output is column 5 of the input
        [5.0, 5.0, 1.0]
    """

    matrix: Any
    size: tuple[int, ...]
    offsets: Any = None

    def of(self, examples: slice) -> Placement:
        """The placement of some of the examples.

        Args:
            examples: which of them.
        """
        offsets = None if self.offsets is None else self.offsets[examples]
        return Placement(self.matrix[examples], self.size, offsets)

    def after(self, earlier: Placement | None) -> Placement:
        """The placement of two moves in a row, of which this is the second.

        Args:
            earlier: placement of the first move; None where nothing moved.

        Raises:
            ValueError: the first move was elastic, which is the last of a row.
        """
        if earlier is None:
            return self
        if earlier.offsets is not None:
            raise ValueError("an elastic move is the last one: its offsets are those of the output's places")
        return Placement(earlier.matrix @ self.matrix, self.size, self.offsets)


def in_a_row(first: Placement | None, second: Placement | None) -> Placement | None:
    """The placement of two moves, each of which may be none.

    Args:
        first: placement of the move that comes first; None where nothing moved.
        second: placement of the move that follows.
    """
    return first if second is None else second.after(first)
