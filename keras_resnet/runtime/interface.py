"""Model files behind one interface: names, dtypes, layouts and quantization are handled once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.signals.conventions import Preprocess

_FIRST = "probabilities"  # of several outputs
_CHANNELS = (1, 2, 3, 4)  # counts that can only be channels, where the other end of the shape is none of them
_AT_ONCE, _LEAST = 5_000_000, 8  # bytes of examples that are run at once, and how many they are at least
_PIECE = 8  # examples that are prepared at once: their memory is used again, that of many is asked for anew


@dataclass(frozen=True)
class Tensor:
    """An input or output as a file declares it.

    Attributes:
        name: name in the file.
        shape: sizes, the batch first; None where any size goes.
        dtype: name of the dtype, like `"int8"`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Runner:
    """A model that can be run, whatever file it came from.

    Attributes:
        card: task, class names and input convention; an empty card for a file from elsewhere.
        input: input as the file declares it: channels last, or for images and volumes also second.
        outputs: outputs by the file's names, `probabilities` first where there is one.
        chunk: number of examples that callers with many hand over at once.
        bulk: the same where examples are decoded meanwhile: enough for all cores, in little memory.
    """

    card: ModelCard
    input: Tensor
    outputs: tuple[Tensor, ...]
    chunk = 256
    bulk = 16

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    @property
    def ends_in_sigmoid(self) -> bool:
        """Whether the file tells that its first output is one of sigmoids; False where it does not tell."""
        return False

    @property
    def layout(self) -> str:
        """`"nchw"` where the input's channels can only be second, else `"nhwc"`."""
        shape = self.input.shape
        second = len(shape) > 3 and shape[1] in _CHANNELS and shape[-1] not in _CHANNELS
        return "nchw" if second else "nhwc"

    @property
    def example_shape(self) -> tuple[int | None, ...]:
        """Shape of one example as callers pass it: channels last."""
        shape = self.input.shape[1:]
        return (*shape[1:], shape[0]) if self.layout == "nchw" else shape

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """Shape of one image as callers pass it: `(height, width, channels)`."""
        return self.example_shape

    def run(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network.

        Args:
            examples: float32 `(N, ..., channels)`, prepared. Any N; a quantized input is quantized here, one whose
                channels are second transposed.

        Returns:
            float32 arrays by output name, N rows each; quantized outputs are dequantized.
        """
        raise NotImplementedError

    def run_unprepared(self, examples: np.ndarray, convention: Preprocess) -> dict[str, np.ndarray]:
        """Runs the network on examples as they are before the input convention: the same answers, sooner.

        Args:
            examples: the signal's values `(N, ..., channels)`, uint8 for images.
            convention: input convention of the card.

        Returns:
            See `run`.
        """
        prepared = np.empty(examples.shape, np.float32)
        for start in range(0, len(examples), _PIECE):
            prepared[start : start + _PIECE] = convention(examples[start : start + _PIECE])
        return self(prepared)

    def __call__(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `run`. `tasks.sole` picks the answer."""
        return self.run(examples)


def ordered(outputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Outputs in the order of `Runner.outputs`.

    Args:
        outputs: outputs in the order of the file.
    """
    return tuple(sorted(outputs, key=lambda tensor: tensor.name != _FIRST))


def chunks(examples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Parts of an array along its first axis.

    Args:
        examples: array of at least one axis.
        size: rows of a part; the last one may have fewer.
    """
    return (examples[start : start + size] for start in range(0, len(examples), size))


def at_once(examples: np.ndarray, most: int) -> int:
    """How many examples an engine gets at once: eight photos are as fast as 64, in a sixth of the memory.

    Args:
        examples: array of at least one axis.
        most: number for small examples.
    """
    size = examples.nbytes // max(len(examples), 1)
    return min(most, max(_LEAST, _AT_ONCE // max(size, 1)))


def unusable(path: Path, kind: str, error: Exception) -> InputError:
    """What is said of a file that its runtime refuses.

    Args:
        path: file.
        kind: name of the runtime.
        error: exception of the runtime.
    """
    reason = str(error).strip().splitlines()
    said = reason[0][:200] if reason else repr(error)
    return InputError(f"{path} cannot be run as {kind} (truncated, damaged or of another kind): {said}")
