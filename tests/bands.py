"""Pictures of noise and masks of bands, as the tests of data with masks write them."""

import numpy as np
from PIL import Image

import keras_resnet

SIZE = (12, 24)


def save(path, values, palette=None):
    """Writes a picture: grey values, values with a palette, or colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(values, np.uint8))
    if palette is not None:
        picture.putpalette([number for colour in palette for number in colour])
    picture.save(path)


def picture(path, size=SIZE):
    """Writes a picture of any colours."""
    save(path, np.random.default_rng(len(str(path))).integers(0, 255, (*size, 3)))


def bands(*values):
    """A mask of vertical bands."""
    return np.repeat(np.array(values, np.uint8), SIZE[1] // len(values))[None].repeat(SIZE[0], 0)


def load(root, **how):
    """The data set of a folder, of pictures as they lie."""
    return keras_resnet.load_dataset(root, image_shape=(*SIZE, 3), **how)


def values(split, number=0):
    """The classes of a mask from left to right, each once."""
    row = split.maps["mask"].read(number)[-1]
    return row[np.flatnonzero(np.diff(row, prepend=-1))].tolist()


def sizes(dataset):
    """Number of examples of each part."""
    return [len(part) for part in (dataset.train, dataset.validation, dataset.test)]


def named(split):
    """Names of the files of a part."""
    return [path.rsplit("/", 1)[-1].split(".")[0] for path in split.names]
