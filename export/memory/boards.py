"""Nets of the table that fit a microcontroller."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

from export.memory.nets import of_model
from export.memory.size import Fit
from keras_resnet.builder import build
from keras_resnet.nets.graph import without_values
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS

_LEAST_STRUCTURES = 600  # bytes of a block: two convolutions, an addition, their tensors


def fitting(flash: int, ram: int, image_shape: tuple[int, ...], classes: int) -> Iterator[tuple[str, Fit]]:
    """Finds the residual nets of the table that fit a board, most weights first.

    Args:
        flash: bytes of flash.
        ram: bytes of RAM.
        image_shape: `(height, width, channels)` of an image.
        classes: number of classes.

    Yields:
        Name and size.
    """
    smallest = min(image_shape[:2])
    residual = [spec for spec in SPECS.values() if spec.shortcut != "none"]
    specs = [spec for spec in residual if spec.final_stride() <= smallest]
    likely = [spec for spec in specs if _least_weights(spec) <= flash and sum(spec.depths) * _LEAST_STRUCTURES <= ram]

    def measured(spec: ResNetSpec) -> Fit:
        with without_values():
            return of_model(build(spec, input_shape=image_shape, classes=classes))

    @functools.cache
    def activations(short: ResNetSpec) -> int:
        return measured(short).activations

    for spec in sorted(likely, key=_least_weights, reverse=True):
        # Depth costs weights; two blocks of a stage take the memory of a hundred.
        if activations(replace(spec, name="short", depths=tuple(min(depth, 2) for depth in spec.depths))) > ram:
            continue
        fit = measured(spec)
        if fit.flash <= flash and fit.arena <= ram:
            yield spec.name, fit


def largest(flash: int, ram: int, image_shape: tuple[int, ...], classes: int) -> tuple[str, Fit] | None:
    """Finds the first of `fitting`, None where not even the smallest net fits.

    Example:
        >>> from export.memory import largest  # doctest: +SKIP
        >>> largest(98_496, 57_344, (32, 32, 3), 10)[0]  # doctest: +SKIP
        'resnet8'
    """
    return next(fitting(flash, ram, image_shape, classes), None)


def _least_weights(spec) -> int:
    """Fewer than the net has: the 3x3 convolutions of its blocks without their groups."""
    basic = spec.block == "basic"
    total = 0
    for block in spec.blocks():
        inner = spec.inner_width(block.filters)
        total += 18 * block.filters**2 if basic else 9 * inner**2 // spec.cardinality + 4 * block.filters * inner
    return int(0.9 * total) if len(spec.depths) > 1 else 0
