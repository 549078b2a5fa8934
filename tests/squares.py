"""Images with coloured squares, a table of their tags and one of their light; nets that learnt them."""

import csv
import dataclasses

import numpy as np
from PIL import Image

COLOURS = ("red", "green", "blue")
SHARES = (0.6, 0.4, 0.2)
SIZE = 16
TABLES = {"multilabel": "tags.csv", "regression": "values.csv"}


def make(folder, count=240):
    """Writes the images and both tables.

    Args:
        folder: folder that is there.
        count: number of images.
    """
    rng = np.random.default_rng(0)
    tags, values = [("file", "labels")], [("file", "value:light")]
    for number in range(count):
        pixels = rng.integers(0, 60, (SIZE, SIZE, 3)).astype(np.uint8)
        own = [colour for colour, share in zip(COLOURS, SHARES, strict=True) if rng.random() < share]
        for colour in own:
            x, y = rng.integers(0, SIZE - 6, 2)
            pixels[y : y + 6, x : x + 6, COLOURS.index(colour)] = 220
        Image.fromarray(pixels).save(folder / f"{number}.png")
        tags.append((f"{number}.png", "|".join(own)))
        values.append((f"{number}.png", f"{1000 + 10 * pixels.mean():.2f}"))
    for task, rows in (("multilabel", tags), ("regression", values)):
        with (folder / TABLES[task]).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def recipe(folder, task, **settings):
    """The recipe of a task.

    Args:
        folder: folder that `make` has filled.
        task: `"multilabel"` or `"regression"`.
        settings: settings that differ.
    """
    from keras_resnet.training.recipe import Recipe

    row = Recipe(
        name=f"squares-{task}",
        task=task,
        dataset=str(folder / TABLES[task]),
        model="mini",
        preprocess="tf",
        epochs=10,
        batch_size=16,
        learning_rate=0.05,
        image_size=SIZE,
        keep="best",
    )
    return dataclasses.replace(row, **settings)


def trained(made_once, mini_spec, task):
    """The folder with images, tables, and the run directory `run-TASK`."""
    import pytest

    from keras_resnet import training
    from keras_resnet.nets.specs import SPECS

    def filled(folder):
        folder.mkdir()
        make(folder)

    folder = made_once("squares", filled)

    def run(path):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SPECS, "mini", mini_spec)
            training.train(recipe(folder, task), run_dir=path, verbose=False)

    return folder, made_once(f"squares-{task}", run)
