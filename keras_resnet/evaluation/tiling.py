"""How a picture is divided into tiles, and the options that say it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from keras_resnet import flags
from keras_resnet.errors import InputError

_OVERLAP = 64


@dataclass(frozen=True)
class Tiles:
    """How a picture is divided.

    Attributes:
        overlap: pixels that two neighbours share, at least; 0 to below the side of a tile.
    """

    overlap: int

    def starts(self, length: int, tile: int) -> list[int]:
        """First pixels of the tiles along an axis: as few as cover it, evenly apart, the last one at its end.

        Args:
            length: pixels of the axis.
            tile: pixels of a tile.

        Example:
            >>> Tiles(64).starts(600, 256), Tiles(64).starts(200, 256)
            ([0, 172, 344], [0])
        """
        if length <= tile:
            return [0]
        count = -(-(length - tile) // (tile - self.overlap)) + 1
        return np.round(np.linspace(0, length - tile, count)).astype(int).tolist()


def add(parser: argparse._ActionsContainer) -> None:
    """`--tile` and `--overlap`; `asked` reads them.

    Args:
        parser: parser or group.
    """
    parser.add_argument(
        "--tile",
        nargs="?",
        type=flags.positive,
        const=0,
        metavar="N",
        help="of a segmentation: pictures at their own size, in tiles as large as the net's input (N pixels)",
    )
    parser.add_argument("--overlap", type=int, metavar="N", help=f"pixels that tiles share (default: {_OVERLAP})")


def asked(args: argparse.Namespace) -> Tiles | None:
    """The tiles that a command line asks for; None for none.

    Args:
        args: options of a parser that `add` was called with.

    Raises:
        InputError: an overlap without tiles.
    """
    if args.tile is None:
        if args.overlap is not None:
            raise InputError("--overlap goes with --tile")
        return None
    return Tiles(_OVERLAP if args.overlap is None else args.overlap)
