"""Recipes of detection: those measured here from scratch, and published ones; rows of `recipes.RECIPES`."""

from __future__ import annotations

import dataclasses

from keras_resnet.training.recipe import Recipe

_PUBLISHED = "published figure (torchvision); not run here"
OWN = Recipe(  # from scratch, on a few hundred pictures
    name="objects",
    task="detection",
    model="resnet18",
    dataset="",
    preprocess="torch",
    augmentation="scene",
    epochs=200,
    batch_size=16,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.03,
    schedule="cosine",
    warmup_epochs=3.0,
    clip_norm=5.0,
    ema=0.995,
    keep="last",  # the rate falls to zero
    fit="stretch",  # as MediaPipe fills an input
    image_size=320,
    detector="realtime",
)
_BCCD = dataclasses.replace(
    OWN,
    name="bccd",
    augmentation="zoom-turn",
    decode_once=True,
    model="resnet10t",
    image_size=288,  # the pictures' aspect
    image_width=384,
    width=64,  # of two cores, and of three classes
    batch_size=8,
    epochs=60,
    learning_rate=2e-3,
    warmup_epochs=1.0,
    ema=0.98,
    expected=(0.6055,),  # AP, seed 0; at overlap 0.5 0.8983
    hardware="two Zen 3 cores, 2026-11-28",
    wall_time="67 minutes",
    command="keras-resnet train --recipe bccd --data BCCD",
)
_SCENES = dataclasses.replace(
    OWN,
    name="digits-scenes",
    model="resnet10t",
    dataset="digits-scenes",
    preprocess="tf",
    augmentation="none",
    epochs=5,
    learning_rate=2e-3,
    warmup_epochs=0.5,
    image_size=0,
    width=64,
    ema=0.0,
    expected=(0.7418,),  # AP, seed 0; at overlap 0.5 0.9326
    hardware="two Zen 3 cores, 2026-11-28",
    wall_time="4 min 36 s of one core's time, beside other work",
    command="keras-resnet train --recipe digits-scenes",
)
_PET_HEADS = Recipe(  # one head in nearly every picture, of 173 to learn from
    name="pet-heads",
    task="localization",
    model="resnet18",
    dataset="",
    preprocess="torch",
    augmentation="zoom-flip",
    decode_once=True,
    epochs=120,
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    schedule="cosine",
    warmup_epochs=3.0,
    clip_norm=5.0,
    ema=0.99,
    keep="last",
    fit="pad",
    image_size=160,
    expected=(0.5593,),  # localized, seed 0: an error of 44.1 %
    hardware="two Zen 3 cores, 2026-11-28",
    wall_time="64 minutes beside other work (16 s an epoch without)",
    command="keras-resnet train --recipe pet-heads --data pets3",
)
_RETINANET = Recipe(  # torchvision's references/detection: 8 GPUs x 2 pictures, 26 epochs, shorter side 800
    name="retinanet-1x",
    task="detection",
    model="resnet50_v1_5",
    dataset="",
    preprocess="torch",
    augmentation="scene",
    epochs=26,
    batch_size=16,
    learning_rate=0.01,
    coupled_decay=True,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(16 / 26, 22 / 26),
    warmup_epochs=0.14,  # 1,000 steps
    freeze_bn=True,
    keep="last",
    fit="pad",
    image_size=800,
    image_width=1312,
    detector="retinanet",
    weights="imagenet",
    expected=(0.364,),
    hardware=_PUBLISHED,
    wall_time="a day on eight GPUs",
    command="keras-resnet train --recipe retinanet-1x --data COCO",
)
ROWS = (
    _BCCD,
    _SCENES,
    _PET_HEADS,
    dataclasses.replace(
        _BCCD,
        name="pet-heads-boxes",
        augmentation="zoom-flip",
        image_size=224,
        image_width=0,
        fit="pad",
        expected=(),
        hardware="not run yet",
        wall_time="not measured",
        command="keras-resnet train --recipe pet-heads-boxes --data pets3",
    ),
    _RETINANET,
    dataclasses.replace(
        _RETINANET,
        name="fcos-1x",
        detector="fcos",
        expected=(0.392,),
        command="keras-resnet train --recipe fcos-1x --data COCO",
    ),
)
