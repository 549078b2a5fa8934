"""What feeds a training: the device itself, tf.data, or grain where TensorFlow is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet import extras
from keras_resnet.data.dataset import ArraySplit, Split, end_to_end
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.pipeline import arrays_of, plan
from keras_resnet.data.timing import Clock
from keras_resnet.errors import InputError
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.training.inputs import Inputs, balanced, encoder, training_pipeline, training_split
from keras_resnet.training.recipes import Recipe

if TYPE_CHECKING:
    from keras_resnet.training.nets import Nets
    from keras_resnet.training.resident import Resident
    from keras_resnet.training.strategy import Devices

_DECODED_AT_ONCE = 256  # examples


def feeder(recipe: Recipe, inputs: Inputs) -> str:
    """Says what feeds a run: `"device"`, `"tf.data"` or `"grain"`.

    JAX's device feeds itself with examples in memory that fit there and are changed by functions for it. RandAugment
    and a teacher's answers are TensorFlow's.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.

    Raises:
        InputError: nothing that is installed can.
    """
    if keras.backend.backend() != "jax":
        return "tf.data"
    from keras_resnet.training import resident

    parts = [part for part in (inputs.dataset.train, inputs.dataset.validation) if isinstance(part, ArraySplit)]
    for_jax = inputs.augment.anywhere and not recipe.distillation
    if for_jax and len(parts) == 2 and resident.fits(*parts):
        return "device"
    if extras.is_there("tensorflow"):
        return "tf.data"
    if not for_jax:
        why = f"distillation={recipe.distillation}" if recipe.distillation else f"augmentation={recipe.augmentation}"
        raise InputError(
            f"{why} needs TensorFlow, on JAX as well: pip install 'tensorflow>=2.21,<2.22', or choose another"
        )
    extras.require("grain", for_what="training on JAX without TensorFlow, with more data than the device holds,")
    return "grain"


def own(recipe: Recipe, inputs: Inputs, preprocess: Preprocess, devices: Devices) -> Resident | None:
    """What feeds a run on JAX by calls of its own; None where tf.data feeds the net.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.
        preprocess: input convention of the net.
        devices: devices of the run.

    Raises:
        InputError: nothing can feed the run; or the validation examples are too many for the device.
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
        "validation": _in_memory(inputs.dataset.validation) if recipe.hold_out else None,
        "replicas": devices.replicas,
        **devices.layouts(),
    }
    return resident.Resident(**how) if by == "device" else streamed.Streamed(**how, box=inputs.augment.box)


def _in_memory(split: Split) -> ArraySplit | None:
    """Examples that are validated on after every epoch, decoded once; None where there are none."""
    from keras_resnet.training import resident

    if not len(split):
        return None
    if not isinstance(split, ArraySplit):
        split = ArraySplit(end_to_end(list(arrays_of(split, _DECODED_AT_ONCE))))
    if not resident.fits(split):
        raise InputError(
            f"the {len(split)} validation examples do not fit on the device: pass --set subset=N for fewer of all, or "
            "install TensorFlow, which reads them again and again"
        )
    return split


def pairs(recipe: Recipe, inputs: Inputs, preprocess: Preprocess, made: Nets, devices: Devices) -> Iterator[Any]:
    """Endless inputs and targets of a run's steps, whatever feeds it, to time some of them.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.
        preprocess: input convention of the net.
        made: nets of the run.
        devices: devices of the run.
    """
    fed = own(recipe, inputs, preprocess, devices)
    if fed is None:
        yield from training_pipeline(recipe, inputs, preprocess, made, None, Clock(), (0, 1))
    else:
        yield from fed.pairs()
