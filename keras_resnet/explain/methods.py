"""The table of methods, and `explain`: from pixels to a map of the image's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.explain import maps, pixels
from keras_resnet.explain.net import Net
from keras_resnet.explain.occlusions import occlusion
from keras_resnet.explain.support import check_support
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks import get_task, sole


@dataclass(frozen=True)
class Explanation:
    """Maps of the evidence for an answer.

    Attributes:
        heat: float32 `(N, height, width)`, of the images' size.
        classes: int `(N,)`: class of each image whose evidence it is, or another question of the task.
        outputs: the model's outputs by name, float32, one row per image.
        values: float32 `(N,)`: probability of these classes.
        signed: whether negative values speak against the class.
        errors: relative errors of the sums of integrated gradients, `(N,)`; None for other methods.
    """

    heat: np.ndarray
    classes: np.ndarray
    outputs: Mapping[str, np.ndarray]
    values: np.ndarray
    signed: bool
    errors: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """The first output: for a classifier float32 `(N, classes)`."""
        return sole(self.outputs, "probabilities")


@dataclass(frozen=True)
class _Asked:
    """Arguments of a method; `net` is missing where the method works on any file."""

    runner: Runner
    net: Net
    images: np.ndarray
    prepared: np.ndarray
    classes: np.ndarray
    layer: str | None
    seed: int


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`.

    Attributes:
        apply: function of what was asked; gives maps `(N, h, w)` and relative errors `(N,)`, or None for these.
        what: one line for people.
        signed: whether negative values speak against the class.
        on_layer: whether the method works on a layer's output.
        any_file: whether it works without gradients, so on any file that runs.
    """

    apply: Callable[[_Asked], tuple[np.ndarray, np.ndarray | None]]
    what: str
    signed: bool = False
    on_layer: bool = False
    any_file: bool = False


def _integrated(asked: _Asked):
    black = asked.runner.card.preprocess(np.zeros((1, *asked.images.shape[1:]), np.uint8))[0]
    found, errors = pixels.integrated_gradients(asked.net, asked.prepared, asked.classes, black)
    return found.sum(axis=-1), errors


METHODS: dict[str, Method] = {
    "cam": Method(
        lambda a: (maps.cam(a.net, a.prepared, a.classes, a.layer), None),
        "exact share of every position in the logit; nets that end in pooling and one dense layer",
        signed=True,
        on_layer=True,
    ),
    "grad-cam": Method(
        lambda a: (maps.grad_cam(a.net, a.prepared, a.classes, a.layer), None),
        "feature maps weighted by their mean slope; any net, any layer",
        on_layer=True,
    ),
    "grad-cam++": Method(
        lambda a: (maps.grad_cam_plus_plus(a.net, a.prepared, a.classes, a.layer), None),
        "the same, better for several objects of a class",
        on_layer=True,
    ),
    "hires-cam": Method(
        lambda a: (maps.hires_cam(a.net, a.prepared, a.classes, a.layer), None),
        "feature maps times their slopes, place by place; for one object among others",
        on_layer=True,
    ),
    "integrated-gradients": Method(
        _integrated, "share of every pixel in the logit, against a black image", signed=True
    ),
    "smoothgrad": Method(
        lambda a: (np.abs(pixels.smoothgrad(a.net, a.prepared, a.classes, seed=a.seed)).sum(axis=-1), None),
        "slopes of the logit, averaged over noisy copies",
    ),
    "occlusion": Method(
        lambda a: (occlusion(a.runner, a.images, a.classes), None),
        "by how much the probability falls when a part is covered; .tflite and .onnx files too",
        signed=True,
        any_file=True,
    ),
}


def usual(card: ModelCard) -> str:
    """The method where nobody names one.

    Args:
        card: card of the model.
    """
    return getattr(get_task(card.task).code, "METHOD", "grad-cam")


def explain(
    model: keras.Model | Runner,
    images: np.ndarray,
    *,
    method: str | None = None,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> Explanation:
    """Shows where in images a model finds a class.

    Args:
        model: a Keras image model, or what `open_runner` gives. A bare model gets the pixels as they are, 0..255;
            a runner's card knows how to prepare them.
        images: uint8 `(N, height, width, channels)` of the model's input size.
        method: row of `METHODS`; by default `"hires-cam"` of a detector's objects, else `"grad-cam"`.
        classes: one class for all images, or one for each; by default the likeliest.
        layer: name of a layer, for methods that work on one; by default that of the last feature map.
        seed: seed of SmoothGrad's noise.

    Returns:
        The maps, the classes and the model's probabilities.

    Raises:
        InputError: unknown method or layer, a class out of range, images that do not fit, a file without gradients.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.explain import explain
        >>> model = keras_resnet.build("resnet8", weights="digits")
        >>> images = keras_resnet.load_dataset("digits").test.images[:2]
        >>> explain(model, images, method="grad-cam").heat.shape
        (2, 32, 32)
    """
    runner = model if isinstance(model, Runner) else KerasRunner(model)
    method = method or usual(runner.card)
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    row = METHODS[method]
    if layer is not None and not row.on_layer:
        raise InputError(f"{method} works on the image: leave out layer={layer}")
    from keras_resnet.evaluation import check_fit

    check_support(runner.card)
    task = get_task(runner.card.task)
    if images.ndim != 4:
        raise InputError(f"images of shape {images.shape}: expected (N, height, width, channels)")
    check_fit(runner, images.shape[1:])
    if not row.any_file and not isinstance(runner, KerasRunner):
        able = ", ".join(name for name, each in METHODS.items() if each.any_file)
        raise InputError(f"{method} needs gradients, which this file does not have: use {able}")
    prepared = np.asarray(runner.card.preprocess(images), np.float32)
    net = cast("Net", None if row.any_file else Net(runner, images.shape[1:3]))
    outputs = runner(prepared)
    chosen = task.capable.questions(outputs, classes)
    heat, errors = _applied(row, _Asked(runner, net, images, prepared, chosen, layer, seed), outputs)
    if heat.shape[1:] != images.shape[1:3]:
        resized = keras.ops.image.resize(heat[..., None], images.shape[1:3], data_format="channels_last")
        heat = np.asarray(resized)[..., 0]
    values = task.capable.evidence(outputs, chosen)
    return Explanation(heat.astype(np.float32), chosen, outputs, values, row.signed, errors)


def _applied(row: Method, asked: _Asked, outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """Maps and errors of all images; one by one where an answer has places, which copies of the image must not move."""
    code = get_task(asked.runner.card.task).capable
    if row.any_file or not hasattr(code, "focused"):
        return row.apply(asked)
    maps, errors = [], []
    for place in range(len(asked.images)):
        part = slice(place, place + 1)
        asked.net.scalar = code.focused({name: values[part] for name, values in outputs.items()})
        own = replace(asked, images=asked.images[part], prepared=asked.prepared[part], classes=asked.classes[part])
        heat, error = row.apply(own)
        maps.append(heat)
        errors += [] if error is None else [error]
    return np.concatenate(maps), np.concatenate(errors) if errors else None
