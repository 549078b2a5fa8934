"""Answers for pictures as one HTML page, which needs nothing but itself."""

from __future__ import annotations

from pathlib import Path

from keras_resnet import files
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.evaluation.examples import loaded
from keras_resnet.gallery import Strip
from keras_resnet.page import render
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals import decoding
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Prediction


class Page:
    """Answers beside their pictures, of which small copies are kept."""

    def __init__(self, runner: Runner, card: ModelCard, *, tiled: bool = False) -> None:
        """Refuses a task whose answers are no pictures.

        Args:
            runner: model.
            card: card with the names of the classes.
            tiled: whether pictures were read at their own size.

        Raises:
            InputError: another task.
        """
        task = get_task(card.task)
        if not hasattr(task.code, "strip"):
            raise InputError(
                "-o FILE.html shows masks or boxes, and goes with the task segmentation, detection or localization; "
                f"this is {card.task}: -o answers.csv"
            )
        self._runner, self._card, self._strip = runner, card, task.capable.strip
        self._whole = tiled or getattr(task.code, "IN_PLACES", False)
        self._strips: list[Strip] = []

    def add(self, answer: Prediction) -> None:
        """Adds an answer to a file.

        Args:
            answer: what the model says, with the file's path as its name.
        """
        path = Path(answer.image)
        if self._whole:
            pixels = decoding.pixels(path.read_bytes(), self._runner.example_shape[-1] or 3)
        else:
            pixels = loaded(path, self._runner)
        self._strips.append(self._strip(pixels, answer, self._card))

    def write(self, path: Path, title: str, command: str, *, overwrite: bool = False) -> None:
        """Writes the page.

        Args:
            path: file to write.
            title: title of the page.
            command: command line that made it.
            overwrite: whether an existing file is replaced.

        Raises:
            InputError: the file exists, or cannot be written.
        """
        text = render("keras_resnet/answers.html", title=title, strips=self._strips, command=command)
        with files.writing(path, overwrite=overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")
