"""A step of a net for masks under a strategy, as a program of its own: void lies in one half of the batch only."""

import sys

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.tasks.segmentation import losses
from keras_resnet.training import strategy

SIZE, CLASSES, BATCH = 8, 3, 4


def main(output: str, name: str) -> None:
    """Writes the weights after a step; `mirrored-alone` counts the pixels of every device by itself."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = strategy.make(name.partition("-")[0])
    if name.endswith("-alone"):
        losses.over_replicas = lambda values: (values, 1.0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, SIZE, SIZE, 3)).astype("f")
    masks = rng.integers(0, CLASSES, (BATCH, SIZE, SIZE)).astype(np.uint8)
    masks[: BATCH // 2, 1:] = 255
    keras.utils.set_random_seed(0)
    with devices.scope():
        model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(CLASSES, 3, padding="same")])
        loss = losses.PixelLoss(weights=(0.5, 1.0, 3.0), dice=0.5, tversky=0.5)
        model.compile(keras.optimizers.SGD(0.5), loss, weighted_metrics=[losses.MeanIoU(CLASSES)])

    def pieces(piece):
        assert piece == (0, 1)
        return tf.data.Dataset.from_tensors((images, masks)).repeat()

    share = BATCH // devices.replicas
    specs = tf.TensorSpec((share, SIZE, SIZE, 3)), tf.TensorSpec((share, SIZE, SIZE), tf.uint8)
    with devices.fitting(model, specs):
        history = model.fit(devices.distribute(pieces), steps_per_epoch=1, epochs=1, verbose=0, shuffle=False).history
    found = {f"w{place}": weight for place, weight in enumerate(model.get_weights())}
    np.savez(output, **found, mean_iou=history["mean_iou"][-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
