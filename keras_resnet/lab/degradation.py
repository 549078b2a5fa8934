"""Plain against residual nets of growing depth: He et al. 2015, figure 6 and table 6."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.lab.published import TABLE_6
from keras_resnet.lab.results import Findings, error_charts, error_table
from keras_resnet.lab.setup import Setup, mean_and_deviation, train_all

DEPTHS = (20, 32, 44, 56, 110)
SMALL = (20, 32, 44, 56)
_VISIBLE = 0.02  # of the training error, as a fraction


def names(kind: str, depths: Sequence[int]) -> list[str]:
    """Rows of the table of variants.

    Args:
        kind: `"plain"` or `"resnet"`.
        depths: numbers of layers.
    """
    return [f"{kind}{depth}_cifar" for depth in depths]


def run(setup: Setup) -> Findings:
    """Trains them all with one recipe and compares the training errors of the shallowest and the deepest."""
    depths = sorted(setup.pick_depths(SMALL, DEPTHS, DEPTHS))
    rows = [name for kind in ("plain", "resnet") for name in names(kind, depths)]
    curves = train_all(setup, dict.fromkeys(rows))

    def final(name: str) -> float:
        return mean_and_deviation([each.train[-1] for each in curves[name]])[0]

    growth = {
        kind: final(f"{kind}{depths[-1]}_cifar") - final(f"{kind}{depths[0]}_cifar") for kind in ("plain", "resnet")
    }
    passed = None if len(depths) < 2 else growth["plain"] > _VISIBLE > growth["resnet"]
    summary = (
        f"From {depths[0]} to {depths[-1]} layers the training error of plain nets changes by "
        f"{100 * growth['plain']:+.1f} points, that of residual nets by {100 * growth['resnet']:+.1f}."
    )
    published = TABLE_6 if setup.dataset == "cifar10" else {}
    table = error_table(
        "Errors at the end of the training", [(name, curves[name], published.get(name)) for name in rows]
    )
    charts = [
        chart
        for kind, what in (("plain", "Plain nets"), ("resnet", "Residual nets"))
        for chart in error_charts({name: curves[name] for name in names(kind, depths)}, what)
    ]
    values = {
        name: [{"train": e.train, "validation": e.validation, "test": e.test, "run": str(e.run)} for e in found]
        for name, found in curves.items()
    }
    return Findings(summary, (table,), tuple(charts), {"growth": growth, "curves": values}, passed)
