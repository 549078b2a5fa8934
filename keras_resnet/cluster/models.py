"""A model on its way to other machines: its files' bytes, or the name of a row that every machine has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.cluster.shards import digest
from keras_resnet.runtime.foreign import Hints
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.opening import open_named
from keras_resnet.saving import model_path


@dataclass(frozen=True)
class Packed:
    """What `open_named` is given, with all files that it names.

    Attributes:
        model: name of a row, or path at the sender.
        weights: name of weights, or path at the sender; None for none.
        hints: what a person says of the model.
        files: by path at the sender, the contents of a folder's files by their names in it; of a file by `""`.
    """

    model: str
    weights: str | None
    hints: Hints
    files: Mapping[str, Mapping[str, bytes]]

    def digest(self) -> str:
        """Hash of all of it; that of the same model at another place is the same."""
        names = [Path(each).name if each in self.files else each for each in (self.model, self.weights or "")]
        contents = (part for inside in self.files.values() for pair in sorted(inside.items()) for part in pair)
        return digest([*names, repr(replace(self.hints, modules=())), *contents])

    def opened(self, folder: str) -> Runner:
        """The model, at another machine.

        Args:
            folder: empty folder for its files, which stays as long as the model: TFLite opens it once for each thread.

        Raises:
            InputError: see `open_named`.
        """
        moved: dict[str, str] = {}
        for number, (root, inside) in enumerate(self.files.items()):
            place = Path(folder, str(number), Path(root).name)
            moved[root] = str(place)
            for name, contents in inside.items():
                target = place / name if name else place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(contents)
        weights = None if self.weights is None else moved.get(self.weights, self.weights)
        modules = tuple(Path(moved[str(each)]) for each in self.hints.modules)
        return open_named(moved.get(self.model, self.model), weights, replace(self.hints, modules=modules))


def packed(model: str, weights: str | None, hints: Hints) -> Packed:
    """Reads all files of a model that could be opened here.

    Args:
        model: see `open_named`.
        weights: see `open_named`.
        hints: see `open_named`.
    """
    model = model_path(model)
    named = [each for each in (model, weights) if each is not None and _is_path(each)]
    named += map(str, hints.modules)
    return Packed(model, weights, hints, {root: _contents(Path(root)) for root in named})


def _is_path(text: str) -> bool:
    """Whether a name is that of a file, as for `saving.load_named`: a folder may have the name of a row."""
    return bool(Path(text).suffix or os.sep in text) and Path(text).exists()


def _contents(root: Path) -> dict[str, bytes]:
    if root.is_file():
        return {"": root.read_bytes()}
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
