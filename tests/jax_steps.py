"""What tests/test_resident.py runs in a process of its own, on Keras' JAX back end: a function by its name."""

import dataclasses
import functools
import itertools
import sys
import tempfile

import jax
import jax.numpy as jnp
import keras
import numpy as np
import tensorflow as tf

import keras_resnet
from keras_resnet.data import training_batches
from keras_resnet.data.augment import AUGMENTATIONS
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.pipeline import plan
from keras_resnet.data.timing import Clock
from keras_resnet.signals.operations import operations
from keras_resnet.training import resident as module
from keras_resnet.training.loop import train
from keras_resnet.training.resident import Resident
from keras_resnet.training.streamed import Streamed

CLASSES = 10
# Augmentation, levels of a pixel that TensorFlow's may be apart, and arguments that both ways take.
CASES = (
    ("none", 0, {}, (0.0, 0.0)),
    ("crop-flip", 0, {"repeats": 3}, (0.0, 0.0)),
    ("crop-flip-erase", 0, {}, (0.0, 0.0)),
    ("turn-flip", 0, {}, (0.0, 0.0)),
    ("affine", 1, {}, (0.0, 0.0)),
    ("crop-flip", 0.02, {}, (0.4, 0.0)),
    ("crop-flip", 0.02, {}, (0.3, 1.0)),
)


def encode(truth):
    """Targets that can be mixed."""
    return operations(truth["label"]).one_hot(truth["label"], CLASSES)


def resident(split, augment, mixing=(0.0, 0.0), batch_size=64, repeats=1, several=False, kind=Resident, **where):
    return kind(
        train=split,
        epochs=plan(split, augment, seed=7, repeats=repeats),
        batch_size=batch_size,
        augment=augment.batch,
        mix=make_mix(*mixing),
        encode=encode,
        preprocess=lambda pixels: pixels.astype("float32"),
        several=several,
        **where,
    )


def batches():
    """The device's batches are those of tf.data."""
    split = keras_resnet.load_dataset("digits").train
    shares = np.linspace(1, 3, len(split))
    for row, levels, arguments, mixing in CASES:
        augment = AUGMENTATIONS[row]
        ours = resident(split, augment, mixing, **arguments)
        made = jax.jit(ours.batch)
        mix = make_mix(*mixing)
        for epoch in (0, 3):
            theirs = training_batches(
                split, 64, seed=7, augment=augment, mix=mix, encode=encode, first_epoch=epoch, **arguments
            )
            for step, (pixels, targets) in enumerate(theirs.take(3)):
                own, own_targets = made(ours._train, ours._planned_for(epoch), step)
                apart = np.abs(np.asarray(own) - tf.cast(pixels, tf.float32).numpy())
                assert apart.max() <= levels, (row, mixing, epoch, step, apart.max())
                np.testing.assert_allclose(own_targets, targets, atol=1e-5, err_msg=f"{row} {mixing}")
        assert np.ptp(own) > 100 and own.shape == pixels.shape
    run = plan(split, AUGMENTATIONS["none"], seed=7, shares=shares)
    pipeline = training_batches(split, 64, seed=7, shares=shares, encode=lambda truth: truth["label"])
    expected = next(iter(pipeline))[1].numpy()
    assert (split.labels[run.places(0)[:64]] == expected).all()


def colours():
    """What works on three channels is within one level of TensorFlow's."""
    from keras_resnet.data.augment import jitter

    rng = np.random.default_rng(0)
    images, draws = rng.integers(0, 256, (9, 8, 12, 3), np.uint8), rng.random((9, 3), np.float32)
    ours = np.asarray(jitter(jnp.asarray(images), jnp.asarray(draws), 0.4), int)
    theirs = jitter(tf.constant(images), tf.constant(draws), 0.4).numpy().astype(int)
    assert np.abs(ours - theirs).max() <= 1 and (ours != images).any()


def calls():
    """An epoch in calls of several steps ends where one of single steps ends, and validates alike."""
    digits = keras_resnet.load_dataset("digits")

    def trained(several):
        keras.utils.set_random_seed(0)
        spec = keras_resnet.ResNetSpec(name="tiny", block="basic", stem="cifar", width=4, classes=CLASSES, depths=(1,))
        model = keras_resnet.build(spec, input_shape=digits.shape)
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.9), "categorical_crossentropy", weighted_metrics=["accuracy"]
        )
        few, validation = (  # more steps would make roundings grow; JAX sorts the keys of a dict, "label" before "scan"
            ArraySplit({"scan": split.images[: 8 * 64], "label": split.labels[: 8 * 64]})
            for split in (digits.train, digits.validation)
        )
        data = resident(few, AUGMENTATIONS["affine"], several=several)
        data = dataclasses.replace(data, validation=validation)
        examples, targets = (keras.KerasTensor((64, *shape)) for shape in (digits.shape, (CLASSES,)))
        seen = []
        note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
        model._symbolic_build(data_batch=(examples, targets))
        calls = data.calls(first=3), data.evaluation_calls()
        with data.attached(model, Clock()):
            history = model.fit(calls[0], epochs=2, validation_data=calls[1], callbacks=[note], verbose=0).history
        return [np.asarray(weight) for weight in model.weights], history, seen, model

    single, history, steps, model = trained(False)
    loop, others, seen, _ = trained(True)
    assert steps == [*range(3, 8), *range(8)]
    assert len(seen) < len(steps) and seen.count(7) == 2, seen
    for one, other in zip(single, loop, strict=True):
        # Two programs round otherwise, and eleven steps make it grow; one step left out moves 1e-2 of the scale.
        np.testing.assert_allclose(other, one, atol=5e-4 * np.abs(one).max() + 1e-6)
    np.testing.assert_allclose(others["loss"], history["loss"], rtol=1e-3)
    pixels = digits.validation.images.astype("float32")
    expected = model.evaluate(pixels, np.eye(CLASSES)[digits.validation.labels], verbose=0)
    np.testing.assert_allclose([history["val_loss"][-1], history["val_accuracy"][-1]], expected, rtol=1e-5)


def streamed():
    """Batches from the host are those on the device, on one device and on four; so are trainings, from any step on."""
    digits = keras_resnet.load_dataset("digits")
    few = digits.train.take(np.arange(6 * 64 + 5))
    augment = AUGMENTATIONS["crop-flip-erase"]
    mesh = jax.sharding.Mesh(jax.devices(), "batch")
    layout = lambda shape: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))  # noqa: E731
    for where in ({}, {"layout": layout}):
        there, ours = (
            resident(few, augment, (0.3, 1.0), repeats=2, kind=kind, **where) for kind in (Resident, Streamed)
        )
        both = [itertools.islice(each.pairs(), 9) for each in (there, ours)]
        for (expected, targets), (found, others) in zip(*both, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3)
            np.testing.assert_allclose(others, targets, atol=1e-6)
        assert len(found.sharding.device_set) == (len(jax.devices()) if where else 1)
        assert there._train and not ours._train
        ours.close()

    def trained(kind):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input(digits.shape), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
        model.compile(keras.optimizers.SGD(1e-7), "mse")
        data = resident(few, augment, kind=kind)
        data = dataclasses.replace(data, validation=digits.validation)
        examples, targets = (keras.KerasTensor((64, *shape)) for shape in (digits.shape, (CLASSES,)))
        model._symbolic_build(data_batch=(examples, targets))
        calls = data.calls(epoch=2, first=4), data.evaluation_calls()
        with data.attached(model, Clock()):
            history = model.fit(calls[0], epochs=2, validation_data=calls[1], verbose=0).history
        return [np.asarray(weight) for weight in model.weights], history["val_loss"]

    (one, losses), (other, others) = trained(Resident), trained(Streamed)
    for expected, found in zip(one, other, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(others, losses, rtol=1e-6)
    assert len(losses) == 2 and losses[0] != losses[1]


def devices():
    """One step on one and on four devices, whose sums are added in another order."""
    digits = keras_resnet.RECIPES["digits-resnet8"]
    recipe = dataclasses.replace(digits, epochs=1, subset=64, batch_size=64, warmup_epochs=0)
    recipe = dataclasses.replace(recipe, learning_rate=0.01, schedule="constant")
    found = []
    for strategy, several in (("none", False), ("mirrored", False), ("mirrored", True)):
        module.Resident = functools.partial(Resident, several=several)
        with tempfile.TemporaryDirectory() as folder:
            train(recipe, run_dir=folder, strategy=strategy, verbose=False)
            model, _ = keras_resnet.load_model(f"{folder}/model.keras")
            found.append({weight.path: np.asarray(weight) for weight in model.weights})
    assert len(jax.devices()) == 4
    one, *four = found
    scale = max(np.abs(values).max() for values in one.values())
    for each in four:
        apart = max(np.abs(values - each[name]).max() for name, values in one.items())
        assert 0 < apart <= 1e-6 * scale, (apart, scale)


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    globals()[sys.argv[1]]()
