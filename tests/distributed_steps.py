"""Twenty steps of a small net under a strategy, as a function and as a program of its own.

In float64: the first steps of a net multiply differences of rounding by ten and more, and the two kinds of batch
normalisation round differently in float32; here what is left is what the strategies do differently.
"""

import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import ResNetSpec, build
from keras_resnet.training import strategy
from keras_resnet.training.optimization import CoupledSGD

NET = ResNetSpec(name="small", block="basic", depths=(1, 1), stem="cifar", width=8)
SIZE, OUTPUTS = 8, 16
BATCH, STEPS, COUNT = 32, 20, 37  # 37 validation images: a ragged last batch
# Keras on JAX normalises batches in float32 all the same: smaller steps multiply its rounding less.
LEARNING_RATE = 0.0002 if keras.backend.backend() == "jax" else 0.01


class _Interrupted(RuntimeError):
    """What ends a training early."""


class _Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise _Interrupted


def run(devices: strategy.Devices, sync: bool = True, backup: str = "") -> dict[str, np.ndarray]:
    """Losses, validation and weights; with a folder for backups, of a training interrupted after its first epoch."""
    keras.config.set_floatx("float64")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        if not backup:
            return _fit(devices, sync, [])
        with contextlib.suppress(_Interrupted):
            _fit(devices, sync, [keras.callbacks.BackupAndRestore(backup), _Interrupt()])
        return _fit(devices, sync, [keras.callbacks.BackupAndRestore(backup)])
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy(before)


def _fit(devices, sync, callbacks) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images, targets = rng.normal(size=(64, SIZE, SIZE, 3)), rng.normal(size=(64, OUTPUTS))
    keras.utils.set_random_seed(0)
    with devices.scope():
        norm = devices.norm(synchronized=sync)
        model = build(NET, input_shape=(SIZE, SIZE, 3), include_top=False, pooling="avg", norm=norm)
        optimizer = CoupledSGD(LEARNING_RATE, decay=1e-3, momentum=0.9, nesterov=True)
        model.compile(optimizer=optimizer, loss="mse", weighted_metrics=[keras.metrics.MeanAbsoluteError(name="mae")])

    def pieces(piece):
        number, count = piece
        own = BATCH // count
        whole = tf.data.Dataset.from_tensor_slices((images, targets)).repeat().batch(BATCH, drop_remainder=True)
        return whole.map(lambda x, y: (x[number * own :][:own], y[number * own :][:own])).map(
            lambda x, y: (tf.ensure_shape(x, (own, SIZE, SIZE, 3)), tf.ensure_shape(y, (own, OUTPUTS)))
        )

    share = BATCH // devices.replicas
    specs = tf.TensorSpec((share, SIZE, SIZE, 3), tf.float64), tf.TensorSpec((share, OUTPUTS), tf.float64)
    validation = tf.data.Dataset.from_tensor_slices((images[:COUNT], targets[:COUNT])).batch(10)
    with devices.fitting(model, specs):
        history = model.fit(
            devices.distribute(pieces),
            steps_per_epoch=STEPS // 2,
            epochs=2,
            validation_data=devices.padded(validation, 10, COUNT),
            verbose=0,
            shuffle=False,
            callbacks=callbacks,
        ).history
    weights = {f"w{i:03}": keras.ops.convert_to_numpy(w) for i, w in enumerate(model.weights)}
    return {**weights, **{key: np.array(values)[-1:] for key, values in history.items()}}


def main(output: str, name: str, backup: str = "", *workers: str) -> None:
    """Writes the results; TensorFlow confuses the collectives of two strategies of one process."""
    if name == "multiworker":
        devices = strategy.make(name, workers[0].split(","), int(workers[1]))
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        devices = strategy.make(name.partition("-")[0])
    np.savez(output, **run(devices, sync=not name.endswith("-unsynchronized"), backup=backup))


if __name__ == "__main__":
    main(*sys.argv[1:])
