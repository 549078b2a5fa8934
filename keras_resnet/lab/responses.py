"""Responses: how strong every layer's output is. He et al. 2015, figure 7."""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet import pictures
from keras_resnet.data import batches, load_dataset, sampled
from keras_resnet.lab.degradation import DEPTHS, names
from keras_resnet.lab.results import Chart, Findings, Table
from keras_resnet.lab.setup import Setup, train_all
from keras_resnet.saving import load_model, load_named

_IMAGES = 512
_SHOWN = 12
_SHIPPED = "resnet20_cifar, shipped weights"


def deviations(model: keras.Model, images: np.ndarray) -> dict[str, float]:
    """Standard deviation of what every 3x3 convolution gives after its norm, before ReLU and addition.

    Args:
        model: a net of this package whose norms follow its convolutions.
        images: preprocessed `(N, height, width, channels)`.

    Returns:
        Name of the norm: the deviation over images, positions and channels. The last residual of a block is
        included; projections and the stem are not, as in the paper.
    """
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.name.startswith("conv")
        and layer.name.endswith(("_1_bn", "_2_bn", "_3_bn"))
    ]
    looked_at = keras.Model(model.input, [layer.output for layer in norms])
    outputs = looked_at.predict(images, batch_size=64, verbose=0)
    return {layer.name: float(np.std(values)) for layer, values in zip(norms, outputs, strict=True)}


def run(setup: Setup) -> Findings:
    """Takes the nets of `degradation`, which are trained if they are not there."""
    depths = setup.pick_depths((20, 56), (20, 56, 110), DEPTHS)
    rows = [name for kind in ("plain", "resnet") for name in names(kind, depths)]
    curves = train_all(setup, dict.fromkeys(rows))
    recipe = setup.recipe()
    split = sampled(load_dataset(recipe.dataset, setup.data_dir).train, _IMAGES)
    pixels = np.concatenate([batch[split.key].numpy() for batch in batches(split, 256)])
    found: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    for name in rows:
        for each in curves[name]:
            model, card = load_model(each.run / "model.keras")
            found[name].append(deviations(model, card.preprocess(pixels)))
            keras.backend.clear_session()
    if recipe.dataset == "cifar10":  # trained eighty epochs, which the small size's nets are not
        model, card = load_named("resnet20_cifar", "cifar10")
        found[_SHIPPED] = [deviations(model, card.preprocess(pixels))]
    means = {name: np.mean([list(each.values()) for each in found[name]], axis=0) for name in found}
    table = Table(
        f"Standard deviation of the layers' responses, {len(pixels)} training images",
        ("net", "layers", "mean", "median", "smallest", "largest"),
        tuple(
            (n, len(v), *(f"{figure:.3f}" for figure in (v.mean(), np.median(v), v.min(), v.max())))
            for n, v in means.items()
        ),
    )
    plain, residual = (np.mean([means[name].mean() for name in names(kind, depths)]) for kind in ("plain", "resnet"))
    shallow, deep = (means[f"resnet{depth}_cifar"].mean() for depth in (min(depths), max(depths)))
    summary = (
        f"Responses of residual nets are {residual / plain:.2f} times as strong as those of plain nets"
        f" ({residual:.3f} and {plain:.3f}); from {min(depths)} to {max(depths)} layers they go from {shallow:.3f} to "
        f"{deep:.3f}."
    )
    if _SHIPPED in means:
        summary += f" In ResNet-20 with the shipped weights, trained to the end, they are {means[_SHIPPED].mean():.3f}."
    # Scales begin at 1, and in the paper's recipe weight decay shrinks them slowly: a short training cannot show that.
    passed = bool(residual < plain and deep < shallow) if setup.full else None
    return Findings(summary, (table,), _charts(means), dict(found), passed)


def _charts(means: dict[str, np.ndarray]) -> tuple[Chart, ...]:
    charts = []
    for what, order in (("in the net's order", lambda v: v), ("by magnitude", lambda v: np.sort(v)[::-1])):
        lines = {name: (np.arange(1, len(v) + 1), order(v)) for name, v in means.items()}
        made = pictures.lines(f"Responses {what}", lines, "layer", "standard deviation")
        shown = {n: np.linspace(0, len(v) - 1, min(_SHOWN, len(v))).round().astype(int) for n, (_, v) in lines.items()}
        rows = tuple((n, *(f"{lines[n][1][i]:.3f}" for i in shown[n])) for n in lines)
        columns = ("net", *(f"{round(100 * i / (_SHOWN - 1))} % of the depth" for i in range(_SHOWN)))
        text = f"standard deviations of the responses of {', '.join(lines)}, {what}"
        charts.append(Chart(made, text, Table(f"Responses {what}", columns, rows)))
    return tuple(charts)
