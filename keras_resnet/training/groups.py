"""The groups of settings that a recipe has; that of the task's head is the task's own."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet import ranges
from keras_resnet.signals.fits import FITS, Keep, kept

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "lamb", "keras-lamb")
SCHEDULES = ("constant", "cosine", "one-cycle", "plateau", "poly", "steps")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
KEEPS = ("best", "last")
BALANCES = ("none", "sampling")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Data that are learned, and the changes of examples.

    Attributes:
        dataset: name of a data source as `load_dataset` takes it: `"digits"`, `"cifar10"`, `"imagenet"`, a folder, a
            table, ...
        columns: a table's own names of columns by their meaning, like `"file=photo,label=breed"`; empty where they are
            called so.
        void: values of masks that mean nothing, besides what the folder says, like `"0,11"`.
        reduce_zero_label: whether 0 means nothing in masks, and the first class is 1.
        fold: fold of a table that is the test; empty for the column `split`, or the last fold without one.
        preprocess: row of `PREPROCESS`.
        augmentation: row of `data.augment.AUGMENTATIONS`.
        subset: training images that are used, a seeded sample, and a quarter as many validation images; 0 for all.
        repeats: copies of an image that follow each other, each augmented in its own way; an epoch is as long as ever.
        hold_out: whether the validation split stays out of the training; without, it is trained on and the last weights
            are kept: for final figures, when everything has been decided.
        image_size: height and width in pixels, for image folders; 0 for the net's own.
        image_width: width in pixels of images that are not square, whose height `image_size` is then; 0 for squares.
        test_size: height and width in pixels for validation and for the net that is saved, where it differs; 0 for
            `image_size`. A net trained on small images is better on larger ones, which show its objects at the size it
            has learnt (arXiv:1906.06423). A net of masks is validated on the central part of `image_size`, and saved
            for `test_size`.
        test_width: width in pixels that goes with `test_size`, where images are not square; 0 for squares.
        crop: share of an image file's central part, in height and width, for validation and later: 0.875 is the usual
            one on ImageNet.
        fit: how an image file fills the net's frame: `"crop"`, the central part that has its aspect, `crop` of it;
            `"pad"`, all of the image, grey at the bottom and at the right; `"stretch"`, all of it, whatever its aspect;
            `"own"`, the central pixels as large as they are, grey around a smaller image.
        max_unreadable: share of undecodable images above which training is refused.
        decode_once: whether all images are decoded before the first step, at the training's size, and kept in memory:
            for accelerators, which wait for decoders otherwise. The augmentation changes what is decoded.
        balance: `"sampling"`: every class is drawn as often as any other, with replacement, for classes that are
            uneven; an epoch is as long as ever. `"none"`: every image once an epoch.
    """

    dataset: str
    preprocess: str
    columns: str = ""
    void: str = ""
    reduce_zero_label: bool = False
    fold: str = ""
    augmentation: str = "none"
    subset: int = ranges.at_least_0(0)
    repeats: int = ranges.positive(1)
    hold_out: bool = True
    image_size: int = ranges.at_least_0(0)
    image_width: int = ranges.at_least_0(0)
    test_size: int = ranges.at_least_0(0)
    test_width: int = ranges.at_least_0(0)
    crop: float = ranges.share(1.0)
    fit: str = ranges.one_of(FITS, "crop")
    max_unreadable: float = ranges.at_least_0(0.01)
    decode_once: bool = False
    balance: str = ranges.one_of(BALANCES, "none")

    @property
    def keep(self) -> Keep:
        """What of an image becomes the frame, as `load_dataset` takes it."""
        return kept(self.fit, self.crop)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Length of the training, and the learning rate over the run.

    Attributes:
        epochs: passes over the training split.
        learning_rate: highest learning rate of the run.
        own_rate: highest rate of a compression, as a share of that which the model's own training had (at this
            batch size), because what heals one net makes another forget. `learning_rate` counts where that training is
            unknown or had another optimizer than sgd, and always at 0; `override` sets it so with a new learning_rate.
        schedule: `"constant"`; `"cosine"` or, in a straight line, `"one-cycle"` to zero; `"poly"`: to zero by
            `(1 - t) ** 0.9`, as segmentation nets are trained; `"steps"`: divided by ten at `milestones`; `"plateau"`:
            divided by ten when the validation loss has not improved for `patience` epochs.
        milestones: ascending fractions of the run, for `"steps"`.
        warmup_epochs: epochs of linear increase from zero.
        patience: epochs without improvement, for `"plateau"`.
        stop_patience: epochs without improvement on the validation split after which the training ends; 0: never.
    """

    epochs: int = ranges.positive()
    learning_rate: float = ranges.positive(0.1)
    own_rate: float = ranges.at_least_0(0.0)
    schedule: str = ranges.one_of(SCHEDULES, "cosine")
    milestones: tuple[float, ...] = ranges.ascending_fractions(())
    warmup_epochs: float = ranges.at_least_0(0.0)
    patience: int = ranges.positive(10)
    stop_patience: int = ranges.at_least_0(0)


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """A step of the optimizer.

    Attributes:
        batch_size: images per step, over all devices.
        optimizer: row of `OPTIMIZERS`; sgd has momentum. `"lamb"` is the paper's and timm's (`training/lamb.py`), which
            goes with `clip_norm=1` there; `"keras-lamb"` is Keras', for runs that began with it.
        momentum: momentum of sgd and rmsprop, 0 to below 1.
        nesterov: Nesterov's momentum, for sgd.
        weight_decay: factor of the weights' decay; not applied to biases and norms unless `decay_all`.
        coupled_decay: for sgd: the decay is part of the gradient and so of the momentum, as in the papers, in Caffe and
            in PyTorch; at momentum 0.9 that is ten times as much as the same number decoupled (times the learning rate,
            beside the momentum), which is Keras' way.
        decay_all: decay biases and norms too, as the 2015 paper does.
        clip_norm: largest Euclidean norm of the whole gradient; 0 for none.
        accumulation: batches whose gradients are averaged into one step.
        ema: momentum of an average over the weights, like 0.999, which is validated and saved; 0 for none.
    """

    batch_size: int = ranges.positive(128)
    optimizer: str = ranges.one_of(OPTIMIZERS, "sgd")
    momentum: float = ranges.rate(0.9)
    nesterov: bool = False
    weight_decay: float = ranges.at_least_0(1e-4)
    coupled_decay: bool = False
    decay_all: bool = False
    clip_norm: float = ranges.at_least_0(0.0)
    accumulation: int = ranges.positive(1)
    ema: float = ranges.rate(0.0)


@dataclass(frozen=True, kw_only=True)
class Regularisation:
    """Measures against learning examples by heart.

    Attributes:
        distillation: share of the targets that are the answers of the model which a compression starts from, or of a
            better one that teaches it (probabilities for the augmented image, arXiv:1503.02531 at temperature 1).
        mixup: alpha of MixUp (arXiv:1710.09412); 0 for none.
        cutmix: alpha of CutMix (arXiv:1905.04899); with both, one of them is drawn for every batch.
        stochastic_depth: rate at which the last block is left out, falling linearly towards the first.
        zero_init_residual: every residual starts at zero.
    """

    distillation: float = ranges.rate(0.0)
    mixup: float = ranges.at_least_0(0.0)
    cutmix: float = ranges.at_least_0(0.0)
    stochastic_depth: float = ranges.rate(0.0)
    zero_init_residual: bool = False


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Weights to start from, and what stays as it is.

    Attributes:
        weights: weights that the training starts from, as in `load_weights`, below a new head; random ones without.
        freeze: `"stem"`, `"stage2"`, ...: up to there nothing learns, and batch normalisation stays in inference mode;
            `"all"`: all but the head.
        freeze_bn: no batch normalisation learns, anywhere.
        head_epochs: first epochs in which only the head learns.
        layer_decay: factor of the learning rate from one stage to the one below it; the head has the whole rate.
    """

    weights: str = ""
    freeze: str = "none"
    freeze_bn: bool = False
    head_epochs: float = ranges.at_least_0(0.0)
    layer_decay: float = ranges.share(1.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Precision and devices of the machine, and what is kept.

    Attributes:
        precision: `"auto"` is mixed_bfloat16 where the processor or the GPU computes in it, else float32. What is saved
            is float32 in any case.
        sync_bn: on several devices, statistics of batch normalisation over the whole batch, as on one device; without,
            of each replica's part, which is faster.
        precise_bn: training images over which the statistics of batch normalisation are averaged at the end; 0 for
            moving averages.
        keep: which weights model.keras holds: of the `"best"` validation epoch, or the `"last"` ones: right where the
            rate falls to zero, as in the papers, or where the validation split is too small to tell epochs apart.
        steps_per_execution: steps per call of the compiled function; saves time for tiny nets.
        remat: keep only the blocks' outputs for the backward pass and compute the rest again: for nets that do not fit
            into memory, at a third more time.
        jit_compile: compilation by XLA; slower on processors.
        seed: seed of initialisation, order and augmentation.
    """

    precision: str = ranges.one_of(PRECISIONS, "auto")
    sync_bn: bool = True
    precise_bn: int = ranges.at_least_0(0)
    keep: str = ranges.one_of(KEEPS, "best")
    steps_per_execution: int = ranges.positive(1)
    remat: bool = False
    jit_compile: bool = False
    seed: int = ranges.at_least_0(0)


GROUPS: dict[str, type] = {
    "data": Data,
    "rate": Rate,
    "optimization": Optimization,
    "regularisation": Regularisation,
    "transfer": Transfer,
    "run": Run,
}
