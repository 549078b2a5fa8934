"""The table of experiments, and how one is run."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass

from keras_resnet.errors import unknown_name
from keras_resnet.lab.setup import Setup


@dataclass(frozen=True)
class Experiment:
    """A row; the module of its name has `run(setup) -> Findings`.

    Attributes:
        title: title of the page.
        question: question that is asked, and its publication.
        minutes: about how many minutes the small size takes on CIFAR-10, on two Zen 4 cores.
    """

    title: str
    question: str
    minutes: str


EXPERIMENTS: dict[str, Experiment] = {
    "degradation": Experiment(
        "Degradation: plain and residual nets of growing depth",
        "Does a net learn its training images better when it gets deeper? Plain nets learn them worse, which is no "
        "overfitting; residual nets do not (He et al. 2015, figure 6 and table 6, arXiv:1512.03385). "
        "Where the paper plots the test error over the epochs, these curves show validation images: test images are "
        "used once, for the table.",
        "20",
    ),
    "gradients": Experiment(
        "Gradients: what reaches the first layers",
        "How large is the gradient of every layer while a net learns? Without normalisation it vanishes; with batch "
        "normalisation (He et al. 2015, section 4.1) it does not, but grows towards the first layers of plain nets "
        "(Yang et al. 2019, arXiv:1902.08129); shortcuts hold it.",
        "10",
    ),
    "responses": Experiment(
        "Responses: how much each layer changes",
        "How strong are the responses of the layers, after the norm and before ReLU and addition? Residual nets have "
        "smaller ones, and deeper nets smaller ones still (He et al. 2015, figure 7).",
        "1 after degradation",
    ),
    "shortcuts": Experiment(
        "Shortcuts: zero padding or projection",
        "Does it matter how the shortcut changes its shape? Little: B is slightly better than A, C than B (He et al. "
        "2015, table 3).",
        "6",
    ),
    "activations": Experiment(
        "Units: what stands on the shortcut, and in which order",
        "What happens when the shortcut is scaled, gated, convolved or dropped, and when norm and ReLU change places? "
        "(He et al. 2016, tables 1 and 2, arXiv:1603.05027).",
        "15",
    ),
    "depth": Experiment(
        "Depth: up to 1,202 layers",
        "Do the deepest nets of the papers run forward and backward at full size on this machine? (He et al. 2015, "
        "section 4.2; He et al. 2016, table 3).",
        "3",
    ),
}


def run(name: str, setup: Setup):
    """Runs one experiment and writes `results.json` and `index.html` into `setup.out/NAME-SIZE`.

    Args:
        name: row of `EXPERIMENTS`.
        setup: size, data, seeds and folders.

    Returns:
        The findings, the page's path and the seconds that it took.

    Raises:
        InputError: no such experiment, or see `Setup` and `train`.
        KeyboardInterrupt: stopped; the same call goes on.

    Example:
        >>> from pathlib import Path
        >>> from keras_resnet.lab import Setup, run
        >>> run("degradation", Setup(Path("lab"), dataset="digits"))  # doctest: +SKIP
    """
    from keras_resnet.lab import results

    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    row, begin = EXPERIMENTS[name], time.perf_counter()
    findings = importlib.import_module(f"keras_resnet.lab.{name}").run(setup)
    seconds = time.perf_counter() - begin
    return findings, results.write(name, row.title, row.question, findings, setup, seconds), seconds
