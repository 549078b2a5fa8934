"""Recipes of segmentation: those measured here from scratch, and published ones; rows of `recipes.RECIPES`.

Their expected figures are mean IoUs over the classes on the test part, as fractions.
"""

from __future__ import annotations

import dataclasses

from keras_resnet.training.recipe import Recipe

_PUBLISHED = "mmsegmentation's published figure (R-50-D8); not run here"
OWN = Recipe(  # from scratch, on a few hundred pictures
    name="scenes",
    task="segmentation",
    model="resnet18",
    dataset="",
    preprocess="torch",
    augmentation="scene-turn",
    epochs=150,
    batch_size=16,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.03,
    schedule="poly",
    warmup_epochs=2.0,
    keep="last",  # the rate falls to zero
    fit="pad",
    decoder="deeplabv3plus",
    output_stride=16,
    stages=3,  # the last one has three quarters of the weights, which a few hundred pictures do not teach
    width=128,
)
_CAMVID = dataclasses.replace(
    OWN,
    name="camvid",
    augmentation="scene-own",
    image_size=192,  # parts of a frame, at half to double scale; the net that is saved takes whole frames
    image_width=256,
    test_size=368,
    test_width=480,
    expected=(0.4742,),
    hardware="105 of 150 epochs on one H200, then six more (a second command) on two Zen 3 cores, 2026-11-27",
    wall_time="100 s an epoch on two Zen 3 cores",
    command="keras-resnet train --recipe camvid --data CamVid",
)
_PETS = dataclasses.replace(
    OWN,
    name="pets",
    image_size=160,
    epochs=60,
    precise_bn=240,
    expected=(0.6086,),  # of three classes, seed 0; pixel accuracy 0.8247
    hardware="two Zen 3 cores, 2026-11-28",
    wall_time="2 h beside other work (38 s an epoch with less of it)",
    command="keras-resnet train --recipe pets --data pets3",
)
_NUCLEI = dataclasses.replace(
    OWN,
    name="nuclei",
    model="resnet10t",
    preprocess="tf",
    augmentation="sample",
    fit="own",
    image_size=256,
    epochs=80,
    decoder="unet",
    output_stride=0,
    dice=0.5,
    precise_bn=512,
    expected=(0.9246,),  # of two classes; of the foreground 0.870 (--tile)
    hardware="59 of 80 epochs on one H200, then three more (a second command) on two Zen 3 cores, 2026-11-27",
    wall_time="8 minutes an epoch on two Zen 3 cores that were not idle",
    command="keras-resnet train --recipe nuclei --data nuclei",
)
_VOC = Recipe(  # mmsegmentation's schedule, on VOC 2012 with SBD's masks and list (trainaug, 10,582 pictures)
    name="deeplabv3-voc",
    task="segmentation",
    model="resnet50_v1_5",
    dataset="",
    preprocess="torch",
    augmentation="scene",
    epochs=60,  # 40,000 steps of these; 5,500 of the 1,464 pictures of VOC's own list
    batch_size=16,
    learning_rate=0.01,
    coupled_decay=True,
    weight_decay=5e-4,
    schedule="poly",
    keep="last",
    fit="pad",
    image_size=512,
    decoder="deeplabv3",
    output_stride=8,
    aux=0.4,
    weights="imagenet",
    expected=(0.777,),
    hardware=_PUBLISHED,
    wall_time="a day on four GPUs",
    command="keras-resnet train --recipe deeplabv3-voc --data VOC2012",
)
ROWS = (
    _CAMVID,
    _PETS,
    _NUCLEI,
    _VOC,
    *(
        dataclasses.replace(
            _VOC,
            name=f"{decoder}-voc",
            decoder=decoder,
            expected=(miou,),
            command=f"keras-resnet train --recipe {decoder}-voc --data VOC2012",
        )
        for decoder, miou in (("deeplabv3plus", 0.768), ("fcn", 0.67))
    ),
    dataclasses.replace(
        _VOC,
        name="deeplabv3plus-cityscapes",
        augmentation="scene-own",
        batch_size=8,
        epochs=215,  # 80,000 steps
        image_size=512,
        image_width=1024,
        test_size=1024,
        test_width=2048,
        decoder="deeplabv3plus",
        expected=(0.801,),
        command="keras-resnet train --recipe deeplabv3plus-cityscapes --data CITYSCAPES",
    ),
)
