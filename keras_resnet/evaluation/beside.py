"""A file for every picture beside the answers: masks as PNG, objects as YOLO's text."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet import files
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.evaluation import bulk
from keras_resnet.signals import image
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Prediction

Writer = Callable[[Prediction], None]


@dataclass(frozen=True)
class Asked:
    """What is written for every picture.

    Attributes:
        folder: folder that the files are written into.
        option: option that named it, for messages.
        overwrite: whether existing files are replaced.
        tiled: whether pictures were read at their own size.
    """

    folder: Path
    option: str
    overwrite: bool = False
    tiled: bool = False


def masks(asked: Asked, card: ModelCard, paths: Sequence[Path]) -> Writer:
    """A function that writes the mask of an answer as a PNG with a palette, of its picture's size.

    Args:
        asked: where to.
        card: card with names and colours of the classes.
        paths: all pictures.

    Raises:
        InputError: answers of this task are no masks, or two pictures have one name.
    """
    from keras_resnet.tasks.segmentation import Mask, colours, names_of, picture

    if not hasattr(get_task(card.task).code, "picture"):
        raise InputError(f"{asked.option} goes with the task segmentation, without --ray; this is {card.task}")
    palette = colours(card, len(names_of(card)))
    targets = _targets(asked, paths, ".png")

    def write(answer: Prediction) -> None:
        assert isinstance(answer, Mask)
        mask = answer.at(*image.size_of(answer.image), keep="stretch" if asked.tiled else card.keep)
        with files.writing(targets[answer.image], overwrite=asked.overwrite) as temporary:
            picture(mask, palette).save(temporary, format="PNG")

    return write


def yolo(asked: Asked, card: ModelCard, paths: Sequence[Path]) -> Writer:
    """A function that writes the objects of an answer as YOLO's text; without objects an empty file.

    Args:
        asked: where to.
        card: card of the model.
        paths: all pictures.

    Raises:
        InputError: answers of this task are no objects, or two pictures have one name.
    """
    from keras_resnet.tasks.detection import Detections, yolo_lines

    code = get_task(card.task).code
    if not hasattr(code, "painted") or not getattr(code, "IN_PLACES", False):
        raise InputError(f"{asked.option} goes with the tasks detection and localization; this is {card.task}")
    targets = _targets(asked, paths, ".txt")

    def write(answer: Prediction) -> None:
        found = answer if isinstance(answer, Detections) else answer.detections()  # type: ignore[attr-defined]
        with files.writing(targets[answer.image], overwrite=asked.overwrite) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in yolo_lines(found)), encoding="ascii")

    return write


def pictures_of(texts: Sequence[str], card: ModelCard) -> list[Path]:
    """The pictures that a command line names.

    Args:
        texts: files, folders, patterns; `-` for a list on standard input.
        card: card of the model.
    """
    return bulk.listed(texts, get_signal(card.signal).suffixes)


def _targets(asked: Asked, paths: Sequence[Path], suffix: str) -> dict[str, Path]:
    """Where the file of every picture is written: below the folder as the pictures lie below what they have in common.

    Raises:
        InputError: two have one name, or a file would replace a picture.
    """
    files.check_folder(asked.folder)
    common = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    found = {str(path): asked.folder / path.absolute().relative_to(common).with_suffix(suffix) for path in paths}
    if len(set(found.values())) < len(found) or {path.absolute() for path in found.values()} & {
        path.absolute() for path in paths
    }:
        raise InputError(
            f"{asked.option} {asked.folder}: pictures that differ in their ending alone, or the folder of the pictures"
        )
    return found
