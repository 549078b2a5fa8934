"""The gradient of every layer while nets learn: where it vanishes, where it explodes, and what the shortcut does.

Without normalisation and with the initialisation of 2010 the gradients of deep plain nets vanish. Batch normalisation
ends that (He et al. 2015, section 4.1), but the first layers' gradients of a plain net then grow with every layer (Yang
et al. 2019, A Mean Field Theory of Batch Normalization, arXiv:1902.08129). With shortcuts they hardly do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import files, pictures
from keras_resnet.data import Dataset, batches, load_dataset, sampled
from keras_resnet.lab.results import Chart, Findings, Table
from keras_resnet.lab.setup import RUNS, Setup, train_one
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.training.nets import FromRecipe, Nets
from keras_resnet.training.recipes import Recipe

DEPTHS = (20, 32, 44, 56, 110)
_PROBE = 128  # images whose gradient is looked at, the same ones all the time
_LOOKS = 12  # over a training, beside the one before it
_FILE = "gradients.json"
_EPOCHS = 3  # of the small size on CIFAR-10
_NOTHING = 1e-30  # smallest norm on a logarithmic axis


def _residual(depth: int) -> ResNetSpec:
    return SPECS[f"resnet{depth}_cifar"]


def _plain(depth: int) -> ResNetSpec:
    return SPECS[f"plain{depth}_cifar"]


def _without_norm(depth: int) -> ResNetSpec:
    # The convention "keras" has the initialisation of Glorot and Bengio 2010; its norms are frozen at the identity.
    return dataclasses.replace(_plain(depth), name=f"plain{depth}_cifar_2010", convention="keras")


FAMILIES: dict[str, tuple[Callable[[int], ResNetSpec], bool]] = {  # name: the net, and whether its norms are frozen
    "residual": (_residual, False),
    "plain": (_plain, False),
    "plain without normalisation": (_without_norm, True),
}


def norms(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Euclidean norm of the loss's gradient with respect to every convolution's kernel, first layer first.

    Args:
        model: ends in probabilities; is left as it is.
        images: preprocessed `(N, height, width, channels)`.
        labels: int `(N,)`.

    Returns:
        Name of the convolution: the norm. Projections are left out.
    """
    layers = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and not layer.name.endswith("_0_conv")
    ]
    kernels = [layer.kernel.value for layer in layers]
    moving = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        answers = tf.cast(model(images, training=True), tf.float32)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, answers))
    slopes = tape.gradient(loss, kernels)
    for variable, value in moving:  # the look must not change the statistics
        variable.assign(value)
    return {layer.name: float(tf.norm(tf.cast(g, tf.float32))) for layer, g in zip(layers, slopes, strict=True)}


class Watch(keras.callbacks.Callback):
    """Takes the norms before the training and at evenly spaced steps; a file keeps them over interruptions.

    Args:
        path: file that keeps the norms.
        probe: images `(n, H, W, C)` and labels `(n,)` that the norms are taken on.
        steps: steps at which to look, counted from the beginning of the training.
        done: number of steps that a resumed run has behind it.
    """

    def __init__(self, path: Path, probe: tuple[np.ndarray, np.ndarray], steps: Sequence[int], done: int):
        """Keeps them."""
        super().__init__()
        self._path, self._probe, self._steps, self._done = path, probe, set(steps), done

    def on_train_begin(self, logs=None) -> None:
        """Looks before the first step."""
        if self._done == 0:
            self._look()

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        """Looks where it is time to."""
        self._done += 1
        if self._done in self._steps:
            self._look()

    def _look(self) -> None:
        found = read(self._path)
        found[str(self._done)] = norms(self.model, *self._probe)
        with files.writing(self._path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(found), encoding="utf-8")


def read(path: Path) -> dict[str, dict[str, float]]:
    """Reads the norms by step and layer; empty if there are none.

    Args:
        path: file that keeps the norms.
    """
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


class Watched(FromRecipe):
    """A net whose gradients are watched while `train` trains it.

    Args:
        spec: spec of the net.
        frozen: whether its norms stay at the identity.
        path: file that keeps the norms.
    """

    def __init__(self, spec: ResNetSpec, frozen: bool, path: Path):
        """Keeps them."""
        self._spec, self._frozen, self._path = spec, frozen, path
        self._probe: tuple[np.ndarray, np.ndarray]

    def spec(self, recipe: Recipe) -> ResNetSpec:
        """The one that was given; see `FromRecipe`."""
        return self._spec

    def make(self, recipe: Recipe, dataset: Dataset, policy: str, devices) -> Nets:
        """Builds both models, and keeps images to look at; see `FromRecipe`."""
        split = sampled(dataset.train, _PROBE)
        pixels = np.concatenate([batch[split.key].numpy() for batch in batches(split, _PROBE)])
        self._probe = np.asarray(PREPROCESS[recipe.preprocess](pixels)), split.truth["label"]
        return super().make(dataclasses.replace(recipe, freeze_bn=self._frozen), dataset, policy, devices)

    def callbacks(self, nets: Nets, recipe: Recipe, steps: int, done: int):
        """The watch; see `FromRecipe`."""
        total = steps * recipe.epochs
        looks = {max(1, round(total * (i / _LOOKS) ** 2)) for i in range(1, _LOOKS + 1)}  # closer at the beginning
        return (Watch(self._path, self._probe, sorted(looks), done),)


def run(setup: Setup) -> Findings:
    """Trains the three families at each depth, shortly at the small size."""
    depths = setup.pick_depths((20, 56, 110), (20, 56, 110), DEPTHS)
    setup = setup if setup.full else dataclasses.replace(setup, settings=(*_short(setup), *setup.settings))
    load_dataset(setup.recipe().dataset, setup.data_dir)  # refused before anything is made
    looks: dict[str, list[dict]] = {}
    errors: dict[str, list[float]] = {}
    jobs = [(f, depth, seed) for seed in setup.seeds for f in FAMILIES for depth in depths]
    for number, (family, depth, seed) in enumerate(jobs, 1):
        spec, frozen = FAMILIES[family][0](depth), FAMILIES[family][1]
        folder = setup.out / RUNS / f"{setup.size}-gradients" / f"{spec.name}-seed{seed}"
        file = folder.parent / f"{folder.name}-{_FILE}"
        if setup.verbose:
            print(f"{number}/{len(jobs)} {family}, {depth} layers, seed {seed}: {folder}", flush=True)
        curves = train_one(setup, spec.name, Watched(spec, frozen, file), seed, folder)
        looks.setdefault(f"{family}, {depth}", []).append(read(file))
        errors.setdefault(f"{family}, {depth}", []).append(curves.train[-1])
    return _findings(looks, errors, max(depths))


def _short(setup: Setup) -> tuple[str, ...]:
    """The small size's recipe, a third as long."""
    return (f"epochs={_EPOCHS}", "warmup_epochs=1") if setup.dataset == "cifar10" else ()


def _profile(looks: list[dict], step: str) -> np.ndarray:
    """Norms by layer, geometric mean over the seeds."""
    return np.exp(np.mean([np.log(np.maximum(list(look[step].values()), _NOTHING)) for look in looks], axis=0))


def _findings(looks: dict[str, list[dict]], errors: dict[str, list[float]], deepest: int) -> Findings:
    from keras_resnet.lab.setup import percent

    begin = {name: _profile(found, min(found[0], key=int)) for name, found in looks.items()}
    end = {name: _profile(found, max(found[0], key=int)) for name, found in looks.items()}
    rows = []
    for name in looks:
        figures = [f(v) for v in (begin[name], end[name]) for f in (_second, _last, np.median)]
        rows.append((name, *(f"{value:.2g}" for value in figures), percent(errors[name])))
    columns = (
        *("net, layers", "second layer before training", "last layer", "median of all"),
        *("second layer at the end", "last layer", "median of all", "training error %"),
    )
    table = Table("Norm of the gradient of a kernel", columns, tuple(rows))
    charts = [_over_depth(begin), *(_over_training(looks[f"{f}, {deepest}"], f, deepest) for f in FAMILIES)]
    none, plain, residual = (begin[f"{family}, {deepest}"] for family in reversed(FAMILIES))
    exploding, held = (_second(v) / max(_last(v), _NOTHING) for v in (plain, residual))
    summary = (
        f"Before training, at {deepest} layers: without normalisation the gradients vanish (median "
        f"{np.median(none):.1g}, with it {np.median(residual):.1g}); with it, the second layer's is {exploding:,.0f} "
        f"times the last one's in the plain net and {held:,.0f} times in the residual net."
    )
    passed = bool(np.median(none) < 0.01 * np.median(residual) and exploding > 2 * held)
    return Findings(summary, (table,), tuple(charts), dict(looks), passed)


def _second(profile: np.ndarray) -> float:
    """Norm of the first block's first layer; the stem's kernel is of another kind."""
    return float(profile[1])


def _last(profile: np.ndarray) -> float:
    return float(profile[-1])


def _over_depth(begin: dict[str, np.ndarray]) -> Chart:
    lines = {name: (np.linspace(0, 1, len(values)), values) for name, values in begin.items()}
    made = pictures.lines("Before training", lines, "depth (0: input, 1: output)", "norm of the gradient", log=True)
    places = np.linspace(0, 1, 9)
    rows = tuple((name, *(f"{v[round(p * (len(v) - 1))]:.2g}" for p in places)) for name, v in begin.items())
    header = ("net, layers", *(f"{p:.0%} of the depth" for p in places))
    text = "Norm of each layer's gradient before training, over the depth of the nets"
    return Chart(made, text, Table("Before training", header, rows))


def _over_training(found: list[dict], family: str, depth: int) -> Chart:
    steps = sorted(found[0], key=int)
    shown = [steps[i] for i in sorted({0, 1, len(steps) // 2, len(steps) - 1})]
    profiles = {f"step {step}": _profile(found, step) for step in shown}
    lines = {name: (np.arange(1, len(values) + 1), values) for name, values in profiles.items()}
    made = pictures.lines(f"{family}, {depth} layers", lines, "layer", "norm of the gradient", log=True)
    places = np.linspace(0, 1, 9)
    rows = tuple((name, *(f"{v[round(p * (len(v) - 1))]:.2g}" for p in places)) for name, v in profiles.items())
    header = ("step", *(f"{p:.0%} of the depth" for p in places))
    text = f"Norm of each layer's gradient of the {family} net at some steps of its training"
    return Chart(made, text, Table(f"{family}, {depth} layers", header, rows))
