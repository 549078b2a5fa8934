"""A step of a net for boxes under a strategy, as a program of its own: objects lie in one half of the batch only."""

import sys

import keras
import numpy as np

from keras_resnet.tasks.detection import losses
from keras_resnet.tasks.detection.settings import Facts, Settings
from keras_resnet.training import strategy

SIZE, CLASSES, BATCH = 32, 3, 4


def main(output: str, name: str) -> None:
    """Writes the weights after a step; `mirrored-alone` counts the objects of every device by itself."""
    devices = None
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = strategy.make(name.partition("-")[0])
    if name.endswith("-alone"):
        losses.over_replicas = lambda values: (values, 1.0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, SIZE, SIZE, 3)).astype("f")
    boxes = np.full((BATCH, 2, 7), -1, "f")
    boxes[0, 0], boxes[0, 1] = [2, 3, 20, 22, 1, 0, 342], [14, 10, 30, 31, 2, 0, 336]
    boxes[1, 0] = [1, 8, 28, 30, 0, 0, 594]
    facts = Facts(names=("a", "b", "c"), strides=(8,), size=(SIZE, SIZE))
    with devices.scope():
        convolution = keras.layers.Conv2D(CLASSES + 4, 8, strides=8)
        model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), convolution, keras.layers.Reshape((16, CLASSES + 4))])
        loss = losses.DetectionLoss(facts, Settings(candidates=4), (SIZE, SIZE))
        model.compile(keras.optimizers.SGD(0.1), loss)
    model.set_weights([rng.normal(0, 0.1, weight.shape).astype("f") + 0.2 for weight in model.get_weights()])

    if keras.backend.backend() == "jax":
        model.train_on_batch(images, boxes)
    else:
        import tensorflow as tf

        def pieces(piece):
            assert piece == (0, 1)
            return tf.data.Dataset.from_tensors((images, boxes)).repeat()

        share = BATCH // devices.replicas
        specs = tf.TensorSpec((share, *images.shape[1:])), tf.TensorSpec((share, *boxes.shape[1:]))
        with devices.fitting(model, specs):
            model.fit(devices.distribute(pieces), steps_per_epoch=1, epochs=1, verbose=0, shuffle=False)
    np.savez(output, **{f"w{place}": weight for place, weight in enumerate(model.get_weights())})


if __name__ == "__main__":
    main(*sys.argv[1:])
