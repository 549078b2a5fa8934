"""Bringing the tensors of a file and the variables of a net together: exactly, adapted, or as far as they go."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import InputError, unknown_name

MATCHES = ("exact", "adapt", "partial")
HEAD = ("predictions/kernel", "predictions/bias")
# What depends on the number of classes in a net of any task.
_LAST = ("logits_conv", "aux_logits_conv", "scores_conv")
HEADS = (*HEAD, *(f"{layer}/{kind}" for layer in _LAST for kind in ("kernel", "bias")))
AUXILIARY = "aux_"  # beginning of the names of layers that only a training needs
_log = logging.getLogger("keras_resnet")


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """Report of what became of a weight file.

    Attributes:
        source: file or registered name.
        loaded: number of variables that were filled from it.
        adapted: variables that were filled with a tensor of another shape, and how.
        initial: variables that kept the values they had.
        left_over: tensors of the file that were not used.
    """

    source: str
    loaded: int
    adapted: tuple[str, ...] = ()
    initial: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """True where every tensor was used and every variable filled, as they were."""
        return not (self.adapted or self.initial or self.left_over)

    def __str__(self) -> str:
        """A line per group that is not empty."""
        groups = (("adapted", self.adapted), ("kept their values", self.initial), ("not used", self.left_over))
        lines = [f"{self.source}: {self.loaded} variables loaded"]
        return "\n".join([*lines, *(f"  {title}: {_listed(names)}" for title, names in groups if names)])


def _listed(names, most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def match_tensors(
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, np.ndarray],
    *,
    match: str,
    source: str,
    model: str,
    first_conv: str,
    bgr: bool,
    looks_like: str = "",
) -> tuple[dict[str, np.ndarray], LoadReport]:
    """Decides which tensor fills which variable.

    Args:
        shapes: shapes of the net's variables by name.
        tensors: arrays of the file by the same names.
        match: row of `MATCHES`.
        source: name of the file, for messages.
        model: name of the model, for messages.
        first_conv: name of the kernel that `"adapt"` fits to another number of channels.
        bgr: whether that kernel expects blue first.
        looks_like: words at the end of the message where they do not fit.

    Returns:
        The values by variable, and the report.

    Raises:
        InputError: unknown match, they do not fit, or a tensor holds NaN or infinity.
    """
    if match not in MATCHES:
        raise unknown_name("weights_match", str(match), MATCHES)
    tensors = dict(tensors)
    adapted = []
    if match != "exact" and first_conv in shapes and first_conv in tensors:
        before, wanted = tensors[first_conv], shapes[first_conv]
        if _differs_in_channels(before.shape, wanted) and (match == "adapt" or before.shape[-2] in (1, 3)):
            tensors[first_conv] = adapt_channels(before, wanted[-2], bgr)
            adapted.append(f"{first_conv} from {before.shape[-2]} to {wanted[-2]} channels")
    wrong = {
        name: f"{name} {tensors[name].shape} instead of {shape}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != shape
    }
    missing = [name for name in shapes if name not in tensors]
    left_over = [name for name in tensors if name not in shapes]
    free = {"exact": (), "adapt": HEADS, "partial": {*shapes, *tensors}}[match]
    refused = {
        "missing": [name for name in missing if name not in free],
        "left over": [f"{name} {tensors[name].shape}" for name in left_over if name not in free],
        "wrong shape": [text for name, text in wrong.items() if name not in free],
    }
    taken = {name: tensors[name] for name in shapes if name in tensors and name not in wrong}
    if any(refused.values()) or not taken:
        parts = [f"{title}: {_listed(names, 4)}" for title, names in refused.items() if names] or ["no name in common"]
        remedy = _remedy(match, [*missing, *left_over, *wrong], first_conv)
        raise InputError(f"{source} does not fit {model}: {'; '.join(parts)}{remedy}{looks_like}")
    _check_finite(taken, source)
    report = LoadReport(
        source=source,
        loaded=len(taken),
        adapted=tuple(adapted),
        initial=tuple(name for name in shapes if name not in taken),
        left_over=tuple(sorted({*left_over, *wrong})),
    )
    if not report.exact:
        _log.warning("%s", report)
    return taken, report


def _check_finite(values: Mapping[str, np.ndarray], source: str) -> None:
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    if bad:
        raise InputError(f"{source} holds NaN or infinity in {_listed(bad, 4)}; the file is damaged")


def _differs_in_channels(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return (
        len(shape) == len(wanted) and shape[-2] != wanted[-2] and (*shape[:-2], shape[-1]) == (*wanted[:-2], wanted[-1])
    )


def _remedy(match: str, names: list[str], first_conv: str) -> str:
    if match == "exact" and all(name in (*HEADS, first_conv) for name in names):
        return ". weights_match='adapt' fits the first convolution to other channels and replaces or drops the head"
    return ""


def adapt_channels(kernel: np.ndarray, channels: int, bgr: bool = False) -> np.ndarray:
    """Fits a kernel for colour images, or for grey ones, to another number of input channels.

    One channel gets the sum of the colours' kernels, so a grey image gives what it gave as a colour image. More get
    red, green, blue, red, ... scaled so that the response to a constant image stays (as timm does). A grey kernel is
    spread evenly.

    Args:
        kernel: `(..., in, out)` with 1 or 3 input channels.
        channels: number of channels that the net takes.
        bgr: the kernel's order is blue, green, red; so is that of the result's first three channels. With fewer than
            three channels there is no such order, and they are red and green.

    Returns:
        `(..., channels, out)`.

    Raises:
        InputError: the kernel has another number of channels.
    """
    received = kernel.shape[-2]
    if received not in (1, 3):
        raise InputError(f"the first convolution has {received} input channels; it can be adapted from 1 or 3 only")
    if received == 1:
        return np.repeat(kernel, channels, axis=-2) / channels
    rgb = kernel[..., ::-1, :] if bgr else kernel
    if channels == 1:
        return rgb.sum(axis=-2, keepdims=True)
    spread = np.take(rgb, np.arange(channels) % 3, axis=-2) * (3 / channels)
    if bgr and channels >= 3:
        spread[..., :3, :] = spread[..., 2::-1, :].copy()
    return spread.astype(kernel.dtype)
