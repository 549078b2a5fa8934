"""A detector that needs no training: an object is a cell of eight pixels that is red, or green; its box is the cell."""

import keras
import numpy as np

import keras_resnet
from keras_resnet import ModelCard
from keras_resnet.signals.conventions import PREPROCESS

SIZE = (32, 48)
NAMES = ["red", "<b>green</b>"]
PURE = {0: (255, 0, 0), 1: (0, 255, 0)}


def card(fit="stretch", **facts):
    """The card of such a net."""
    own = {"names": NAMES, "strides": [8], "threshold": 0.5, **facts}
    return ModelCard(task="detection", facts=own, fit=fit, preprocess=PREPROCESS["none"], labels=tuple(NAMES))


def net():
    """A net of `SIZE`; scores near 1 for a pure colour, far below a tenth for all others."""
    image = keras.Input((*SIZE, 3))
    scores = keras.layers.Conv2D(2, 8, 8, name="scores_8")
    half = keras.initializers.Constant(0.5)
    boxes = keras.layers.Conv2D(4, 8, 8, kernel_initializer="zeros", bias_initializer=half, name="boxes_8")
    found = keras.Model(image, {"scores_8": scores(image), "boxes_8": boxes(image)})
    kernel = np.zeros((8, 8, 3, 2), "f")
    kernel[:, :, :, 0], kernel[:, :, :, 1] = (1, -1, -1), (-1, 1, -1)
    scores.set_weights([kernel * 30 / 255 / 64, np.float32([-20, -20])])
    return found


def saved(path, fit="stretch", **facts):
    """Writes the net with its card; its path as a text."""
    keras_resnet.save_model(net(), path, card(fit, **facts))
    return str(path)


def picture(cells, scale=(1, 1), grey=40):
    """Pixels whose named cells are pure, `(height, width, 3)`.

    Args:
        cells: class by row and column of the cell.
        scale: how often each row and column of the net's input is there.
        grey: all other pixels.
    """
    found = np.full((*SIZE, 3), grey, np.uint8)
    for (row, column), label in cells.items():
        found[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = PURE[label]
    return found.repeat(scale[0], axis=0).repeat(scale[1], axis=1)
