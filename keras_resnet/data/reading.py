"""Reading encoded examples in a graph of TensorFlow."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from keras_resnet.data.dataset import Contents, Files
from keras_resnet.data.records import Records
from keras_resnet.lazily import tf


@singledispatch
def read(contents: Contents, indices: tf.Tensor) -> tf.Tensor:
    """Reads examples; contents of another kind than ours by their `read`.

    Args:
        contents: encoded examples.
        indices: places of the examples, int64 `(n,)`.

    Returns:
        string `(n,)`.
    """
    found = tf.numpy_function(lambda places: np.array(contents.read(places), object), [indices], tf.string)
    return tf.ensure_shape(found, indices.shape)


@read.register(Files)
def _(contents: Files, indices: tf.Tensor) -> tf.Tensor:
    with tf.init_scope():
        paths = tf.constant(contents.encoded)
    return tf.map_fn(tf.io.read_file, tf.gather(paths, indices))


@read.register(Records)
def _(contents: Records, indices: tf.Tensor) -> tf.Tensor:
    records = tf.numpy_function(contents.records, [indices], tf.string)
    return feature_of(tf.ensure_shape(records, (None,)), contents.feature)


def feature_of(records: tf.Tensor, feature: str) -> tf.Tensor:
    """Takes one feature out of records of `tf.train.Example`.

    Args:
        records: string `(n,)`.
        feature: name of a feature with one string.

    Returns:
        string `(n,)`.
    """
    return tf.io.parse_example(records, {feature: tf.io.FixedLenFeature((), tf.string)})[feature]
