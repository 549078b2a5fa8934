"""Bytes that a model takes on a microcontroller."""

from __future__ import annotations

from dataclasses import dataclass

# Of the arena's persistent part, read off what the tflite-micro wheel prints (64-bit): a TfLiteEvalTensor, a node with
# its kernel's parameters, two int32 tables per channel of a convolution, the interpreter itself.
_TENSOR, _NODE, _CHANNEL, _FIXED = 24, 142, 8, 1056
MOST_FLASH, MOST_RAM = 2 << 20, 1 << 20  # of a microcontroller, where a search needs a bound


@dataclass(frozen=True)
class Fit:
    """Bytes that a model takes.

    Attributes:
        flash: size of the file.
        activations: the arena's first part, planned.
        structures: the arena's second part, estimated.
        exact: whether it was read from a file.
    """

    flash: int
    activations: int
    structures: int
    exact: bool

    @property
    def arena(self) -> int:
        """Bytes of RAM."""
        return self.activations + self.structures


def structures(tensors: int, nodes: int, channels: int) -> int:
    """Bytes of the arena behind the activations: structures of the interpreter, tables of the kernels.

    Args:
        tensors: number of tensors.
        nodes: number of operators.
        channels: number of output channels of all convolutions.
    """
    return _TENSOR * tensors + _NODE * nodes + _CHANNEL * channels + _FIXED
