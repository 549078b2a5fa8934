"""Examples of whatever a notebook has: paths, folders, patterns, PIL images, arrays; and splits with their truth."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset, Split, finding, load_dataset
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.folder import load_part
from keras_resnet.data.parts import part_name
from keras_resnet.data.tables import is_frame
from keras_resnet.errors import InputError
from keras_resnet.evaluation.running import image_shape
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Prediction

_PADDED = ("pad", "own")  # `card.keep`: how pictures fill an input with grey beside them
_LONGEST = 255  # bytes of a file's name
_EXAMPLES = "paths, folders, patterns like 'photos/*.jpg', PIL images, or uint8 arrays (H, W, C)"
_DATA = "a folder, a table of labels, a name, a Dataset or its split, (x, y) arrays, a DataFrame, or a tf.data.Dataset"


def named(examples: Any, suffixes: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Names and sources of examples, in the order in which they were given.

    Args:
        examples: one or several of: paths, folders (all pictures below, by name), patterns, PIL images, arrays.
        suffixes: endings of the files that are taken out of folders.

    Yields:
        A name, and a path, a PIL image or an array.

    Raises:
        InputError: something else, a folder without pictures, a pattern that nothing matches.
    """
    if isinstance(examples, np.ndarray) and examples.ndim == 4:
        yield from ((str(number), each) for number, each in enumerate(examples))
        return
    single = isinstance(examples, str | os.PathLike | np.ndarray) or _is_picture(examples)
    if not single and not isinstance(examples, Iterable):
        raise InputError(f"expected {_EXAMPLES}; received {type(examples).__name__}")
    for number, each in enumerate([examples] if single else examples):
        if isinstance(each, str | os.PathLike):
            yield from ((str(path), path) for path in _files(each, suffixes))
        elif isinstance(each, np.ndarray) or _is_picture(each):
            yield str(getattr(each, "filename", "") or number), each
        else:
            raise InputError(f"expected {_EXAMPLES}; received {type(each).__name__} at position {number}")


def _is_picture(value: Any) -> bool:
    return hasattr(value, "convert") and hasattr(value, "getbands")


def _files(path: str | os.PathLike, suffixes: Sequence[str]) -> list[Path]:
    """The files that a path names: itself, all pictures below a folder, or what a pattern matches."""
    text = os.fspath(path)
    place = Path(path)
    if len(os.fsencode(place.name)) > _LONGEST:
        raise InputError(f"{text[:60]}... is no file: its name is longer than a name can be")
    if place.is_dir():
        found = sorted(p for p in place.rglob("*") if p.suffix.lower() in suffixes and not p.name.startswith("."))
        if not found:
            raise InputError(f"{text} holds no {', '.join(suffixes)} files")
        return found
    if any(mark in text for mark in "*?[") and not place.exists():
        found = sorted(Path(each) for each in glob.glob(text, recursive=True) if Path(each).is_file())
        if not found:
            raise InputError(f"{text}: no file matches the pattern")
        return found
    return [place]


def loaded(source: Any, runner: Runner) -> np.ndarray:
    """One example as a model takes it, before its input convention.

    Args:
        source: path, PIL image, or uint8 array `(H, W)` or `(H, W, C)` of any size.
        runner: model.

    Raises:
        InputError: a file that cannot be read, or an array of another kind.
    """
    signal, shape = get_signal(runner.card.signal), image_shape(runner)
    if isinstance(source, str | os.PathLike):
        return signal.code.load(source, shape, runner.card.keep)
    if signal.name != "image":
        raise InputError(f"task {runner.card.task} on {signal.plural} takes paths, received {type(source).__name__}")
    if isinstance(source, np.ndarray) and source.shape == shape and source.dtype == np.uint8:
        return source
    contents = _as_png(source)
    return np.asarray(signal.code.decoded(np.array([contents], object), shape, runner.card.keep)[0])[0]


def within(answer: Prediction, source: Any, runner: Runner, card: ModelCard, top: int) -> Prediction:
    """An answer that is about the picture alone, where a net's input is larger than the picture that fills it.

    Args:
        answer: what the model says of an example that `loaded` made.
        source: path, PIL image or array that it was made of.
        runner: model.
        card: card with the names of the classes.
        top: number of answers per example at most.
    """
    code = get_task(card.task).code
    cut = getattr(code, "within", None)
    if cut is None or (runner.card.keep not in _PADDED and not getattr(code, "IN_PLACES", False)):
        return answer
    from keras_resnet.signals import image

    if isinstance(source, np.ndarray):
        height, width = source.shape[:2]
    else:
        height, width = image.decode(_as_png(source), 3).shape[:2] if _in_memory(source) else image.size_of(source)
    return cut(answer, height, width, card, top)


def _in_memory(source: Any) -> bool:
    return not isinstance(source, str | os.PathLike)


def _as_png(source: Any) -> bytes:
    """A picture in memory as a file: then every way in is resized alike."""
    from PIL import Image, ImageOps

    if isinstance(source, np.ndarray):
        if (
            source.dtype != np.uint8
            or source.ndim not in (2, 3)
            or (source.ndim == 3 and source.shape[2] not in (1, 3))
        ):
            raise InputError(
                f"array: expected uint8 (H, W), (H, W, 1) or (H, W, 3) with values 0..255, received {source.dtype} "
                f"{source.shape}"
            )
        source = Image.fromarray(source[..., 0] if source.ndim == 3 and source.shape[2] == 1 else source)
    upright = ImageOps.exif_transpose(source)
    out = io.BytesIO()
    (upright if upright.mode == "L" else upright.convert("RGB")).save(out, "PNG", compress_level=1)
    return out.getvalue()


def split_of(data: Any, runner: Runner, part: str = "test") -> Split:
    """A split to evaluate on.

    Args:
        data: split; `Dataset`; path or name of a data source, of which `part` is taken; a folder called `test` or `val`
            with class folders, which is taken as it is; `(x, y)`; `DataFrame`; `tf.data.Dataset` of pairs.
        runner: model, whose card has size, crop and class names.
        part: `"test"`, `"validation"` or `"train"`.

    Raises:
        InputError: none of these, or data that do not fit.
    """
    if part not in ("train", "validation", "test"):
        raise InputError(f"part {part!r}: expected test, validation or train")
    if isinstance(data, Dataset):
        return getattr(data, part)
    if isinstance(data, str | os.PathLike):
        return _of_place(data, runner, part)
    if hasattr(data, "fetch") and hasattr(data, "truth"):
        return data
    if isinstance(data, tuple | list) and len(data) == 2:
        return _of_arrays(data[0], data[1], runner)
    if hasattr(data, "as_numpy_iterator"):
        return _of_arrays(*_collected(data), runner=runner)
    if is_frame(data):
        return getattr(dataset_for(runner, data), part)
    raise InputError(f"data: expected {_DATA}; received {type(data).__name__}")


def _of_place(data: str | os.PathLike, runner: Runner, part: str) -> Split:
    path, shape = Path(data), image_shape(runner)
    is_part = path.is_dir() and part_name(path.name) is not None
    if is_part and not any(part_name(each.name) for each in path.iterdir() if each.is_dir()):
        return load_part(path, runner.card.labels, shape, runner.card.keep)
    return getattr(dataset_for(runner, data), part)


def dataset_for(
    runner: Runner,
    data: Any,
    folder: Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    fold: str | None = None,
    void: Sequence[int] | None = None,
    reduce_zero_label: bool | None = None,
) -> Dataset:
    """The data source that a model is asked about: examples in its size, truth of its task, classes in its order.

    Args:
        runner: model.
        data: path or name of a data source, or a DataFrame.
        folder: folder of a named source's files.
        columns: a table's own names of columns by their meaning; by default those of the card, if the table has them.
        fold: fold of a table that is the test.
        void: values of masks that mean nothing; by default those of the card.
        reduce_zero_label: whether 0 means nothing in masks; by default what the card says.

    Raises:
        InputError: no such data, or none of the model's task.
    """
    card, truth = runner.card, get_task(runner.card.task).truth
    columns = columns or _own_columns(data, folder, card.columns)
    how: dict[str, Any] = {"columns": columns, "truth": truth, "classes": card.labels or None, "fold": fold}
    how["test_only"] = True  # there is nothing to learn here
    own = card.reading if truth == "mask" else {}
    how["void"] = own.get("void", ()) if void is None else void
    how["reduce_zero_label"] = own.get("reduce_zero_label", False) if reduce_zero_label is None else reduce_zero_label
    return load_dataset(data, folder, image_shape(runner), card.keep, **how)


def _own_columns(data: Any, folder: Path | None, columns: Mapping[str, str]) -> Mapping[str, str] | None:
    """The names of columns that a model was trained with, where the data are a table that has them all."""
    table = finding.opened(data, folder) if columns else None
    return columns if table is not None and set(columns.values()) <= set(table.columns) else None


def _of_arrays(images: Any, truth: Any, runner: Runner) -> ArraySplit:
    kind = get_task(runner.card.task).truth
    images, values = np.asarray(images), np.asarray(truth)
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or len(images) == 0 or len(images) != len(values):
        raise InputError(
            f"(x, y): expected images (N, H, W, C) and a truth for each, received {images.shape} and {values.shape}"
        )
    return ArraySplit({"image": _pixels(images), kind: _truth(values, kind)})


def _pixels(images: np.ndarray) -> np.ndarray:
    """Pixels as uint8; fractions of what was resized are rounded."""
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.number) or images.min() < 0 or not 1 < images.max() <= 255:
        found = f"{images.dtype}"
        if np.issubdtype(images.dtype, np.number):
            found += f" from {images.min():.3g} to {images.max():.3g}"
        raise InputError(f"x: expected pixels 0..255, received {found}; the model's input convention is applied here")
    return np.rint(images).astype(np.uint8)


def _truth(values: np.ndarray, kind: str) -> np.ndarray:
    """The truth of arrays in the form that scorers take; one-hot rows are labels."""
    if not np.issubdtype(values.dtype, np.number) and values.dtype != bool:
        raise InputError(f"y: expected numbers, received {values.dtype}; a label is the place of its class's name")
    if not np.isfinite(values.astype(np.float64)).all():
        raise InputError("y: expected numbers, received NaN or infinity")
    if kind != "label":
        return values.astype({"tags": np.uint8, "values": np.float32}.get(kind, values.dtype))
    if values.ndim == 2 and values.shape[1] > 1 and set(np.unique(values)) <= {0, 1} and (values.sum(1) == 1).all():
        return values.argmax(1)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1 or (values != np.rint(values)).any() or values.min() < 0:
        raise InputError(f"y: expected whole numbers from 0 ({len(values)},) or one-hot rows, received {values.shape}")
    return values.astype(np.int64)


def _collected(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a tf.data.Dataset, batched or not."""
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for pair in data.as_numpy_iterator():
        if not isinstance(pair, tuple) or len(pair) < 2:
            raise InputError("tf.data.Dataset: expected pairs of images and labels")
        batched = pair[0].ndim == 4
        first.append(pair[0] if batched else pair[0][None])
        second.append(pair[1] if batched else np.asarray(pair[1])[None])
    if not first:
        raise InputError("tf.data.Dataset: it is empty")
    return np.concatenate(first), np.concatenate(second)
