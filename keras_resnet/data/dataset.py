"""The interface that every data source offers: named splits of examples with what is known of them. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np

from keras_resnet.data import truth as truths
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.placement import Placement
from keras_resnet.signals.table import get_signal

_AnySplit = TypeVar("_AnySplit", bound="Split")


class Split(Protocol):
    """Examples with their truth, in a fixed order."""

    @property
    def key(self) -> str:
        """Name of the examples in what `fetch` gives: the signal's, `"image"` for images."""

    @property
    def truth(self) -> Mapping[str, np.ndarray]:
        """Arrays `(N, ...)` by kind of truth (`data.truth.KINDS`), those that are known without decoding.

        `{"label": int64 (N,)}` for classes; empty for masks in files.
        """

    def __len__(self) -> int:
        """Number of examples."""

    def fetch(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Examples and truth at these positions: `{"image": uint8 (n, H, W, C), "label": int64 (n,)}`."""

    def take(self, indices: np.ndarray) -> Self:
        """A split of the examples at these positions."""

    def joined(self, other: Self) -> Self:
        """A split of these examples, then those of another split of the same kind."""


def _labels(split: Split) -> np.ndarray:
    """`truth["label"]`, under the name that it had when labels were the only truth."""
    if "label" not in split.truth:
        raise AttributeError(f"this split has no labels: its truth is {', '.join(split.truth) or 'in files'}")
    return split.truth["label"]


@dataclass(frozen=True, init=False, eq=False)
class ArraySplit:
    """Examples that fit in memory.

    Attributes:
        arrays: the examples under the name of their signal, first, and the truth by kind, all `(N, ...)`.

    Example:
        >>> import numpy as np
        >>> split = ArraySplit({"image": np.zeros((5, 8, 8, 1), "uint8"), "label": np.arange(5)})
        >>> len(split), split.fetch([3, 4])["label"].tolist()
        (5, [3, 4])
    """

    arrays: Mapping[str, np.ndarray]

    def __init__(self, arrays: Mapping[str, np.ndarray] | np.ndarray, labels: np.ndarray | None = None):
        """Takes the arrays by name; `ArraySplit(images, labels)` is short for images with labels."""
        if not isinstance(arrays, Mapping):
            arrays = {"image": arrays} if labels is None else {"image": arrays, "label": labels}
        object.__setattr__(self, "arrays", dict(arrays))

    @property
    def key(self) -> str:
        """Name of the examples."""
        return next(iter(self.arrays))

    @property
    def truth(self) -> dict[str, np.ndarray]:
        """Arrays by kind of truth."""
        return {name: values for name, values in self.arrays.items() if name != self.key}

    @property
    def labels(self) -> np.ndarray:
        """Labels, int64 `(N,)`: `truth["label"]`."""
        return _labels(self)

    @property
    def images(self) -> np.ndarray:
        """The examples, whatever their signal is: uint8 `(N, H, W, C)` for images."""
        return self.arrays[self.key]

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.images)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Examples and truth at these positions."""
        return {name: values[np.asarray(indices)] for name, values in self.arrays.items()}

    def take(self, indices: np.ndarray) -> ArraySplit:
        """A split of the examples at these positions."""
        return ArraySplit(self.fetch(indices))

    def joined(self, other: ArraySplit) -> ArraySplit:
        """A split of these examples, then the others."""
        return ArraySplit({name: np.concatenate([own, other.arrays[name]]) for name, own in self.arrays.items()})


def end_to_end(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Chunks of examples, of their truth or of a model's outputs as one, in their order.

    Args:
        parts: arrays by name, at least one chunk; all have the names of the first.
    """
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Contents(Protocol):
    """Encoded examples, wherever they are."""

    def __len__(self) -> int:
        """Number of examples."""

    def read(self, indices: np.ndarray) -> list[bytes]:
        """The bytes at these positions."""

    def take(self, indices: np.ndarray) -> Self:
        """Contents at these positions."""

    def joined(self, other: Self) -> Self:
        """These contents, then those of another one of the same kind."""


class Maps(Protocol):
    """Truth that is a map of every example, in files of their own or drawn when it is needed."""

    def __len__(self) -> int:
        """Number of examples."""

    def read(self, index: int) -> np.ndarray:
        """The map of an example as it lies: uint8 `(H, W)`, in places of the whole example."""

    def take(self, indices: np.ndarray) -> Self:
        """Maps at these positions."""

    def joined(self, other: Self) -> Self:
        """These maps, then those of another one of the same kind."""


@dataclass(frozen=True)
class Files:
    """Examples that are files.

    Attributes:
        paths: one file per example.
    """

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        """Number of files."""
        return len(self.paths)

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the files."""
        return tuple(map(str, self.paths))

    @property
    def encoded(self) -> list[bytes]:
        """Paths as the file system has them; as a property TensorFlow does not try to trace it."""
        return [os.fsencode(path) for path in self.paths]

    def read(self, indices: np.ndarray) -> list[bytes]:
        """The files' bytes."""
        return [self.paths[i].read_bytes() for i in indices]

    def take(self, indices: np.ndarray) -> Files:
        """The files at these positions."""
        return Files(tuple(self.paths[i] for i in indices))

    def joined(self, other: Files) -> Files:
        """These files, then the others."""
        return Files(self.paths + other.paths)


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """Examples that are decoded when they are needed.

    Attributes:
        contents: N encoded examples.
        truth: arrays `(N, ...)` by kind of truth, in places of the whole example as it is in the file.
        shape: shape that every example gets, `(height, width, channels)`: of an image the central part of that aspect,
            resized.
        keep: share of that part's sides.
        signal: row of `signals.table.SIGNALS`, whose code decodes.
        upright: whether examples are turned as their files say. What is published about a set, and places in it, may
            mean the pixels as they lie in the files.
        maps: truth by kind that is read with the examples, such as masks.
    """

    contents: Contents
    truth: Mapping[str, np.ndarray]
    shape: tuple[int, ...]
    keep: Keep = 1.0
    signal: str = "image"
    upright: bool = True
    maps: Mapping[str, Maps] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the examples."""
        return get_signal(self.signal).key

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the examples, where these are files; see `names_of`."""
        return getattr(self.contents, "names", ())

    @property
    def labels(self) -> np.ndarray:
        """Labels, int64 `(N,)`: `truth["label"]`."""
        return _labels(self)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.contents)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Reads, decodes and resizes examples, and moves their truth along."""
        indices = np.asarray(indices)
        contents = np.array(self.contents.read(indices), object)
        examples, matrices = get_signal(self.signal).code.decoded(contents, self.shape, self.keep, self.upright)
        own = {name: values[indices] for name, values in self.truth.items()}
        placement = Placement(np.asarray(matrices), self.shape[:-1])
        own = {**truths.moved(own, placement), **self.mapped(indices, placement)}
        return {self.key: np.asarray(examples), **{name: np.asarray(values) for name, values in own.items()}}

    def mapped(self, indices: np.ndarray, placement: Placement) -> dict[str, np.ndarray]:
        """The maps of examples, moved as these were: uint8 `(n, *placement.size)` by kind.

        Args:
            indices: positions of the examples, `(n,)`.
            placement: where they come from, with arrays.
        """
        return {name: self._mapped(name, np.asarray(indices), placement) for name in self.maps}

    def _mapped(self, name: str, indices: np.ndarray, placement: Placement) -> np.ndarray:
        found = np.empty((len(indices), *placement.size), np.uint8)
        for place, index in enumerate(indices):  # each has a size of its own
            one = placement.of(slice(place, place + 1))
            found[place] = np.asarray(truths.moved({name: self.maps[name].read(int(index))[None]}, one)[name])[0]
        return found

    def take(self, indices: np.ndarray) -> EncodedSplit:
        """A split of the examples at these positions."""
        truth = {name: values[indices] for name, values in self.truth.items()}
        maps = {name: each.take(indices) for name, each in self.maps.items()}
        return replace(self, contents=self.contents.take(indices), truth=truth, maps=maps)

    def joined(self, other: EncodedSplit) -> EncodedSplit:
        """A split of these examples, then the others."""
        truth = {name: np.concatenate([own, other.truth[name]]) for name, own in self.truth.items()}
        maps = {name: each.joined(other.maps[name]) for name, each in self.maps.items()}
        return replace(self, contents=self.contents.joined(other.contents), truth=truth, maps=maps)


def joined(one: _AnySplit, other: _AnySplit) -> _AnySplit:
    """Both splits as one, of the same kind.

    Args:
        one: split whose examples come first.
        other: split whose examples follow.
    """
    return one.joined(other)


def names_of(split: Split) -> tuple[str, ...]:
    """File name of every example, where known; empty where the examples have none.

    Args:
        split: split of any kind.
    """
    return getattr(split, "names", ())


def sampled(split: _AnySplit, count: int) -> _AnySplit:
    """A seeded sample, the same on every machine, in the split's order.

    Args:
        split: split to draw from.
        count: number of examples; 0, or more than there are, for all.
    """
    if not 0 < count < len(split):
        return split
    return split.take(np.sort(np.random.default_rng(0).permutation(len(split))[:count]))


@dataclass(frozen=True)
class Dataset:
    """A data source's examples, in three parts.

    Attributes:
        name: name that the commands know it by.
        classes: names of the classes, in the order of the integers; or of the columns of `tags` or `values`, where
            these are the truth; empty where there are none.
        shape: shape of every example, `(height, width, channels)` for images.
        train: split for fitting and for representative samples.
        validation: split for choosing epochs and recipes.
        test: split for final figures only.
        unreadable: files that were left out because they cannot be decoded.
        signal: row of `signals.table.SIGNALS`: what an example is.
        truth: row of `data.truth.KINDS`: what is known of an example.
        ids: the set's own numbers of its classes; empty where it has none.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    train: Split
    validation: Split
    test: Split
    unreadable: tuple[Path, ...] = ()
    signal: str = field(default="image", kw_only=True)
    truth: str = field(default="label", kw_only=True)
    ids: tuple[int, ...] = field(default=(), kw_only=True)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The name that `shape` had when all examples were images."""
        return self.shape

    def named(self, name: str) -> Dataset:
        """The same under another name."""
        return replace(self, name=name)

    def as_it_lies(self) -> Dataset:
        """The same with examples as they lie in their files: nothing is turned."""

        def lying(split: Split) -> Split:
            return replace(split, upright=False) if isinstance(split, EncodedSplit) else split

        return replace(self, train=lying(self.train), validation=lying(self.validation), test=lying(self.test))
