"""What a recipe is: everything needed to repeat a training, and the result to expect."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

from keras_resnet.errors import InputError, unknown_name

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "lamb")
SCHEDULES = ("constant", "cosine", "one-cycle", "plateau", "steps")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
KEEPS = ("best", "last")
LOSSES = ("cross-entropy", "binary")


# What describes a recipe rather than does something.
DESCRIPTION = ("name", "expected", "hardware", "wall_time", "command")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training, from data to result.

    Attributes:
        name: what `--recipe` is given.
        model: a name of `list_models()`.
        dataset: as `load_dataset` takes it: `"digits"`, `"cifar10"`, `"imagenet"`, a folder, ...
        preprocess: row of `PREPROCESS`.
        augmentation: row of `data.augment.AUGMENTATIONS`.
        subset: training images that are used, a seeded sample, and a quarter as many validation images; 0 for all.
        repeats: copies of an image that follow each other, each augmented in its own way; an epoch is as long as ever.
        epochs: passes over the training split.
        batch_size: images per step, over all devices.
        optimizer: row of `OPTIMIZERS`; sgd has momentum.
        learning_rate: the highest one.
        own_rate: of a compression: the highest rate as a share of that which the model's own training had (at this
            batch size), because what heals one net makes another forget. `learning_rate` counts where that training is
            unknown or had another optimizer than sgd, and always at 0; `override` sets it so with a new learning_rate.
        schedule: `"constant"`; `"cosine"` or, in a straight line, `"one-cycle"` to zero; `"steps"`: divided by ten at
            `milestones`; `"plateau"`: divided by ten when the validation loss has not improved for `patience` epochs.
        milestones: fractions of the run, for `"steps"`.
        warmup_epochs: of linear increase from zero.
        momentum: for sgd.
        nesterov: for sgd.
        patience: epochs, for `"plateau"`.
        weight_decay: not applied to biases and norms unless `decay_all`.
        coupled_decay: for sgd: the decay is part of the gradient and so of the momentum, as in the papers, in Caffe and
            in PyTorch; at momentum 0.9 that is ten times as much as the same number decoupled (times the learning rate,
            beside the momentum), which is Keras' way.
        decay_all: decay biases and norms too, as the 2015 paper does.
        clip_norm: of the whole gradient; 0 for none.
        accumulation: batches whose gradients are averaged into one step.
        ema: momentum of an average over the weights, like 0.999, which is validated and saved; 0 for none.
        loss: `"cross-entropy"`, or `"binary"` for every class (with mixing, arXiv:2110.00476).
        target_threshold: for the binary loss: targets above it become 1 and others 0, so that both classes of a mixed
            image count in full; 0 leaves the targets as they were mixed.
        distillation: share of the targets that are the answers of the model which a compression starts from, or of a
            better one that teaches it (probabilities for the augmented image, arXiv:1503.02531 at temperature 1).
        label_smoothing: probability moved from the label to all classes.
        mixup: alpha of MixUp (arXiv:1710.09412); 0 for none.
        cutmix: alpha of CutMix (arXiv:1905.04899); with both, one of them is drawn for every batch.
        dropout: before the classifier.
        stochastic_depth: rate of the last block, falling linearly towards the first.
        zero_init_residual: every residual starts at zero.
        weights: that the training starts from, as in `load_weights`, below a new head; random ones without.
        freeze: `"stem"`, `"stage2"`, ...: up to there nothing learns, and batch normalisation stays in inference mode;
            `"all"`: all but the head.
        freeze_bn: no batch normalisation learns, anywhere.
        head_epochs: first epochs in which only the head learns.
        layer_decay: factor of the learning rate from one stage to the one below it; the head has the whole rate.
        precision: `"auto"` is mixed_bfloat16 where the processor or the GPU computes in it, else float32. What is saved
            is float32 in any case.
        sync_bn: on several devices, statistics of batch normalisation over the whole batch, as on one device; without,
            of each replica's part, which is faster.
        precise_bn: training images over which the statistics of batch normalisation are averaged at the end; 0 for
            moving averages.
        keep: which weights model.keras holds: of the `"best"` validation epoch, or the `"last"` ones: right where the
            rate falls to zero, as in the papers, or where the validation split is too small to tell epochs apart.
        hold_out: keep the validation split out of the training; without, all of it is trained on and the last weights
            are kept: for final figures, when everything has been decided.
        steps_per_execution: steps per call of the compiled function; saves time for tiny nets.
        remat: keep only the blocks' outputs for the backward pass and compute the rest again: for nets that do not fit
            into memory, at a third more time.
        jit_compile: by XLA; slower on processors.
        image_size: height and width for image folders; 0 for the net's own.
        test_size: the same for validation and for the net that is saved, where it differs; 0 for `image_size`. A net
            trained on small images is better on larger ones, which show its objects at the size it has learnt
            (arXiv:1906.06423).
        crop: share of an image file's central part, in height and width, for validation and later: 0.875 is the usual
            one on ImageNet.
        max_unreadable: share of undecodable images above which training is refused.
        seed: of initialisation, order and augmentation.
        expected: test accuracy to expect, as a range of fractions.
        hardware: where `expected` and `wall_time` were measured, and when.
        wall_time: of the run.
        command: that repeats it.
    """

    name: str
    model: str
    dataset: str
    preprocess: str
    augmentation: str = "none"
    subset: int = 0
    repeats: int = 1
    epochs: int
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    own_rate: float = 0.0
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    patience: int = 10
    weight_decay: float = 1e-4
    coupled_decay: bool = False
    decay_all: bool = False
    clip_norm: float = 0.0
    accumulation: int = 1
    ema: float = 0.0
    loss: str = "cross-entropy"
    target_threshold: float = 0.0
    distillation: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    zero_init_residual: bool = False
    weights: str = ""
    freeze: str = "none"
    freeze_bn: bool = False
    head_epochs: float = 0.0
    layer_decay: float = 1.0
    precision: str = "auto"
    sync_bn: bool = True
    precise_bn: int = 0
    keep: str = "best"
    hold_out: bool = True
    steps_per_execution: int = 1
    remat: bool = False
    jit_compile: bool = False
    image_size: int = 0
    test_size: int = 0
    crop: float = 1.0
    max_unreadable: float = 0.01
    seed: int = 0
    expected: tuple[float, ...] = ()
    hardware: str = ""
    wall_time: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        """Refuses values outside their range."""
        for field in (
            "epochs",
            "batch_size",
            "learning_rate",
            "patience",
            "accumulation",
            "steps_per_execution",
            "repeats",
        ):
            if not getattr(self, field) > 0:
                raise InputError(f"recipe {self.name}: {field}={getattr(self, field)}, expected more than 0")
        for field in (
            "momentum",
            "label_smoothing",
            "ema",
            "distillation",
            "dropout",
            "stochastic_depth",
            "target_threshold",
        ):
            if not 0 <= getattr(self, field) < 1:
                raise InputError(f"recipe {self.name}: {field}={getattr(self, field)}, expected 0 up to below 1")
        at_least_0 = (
            "weight_decay",
            "warmup_epochs",
            "image_size",
            "test_size",
            "max_unreadable",
            "seed",
            "clip_norm",
            "mixup",
            "subset",
        )
        for field in (*at_least_0, "cutmix", "precise_bn", "head_epochs", "own_rate"):
            if not getattr(self, field) >= 0:
                raise InputError(f"recipe {self.name}: {field}={getattr(self, field)}, expected at least 0")
        tables = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "loss": LOSSES,
            "keep": KEEPS,
        }
        for field, known in tables.items():
            if getattr(self, field) not in known:
                raise unknown_name(field, getattr(self, field), known)
        if self.coupled_decay and self.optimizer != "sgd":
            raise InputError(f"recipe {self.name}: coupled_decay goes with optimizer=sgd, not {self.optimizer}")
        if self.schedule == "plateau" and not self.hold_out:
            raise InputError(f"recipe {self.name}: schedule=plateau watches the validation split; set hold_out=true")
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"recipe {self.name}: layer_decay={self.layer_decay}, expected above 0 and at most 1")
        if (self.layer_decay < 1 or self.head_epochs) and not self.coupled_decay:
            raise InputError(f"recipe {self.name}: layer_decay and head_epochs go with coupled_decay=true")
        if self.head_epochs and not (self.freeze_bn or self.freeze == "all"):
            raise InputError(
                f"recipe {self.name}: head_epochs goes with freeze_bn=true: statistics would move while the rest stays"
            )
        if self.freeze_bn and self.precise_bn:
            raise InputError(f"recipe {self.name}: freeze_bn keeps the statistics that precise_bn would replace")
        if self.target_threshold and self.loss != "binary":
            raise InputError(f"recipe {self.name}: target_threshold goes with loss=binary, not {self.loss}")
        if self.remat and self.stochastic_depth:
            raise InputError(
                f"recipe {self.name}: remat goes with stochastic_depth=0 only: a block that is computed again would be "
                "left out by another draw"
            )
        if self.steps_per_execution > 1 and self.accumulation > 1:
            raise InputError(f"recipe {self.name}: steps_per_execution goes with accumulation=1 only")
        if not 0 < self.crop <= 1:
            raise InputError(f"recipe {self.name}: crop={self.crop}, expected above 0 and at most 1")
        if any(not 0 < m < 1 for m in self.milestones) or list(self.milestones) != sorted(self.milestones):
            raise InputError(
                f"recipe {self.name}: milestones={self.milestones}, expected ascending fractions of the run, "
                "like 0.5,0.75"
            )
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise InputError(
                f"recipe {self.name}: warmup_epochs={self.warmup_epochs}, expected less than epochs={self.epochs}"
            )

    def dumps(self) -> str:
        """The recipe as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def loads(text: str, origin: str) -> Recipe:
    """Reads what `dumps` wrote.

    Args:
        text: JSON.
        origin: the file, for messages.

    Raises:
        InputError: no recipe, or one of another version of this package.
    """
    try:
        values = json.loads(text)
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return Recipe(**{**values, **lists})
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise InputError(f"{origin} is no recipe of this version: {error}") from error


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Applies `key=value` settings, each checked against the type of its field.

    Args:
        recipe: where the other values come from.
        settings: like `["epochs=3", "nesterov=true", "milestones=0.5,0.75"]`.

    Returns:
        A new recipe.

    Raises:
        InputError: unknown key (the nearest names are in the message), a value of the wrong type or out of range.

    Example:
        >>> from keras_resnet.training import RECIPES
        >>> override(RECIPES["digits-resnet8"], ["epochs=3"]).epochs
        3
    """
    fields = {field.name: field for field in dataclasses.fields(Recipe) if field.name != "name"}
    changes = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: expected key=value")
        if key not in fields:
            raise unknown_name("recipe setting", key, fields)
        changes[key] = _parse(key, getattr(recipe, key), text)
    if "learning_rate" in changes:  # who names a rate means that one
        changes.setdefault("own_rate", 0.0)
    return dataclasses.replace(recipe, **changes)


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _parse(key: str, old: object, text: str) -> object:
    kind = type(old)
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        if kind is tuple:
            return tuple(float(part) for part in text.split(",") if part)
        return kind(text)
    except (ValueError, KeyError):
        names = {bool: "true or false", tuple: "numbers with commas between", int: "a whole number", float: "a number"}
        raise InputError(f"--set {key}={text}: expected {names[kind]}, like {old}") from None
