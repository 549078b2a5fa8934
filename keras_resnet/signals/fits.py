"""How an image fills the frame of a net; `signals.crops.rectangle` does it."""

from __future__ import annotations

from typing import Literal, cast

# Share of the central part's sides that is used, of the largest part that has the frame's aspect; or all of the image:
# padded at the bottom and at the right to that aspect, or stretched to it; or pixels as large as they are: the central
# part of the frame's size, padded around where the image is smaller.
Keep = float | Literal["pad", "stretch", "own"]
FITS = ("crop", "pad", "stretch", "own")  # `crop` with a share beside it
GREY = 127  # of padding, near every data set's mean; uint8


def kept(fit: str, crop: float) -> Keep:
    """What of an image is used, of the two settings of recipes and cards.

    Args:
        fit: one of `FITS`.
        crop: share of the central part's sides, for `"crop"`.
    """
    return crop if fit == "crop" else cast("Keep", fit)
