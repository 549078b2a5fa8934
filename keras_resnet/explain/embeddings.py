"""The features before the classifier, projected to the plane: how a net groups images."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.explain.drawing import save
from keras_resnet.explain.net import Net
from keras_resnet.page import Html, render, table
from keras_resnet.runtime.interface import Runner

_BATCH = 64
PROJECTIONS = ("pca", "tsne")
_LEAST = 10  # images
_SYMBOLS = "osD^v<>P*X"


def pooled_features(runner: Runner, images: np.ndarray, layer: str | None = None) -> tuple[str, np.ndarray]:
    """Computes the features that the classifier sees.

    Args:
        runner: runner of a Keras model.
        images: uint8 `(N, height, width, channels)`.
        layer: whose output to take; by default the last one with one value per channel before the classifier. Maps are
            averaged over their positions.

    Returns:
        Name of the layer and float32 `(N, channels)`.

    Raises:
        InputError: no such layer, or a file without layers.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.runtime.keras import KerasRunner
        >>> runner = KerasRunner(keras_resnet.build("resnet8", weights="digits"))
        >>> pooled_features(runner, keras_resnet.load_dataset("digits").test.images[:10])[1].shape
        (10, 64)
    """
    net = Net(runner, images.shape[1:3])
    if layer is None:
        vectors = [step for step in net.steps[:-1] if len(step.shape) == 1]
        step = vectors[-1] if vectors else net.map_step()
    else:
        step = net.step(layer)
    parts = []
    for start in range(0, len(images), _BATCH):
        prepared = runner.card.preprocess(images[start : start + _BATCH])
        values = np.asarray(net.logits(prepared, layer=step.name)[1], np.float32)
        parts.append(values.mean(axis=tuple(range(1, values.ndim - 1))) if values.ndim > 2 else values)
    return step.name, np.concatenate(parts)


def project(features: np.ndarray, how: str, seed: int = 0) -> np.ndarray:
    """Two coordinates per image: float64 `(N, 2)`.

    Args:
        features: float `(N, channels)`.
        how: method, one of `PROJECTIONS`.
        seed: seed of t-SNE.

    Raises:
        InputError: unknown projection, or too few images.
    """
    if how not in PROJECTIONS:
        raise unknown_name("projection", how, PROJECTIONS)
    if len(features) < _LEAST:
        raise InputError(f"{len(features)} images: expected at least {_LEAST} for a projection")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if how == "pca":
        return PCA(2, random_state=seed).fit_transform(features)
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, init="pca", perplexity=perplexity, random_state=seed).fit_transform(features)


def neighbours_agree(features: np.ndarray, labels: np.ndarray, count: int = 5) -> float:
    """Share of the nearest neighbours (Euclidean, in all dimensions) that have an image's own class.

    Args:
        features: float `(N, channels)`.
        labels: int `(N,)`.
        count: neighbours of each image.
    """
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=count).fit(features).kneighbors()[1]
    return float((labels[near] == labels[:, None]).mean())


def write_html(
    path: Path,
    title: str,
    command: str,
    places: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    called: np.ndarray,
    names: Sequence[str],
    *,
    overwrite: bool = False,
) -> None:
    """Writes the scatter; a point tells its number, class and answer when the pointer rests on it.

    Args:
        path: file of the page.
        title: title of the page.
        command: command line that made the page.
        places: positions in the plane, float `(N, 2)`.
        features: `(N, channels)` that they were projected from.
        labels: int `(N,)`, the truth.
        called: int `(N,)`, the model's answers.
        names: class names.
        overwrite: replace an existing file.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    agree = neighbours_agree(features, labels)
    rows = []
    for index, name in enumerate(names):
        own = labels == index
        if own.any():
            x, y = places[own].mean(axis=0)
            rows.append((name, int(own.sum()), f"{(called[own] == index).mean():.1%}", f"{x:.2f}", f"{y:.2f}"))
    text = render(
        "keras_resnet/picture.html",
        title=title,
        words=f"Of an image's five nearest neighbours, {agree:.1%} have its class. Points with a black edge are "
        "answered wrongly. Rest the pointer on a point to read it.",
        picture=_scatter(places, labels, called, names),
        classes=table("Classes", ("class", "images", "top-1", "centre, first axis", "second axis"), rows),
        command=command,
    )
    save(path, text.encode(), overwrite)


def _scatter(places: np.ndarray, labels: np.ndarray, called: np.ndarray, names: Sequence[str]) -> Html:
    """SVG by matplotlib, every point a group with a title of its own."""
    made = pictures.figure(9, 6.5)
    axes, tips = made.subplots(), {}
    for index, name in enumerate(names):
        own = np.flatnonzero(labels == index)
        if not len(own):
            continue
        colour, symbol = pictures.COLOURS[index % len(pictures.COLOURS)], _SYMBOLS[index % len(_SYMBOLS)]
        style: dict[str, Any] = {"color": colour, "marker": symbol}
        axes.scatter([], [], label=name, s=22, **style)
        for place in own:
            wrong = called[place] != index
            edge: dict[str, Any] = {"edgecolors": "black", "linewidths": 1.1} if wrong else {"linewidths": 0}
            point = axes.scatter(places[place, 0], places[place, 1], s=22, alpha=0.85, **style, **edge)
            point.set_gid(f"point-{place}")
            answer = names[called[place]] if called[place] < len(names) else f"class {called[place]}"
            tips[f"point-{place}"] = f"image {place}: {name}" + (f", called {answer}" if wrong else "")
    axes.set(xticks=[], yticks=[])
    made.legend(loc="outside right upper", frameon=False)
    code: str = pictures.svg(
        made, f"Scatter of {len(labels)} images by class; the table below has the classes' centres."
    )
    for gid, tip in tips.items():
        code = code.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{html.escape(tip)}</title>', 1)
    return Html(code)
