"""What an augmentation is: steps of whole batches in a row, the draws that they take, and what may follow them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from keras_resnet.data.mosaic import Mosaic
from keras_resnet.errors import InputError
from keras_resnet.signals.crops import Box
from keras_resnet.signals.placement import Placement, in_a_row

# Examples (n, ...) and draws (n, count) -> examples, and their placement or None where nothing moved.
Step = Callable[[object, object], tuple[object, Placement | None]]


def unmoved(change: Callable[[object, object], object]) -> Step:
    """Makes a step of a function that leaves every pixel in its place.

    Args:
        change: function of images `(n, H, W, C)` and draws `(n, count)`.
    """
    return lambda images, draws: (change(images, draws), None)


def in_turn(*steps: tuple[Step, int]) -> Step:
    """Makes one step of several.

    Args:
        *steps: pairs of a step and the number of draws that it gets.
    """

    def augment(images, draws):
        placement = None
        for step, count in steps:
            images, moved = step(images, draws[:, :count])
            placement, draws = in_a_row(placement, moved), draws[:, count:]
        return images, placement

    return augment


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training example.

    Attributes:
        batch: step from uint8 images `(n, H, W, C)` and draws `(n, draws)` to images of that shape and their placement;
            None for nothing.
        draws: random numbers per example and epoch that `batch` uses.
        box: chooses a random rectangle of an encoded image, which is mirrored at random too; None for the central part.
        signal: row of `signals.table.SIGNALS` whose examples it takes; None for any.
        anywhere: whether `batch` takes JAX's arrays too; RandAugment and mosaics are TensorFlow's alone.
        bends: whether pixels are moved in a way that boxes cannot follow.
        mosaic: puts several pictures with boxes into one, after all else; None for nothing.
    """

    batch: Step | None = None
    draws: int = 4
    box: Box | None = None
    signal: str | None = "image"
    anywhere: bool = True
    bends: bool = False
    mosaic: Mosaic | None = None

    @property
    def own(self) -> int:
        """Random numbers per example and epoch, besides those of `box`."""
        return self.draws + (self.mosaic.DRAWS if self.mosaic else 0)

    def over(self, epochs: int) -> Augmentation:
        """The same for a training of so many epochs, of which the last ones have no mosaic.

        Args:
            epochs: number of epochs; 0 for no mosaic at all.
        """
        return replace(self, mosaic=self.mosaic.over(epochs)) if self.mosaic else self

    def check(self, kinds: Collection[str]) -> None:
        """Refuses what a truth cannot follow.

        Args:
            kinds: rows of `data.truth.KINDS` that the examples have.

        Raises:
            InputError: boxes are bent, or a mosaic is made of something else.
        """
        if self.bends and "boxes" in kinds:
            raise InputError("boxes do not follow an augmentation that bends (elastic): choose objects or objects-turn")
        if self.mosaic and "boxes" not in kinds:
            raise InputError(f"a mosaic is made of pictures with boxes, and the data have {', '.join(kinds)}")
