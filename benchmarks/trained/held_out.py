"""Writes held_out.npy: where the package's 5,000 validation images of CIFAR-10 are among its 50,000 training images.

python held_out.py DIR OUT.npy, DIR with cifar-10-batches-bin. Checked against the images that `load_dataset` gives.
"""

import sys

import keras_resnet
import numpy as np
from keras_resnet.data import cifar
from keras_resnet.data.splits import stratified

folder, out = sys.argv[1:]
dataset = keras_resnet.load_dataset("cifar10", folder)
parts = [cifar.read_records(cifar.find("cifar10", folder) / part) for part in cifar.LAYOUTS["cifar10"].train]
images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
train, held_out = stratified(labels, len(dataset.validation.labels))
for split, places in ((dataset.train, train), (dataset.validation, held_out)):
    assert np.array_equal(images[places], split.images) and np.array_equal(labels[places], split.labels)
assert np.array_equal(train, np.setdiff1d(np.arange(50_000), held_out))
np.save(out, held_out)
