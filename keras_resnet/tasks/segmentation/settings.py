"""What the head of a segmentation is told: by a recipe, and by the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_resnet import ranges
from keras_resnet.errors import InputError
from keras_resnet.tasks.cards import TRAINING, check_numbers
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Dataset
    from keras_resnet.nets.interface import ResNetSpec

OUTPUT, AUXILIARY, TRUTH = "logits", "aux_logits", "mask"
LOGITS, PROBABILITIES, CLASSES = FORMS = ("logits", "probabilities", "classes")  # of files; see `Facts.form`
MOST_SIDE = 8192  # pixels, of a mask that a card asks for
DECODER_NAMES = ("unet", "deeplabv3plus", "deeplabv3", "fcn")
LOSSES = ("cross-entropy", "focal")
ONE_SIZE = True  # a decoder resizes maps to the size of its input, which a net is built for
ALPHA, BETA = 0.3, 0.7  # of Tversky's loss, as its paper found best
MOST_WEIGHT = 20.0  # of a class, however rare it is


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a segmentation recipe.

    Attributes:
        decoder: row of `nets.segmentation.SEGMENTERS`: `"unet"`, `"deeplabv3plus"`, `"deeplabv3"` or `"fcn"`.
        output_stride: input size divided by the backbone's last map, by dilation; 0 for the decoder's own.
        stages: stages of the backbone that are used; 0 for all.
        width: channels of the decoder; 0 for its own. A U-Net's steps have `width`, a half of it, and so on.
        dropout: rate before the last convolution of FCN and DeepLab.
        loss: `"cross-entropy"`, or `"focal"`: the same with less weight on what is easy (arXiv:1708.02002).
        focal_gamma: exponent of that weight; 0 for none.
        dice: weight of the Dice loss beside it, the mean over the classes; 0 for none (arXiv:1606.04797).
        tversky: weight of Tversky's loss beside it, the same mean; 0 for none (arXiv:1706.05721).
        tversky_alpha: weight of false positives in that loss.
        tversky_beta: weight of false negatives there; more than `tversky_alpha` finds more of rare classes.
        class_weights: whether rare classes weigh more: the median of their frequencies divided by their own, up to 20
            (arXiv:1411.4734).
        aux: weight of the auxiliary head's loss while training; 0 for no such head.
    """

    decoder: str = ranges.one_of(DECODER_NAMES, "unet")
    output_stride: int = ranges.at_least_0(0)
    stages: int = ranges.at_least_0(0)
    width: int = ranges.at_least_0(0)
    dropout: float = ranges.rate(0.1)
    loss: str = ranges.one_of(LOSSES, "cross-entropy")
    focal_gamma: float = ranges.at_least_0(2.0)
    dice: float = ranges.at_least_0(0.0)
    tversky: float = ranges.at_least_0(0.0)
    tversky_alpha: float = ranges.at_least_0(ALPHA)
    tversky_beta: float = ranges.at_least_0(BETA)
    class_weights: bool = False
    aux: float = ranges.at_least_0(0.0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, in words."""
        if self.loss != "focal" and self.focal_gamma != 2.0:
            yield f"focal_gamma goes with loss=focal, not {self.loss}"
        if not self.tversky and (self.tversky_alpha, self.tversky_beta) != (ALPHA, BETA):
            yield "tversky_alpha and tversky_beta go with tversky, the weight of that loss"
        if self.tversky and not self.tversky_alpha + self.tversky_beta:
            yield "tversky_alpha and tversky_beta are 0: expected one of them above, or every answer is right"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the head must know of the data.

    Attributes:
        names: names of the classes.
        colours: colour of every class, `(red, green, blue)` in 0..255; empty for the usual ones.
        weights: weight of every class in the loss; empty for none. Not on the card.
        form: what a file gives: `""`, logits at the size of its input; `"logits"` at the size of the decoder's map,
            which the caller resizes to `size`; `"probabilities"` and `"classes"` at the size of the input. On the card
            of a file that has one.
        size: height and width in pixels of the mask that the caller makes, of the form `"logits"`.
    """

    names: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    weights: tuple[float, ...] = dataclasses.field(default=(), metadata=TRAINING)
    form: str = dataclasses.field(default="", metadata=TRAINING)
    size: tuple[int, ...] = dataclasses.field(default=(), metadata=TRAINING)

    def __post_init__(self) -> None:
        """Refuses what a damaged card may hold."""
        if not isinstance(self.names, list | tuple) or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"names={self.names!r:.80}, expected a list of names")
        if not isinstance(self.colours, list | tuple) or len(self.colours) not in (0, len(self.names)):
            raise ValueError(f"colours={self.colours!r:.80}, expected one for every class, or none")
        for colour in self.colours:
            right = isinstance(colour, list | tuple) and len(colour) == 3
            if not right or not all(type(each) is int and 0 <= each <= 255 for each in colour):
                raise ValueError(f"colour {colour!r:.80}, expected three numbers from 0 to 255")
        check_numbers(self, ("weights",), len(self.names), 0.0, MOST_WEIGHT)
        if self.form not in ("", *FORMS):
            raise ValueError(f"form={self.form!r:.80}, expected one of {', '.join(FORMS)}")
        right = isinstance(self.size, list | tuple) and len(self.size) == (2 if self.form == LOGITS else 0)
        if not right or not all(type(each) is int and 0 < each <= MOST_SIDE for each in self.size):
            raise ValueError(f"size={self.size!r:.80}, expected height and width of a file of the form {LOGITS}")


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with masks and the names of their classes.
        settings: head of the recipe.

    Raises:
        InputError: the data have no names of classes.
    """
    from keras_resnet.data.masks import legend_of

    if not dataset.classes:
        raise InputError(f"{dataset.name} has no names of classes: expected as many as its masks have")
    legend = legend_of(dataset.train)
    weights = _weights(dataset) if settings.class_weights else ()
    return Facts(names=tuple(dataset.classes), colours=legend.colours if legend else (), weights=weights)


def _weights(dataset: Dataset) -> tuple[float, ...]:
    """Median frequency balancing: a class' frequency is its share of the pixels of the masks that have it."""
    import numpy as np

    count = len(dataset.classes)
    pixels, seen_in = np.zeros(count), np.zeros(count)
    for classes in _histograms(dataset.train, count):
        pixels += classes
        seen_in += np.where(classes > 0, classes.sum(), 0)
    frequency = pixels / np.maximum(seen_in, 1)
    there = frequency > 0
    weights = np.where(there, np.median(frequency[there]) / np.where(there, frequency, 1), 1.0)
    return tuple(map(float, weights.clip(1 / MOST_WEIGHT, MOST_WEIGHT)))


def _histograms(split: Any, count: int) -> Iterator[Any]:
    import numpy as np

    maps = getattr(split, "maps", {}).get(TRUTH)
    for index in range(len(split)):
        mask = maps.read(index) if maps is not None else split.fetch([index])[TRUTH][0]
        yield np.bincount(mask.ravel(), minlength=256)[:count].astype(np.float64)


def output_of(form: str) -> str:
    """Name of the output of a form."""
    return form or OUTPUT


def outputs(facts: Facts) -> tuple[Output, ...]:
    """One output: logits of every pixel `(n, height, width, classes)`, or what the form has in their place."""
    name = output_of(facts.form)
    if facts.form == CLASSES:
        return (Output(name, ("n", "height", "width"), labels=True),)
    span = (0.0, 1.0) if facts.form == PROBABILITIES else None
    return (Output(name, ("n", "height", "width", "classes"), span),)


def backbone(spec: ResNetSpec, settings: Settings) -> dict[str, Any]:
    """Arguments of `build` that the head needs.

    Args:
        spec: variant of the backbone.
        settings: head of the recipe.
    """
    from keras_resnet.nets.segmentation import get_segmenter

    wanted = settings.output_stride or get_segmenter(settings.decoder).output_stride
    return {"output_stride": min(wanted, spec.final_stride())} if wanted else {}
