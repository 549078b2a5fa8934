"""What feeds a training: the device itself, tf.data, or grain where TensorFlow is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet import extras
from keras_resnet.data.dataset import ArraySplit, EncodedSplit
from keras_resnet.data.loading import require_grain
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.pipeline import plan
from keras_resnet.data.records import Records
from keras_resnet.data.timing import Clock
from keras_resnet.errors import InputError
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.training.inputs import Inputs, balanced, encoder, in_memory, training_pipeline, training_split
from keras_resnet.training.recipes import Recipe

if TYPE_CHECKING:
    from keras_resnet.training.nets import Nets
    from keras_resnet.training.resident import Resident
    from keras_resnet.training.strategy import Devices

_INSTALL = "pip install 'tensorflow>=2.21,<2.22'"


def feeder(recipe: Recipe, inputs: Inputs) -> str:
    """Says what feeds a run: `"device"`, `"tf.data"` or `"grain"`.

    JAX's device feeds itself with examples in memory that fit there and are changed by functions for it. RandAugment
    and a teacher's answers are TensorFlow's.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.

    Raises:
        InputError: nothing that is installed can, or the validation examples are too many for the device.
    """
    if keras.backend.backend() != "jax":
        return "tf.data"
    from keras_resnet.training import resident

    train, validation = inputs.dataset.train, inputs.dataset.validation
    in_memory = isinstance(train, ArraySplit) and isinstance(validation, ArraySplit)
    for_jax = inputs.augment.anywhere and not recipe.distillation
    if for_jax and in_memory and resident.fits(train, validation):
        return "device"
    if extras.is_there("tensorflow"):
        return "tf.data"
    if not for_jax:
        why = f"distillation={recipe.distillation}" if recipe.distillation else f"augmentation={recipe.augmentation}"
        raise InputError(f"{why} is TensorFlow's, on JAX as well: choose another, or {_INSTALL}")
    if any(isinstance(part, EncodedSplit) and isinstance(part.contents, Records) for part in (train, validation)):
        raise InputError(f"{recipe.dataset} has TFRecord files, which TensorFlow reads: take a folder, or {_INSTALL}")
    if recipe.hold_out and not resident.fits(validation):
        raise InputError(
            f"the {len(validation)} validation examples do not fit on the device: pass --set subset=N for fewer of "
            f"all, or {_INSTALL}"
        )
    require_grain()
    return "grain"


def own(
    recipe: Recipe, inputs: Inputs, preprocess: Preprocess, devices: Devices, validates: bool = True
) -> Resident | None:
    """What feeds a run on JAX by calls of its own; None where tf.data feeds the net.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.
        preprocess: input convention of the net.
        devices: devices of the run.
        validates: whether the run's validation examples are wanted too.

    Raises:
        InputError: nothing can feed the run.
    """
    by = feeder(recipe, inputs)
    if by == "tf.data":
        return None
    from keras_resnet.training import resident, streamed

    split = training_split(recipe, inputs.dataset)
    how: dict[str, Any] = {
        "train": split,
        "epochs": plan(split, inputs.augment, seed=recipe.seed, repeats=recipe.repeats, shares=balanced(split, recipe)),
        "batch_size": recipe.batch_size,
        "augment": inputs.augment.batch,
        "mix": make_mix(recipe.mixup, recipe.cutmix),
        "encode": encoder(recipe, inputs.dataset),
        "preprocess": preprocess,
        "validation": _validation(inputs) if recipe.hold_out and validates else None,
        "replicas": devices.replicas,
        **devices.layouts(),
    }
    return resident.Resident(**how) if by == "device" else streamed.Streamed(**how, box=inputs.augment.box)


def _validation(inputs: Inputs) -> ArraySplit | None:
    """Examples that are validated on after every epoch, decoded once; None where there are none."""
    found = in_memory(inputs.dataset.validation)
    return found if isinstance(found, ArraySplit) and len(found) else None


def pairs(recipe: Recipe, inputs: Inputs, preprocess: Preprocess, made: Nets, devices: Devices) -> Iterator[Any]:
    """Endless inputs and targets of a run's steps, whatever feeds it, to time some of them.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.
        preprocess: input convention of the net.
        made: nets of the run.
        devices: devices of the run.
    """
    fed = own(recipe, inputs, preprocess, devices, validates=False)
    if fed is None:
        yield from training_pipeline(recipe, inputs, preprocess, made, None, Clock(), (0, 1))
        return
    try:
        yield from fed.pairs()
    finally:
        fed.close()
