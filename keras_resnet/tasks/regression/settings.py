"""What the head of a regression is told: by a recipe, and by the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_resnet import ranges
from keras_resnet.errors import InputError
from keras_resnet.tasks.cards import check_numbers
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.data.dataset import Dataset

OUTPUT, TRUTH = "values", "values"
_LARGEST = 3.5e38  # float32's, above which a fact is no number of a net's
LOSSES = ("huber", "squared", "absolute")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a regression recipe. Losses see values in standard deviations of the training values.

    Attributes:
        loss: `"huber"`: squared up to `huber_delta` and linear above, which outliers do not pull; `"squared"`;
            `"absolute"`.
        huber_delta: difference up to which the Huber loss is squared.
        dropout: rate before the last layer.
    """

    loss: str = ranges.one_of(LOSSES, "huber")
    huber_delta: float = ranges.positive(1.0)
    dropout: float = ranges.rate(0.0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, in words."""
        if self.loss != "huber" and self.huber_delta != 1.0:
            yield f"huber_delta goes with loss=huber, not {self.loss}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the head must know of the data: one number for each value, from the training examples.

    Attributes:
        names: names of the values.
        mean: means.
        scale: standard deviations.
        low: smallest values.
        high: largest values.
    """

    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what a damaged card may hold."""
        if not isinstance(self.names, list | tuple) or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"names={self.names!r:.80}, expected a list of names")
        check_numbers(self, ("mean", "scale", "low", "high"), len(self.names) or len(self.mean), -_LARGEST, _LARGEST)


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with values and their names.
        settings: head of the recipe.

    Raises:
        InputError: a value is the same for all training examples.
    """
    import numpy as np

    del settings
    values = dataset.train.truth[TRUTH].astype(np.float64)
    names = dataset.classes or tuple(f"value_{number}" for number in range(values.shape[1]))
    same = np.flatnonzero(values.std(axis=0) == 0)
    if len(same):
        raise InputError(f"{dataset.name}: {names[same[0]]} is the same for all training examples: nothing to learn")

    def each(found: np.ndarray) -> tuple[float, ...]:
        return tuple(map(float, found.astype(np.float32)))

    low, high = values.min(axis=0), values.max(axis=0)
    return Facts(
        names=tuple(names),
        mean=each(values.mean(axis=0)),
        scale=each(values.std(axis=0)),
        low=each(low),
        high=each(high),
    )


def outputs(facts: Facts) -> tuple[Output, ...]:
    """One output: the values `(n, k)`, in their units."""
    del facts
    return (Output(OUTPUT, ("n", "values")),)


def name_of(facts: Mapping[str, Any], index: int) -> str:
    """A value's name, or `value_N` for one without.

    Args:
        facts: facts of a card.
        index: place of the value.
    """
    names = facts.get("names") or ()
    return str(names[index]) if index < len(names) else f"value_{index}"


def spans(facts: Mapping[str, Any], values: np.ndarray) -> np.ndarray:
    """Range of each value in the training, float64 `(k,)`; that of some values where the card does not say it.

    Args:
        facts: facts of a card.
        values: `(n, k)`, for models from elsewhere.
    """
    import numpy as np

    low, high = (np.asarray(facts.get(name) or (), np.float64) for name in ("low", "high"))
    if low.shape != (values.shape[1],) or high.shape != low.shape:
        low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    return np.where(high > low, high - low, 1.0)
