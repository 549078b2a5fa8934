"""Shortcuts A, B and C: He et al. 2015, table 3."""

from __future__ import annotations

import dataclasses

from keras_resnet.lab.results import Chart, Findings, Table, error_charts, error_table
from keras_resnet.lab.setup import Setup, mean_and_deviation, train_all
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS
from keras_resnet.training.nets import FromRecipe

OPTIONS = {
    "plain": "none",
    "A: zero padding": "A",
    "B: projection where the shape changes": "B",
    "C: projection everywhere": "C",
}
DEPTHS = (20, 32, 44, 56, 110)


class OfSpec(FromRecipe):
    """A net that is no row of the table.

    Args:
        spec: spec of the net.
    """

    def __init__(self, spec: ResNetSpec):
        """Keeps the spec."""
        self._spec = spec

    def spec(self, recipe) -> ResNetSpec:
        """The one that was given; see `FromRecipe`."""
        return self._spec


def run(setup: Setup) -> Findings:
    """Trains a plain net and the three options at each depth; the paper did it with 34 layers on ImageNet."""
    from keras_resnet.lab.published import TABLE_3

    depths = setup.pick_depths((20,), (20, 56), DEPTHS)
    nets, rows = {}, []
    for depth in depths:
        base = SPECS[f"resnet{depth}_cifar"]
        for option, shortcut in OPTIONS.items():
            name = f"{depth} layers, {option}"
            key = f"resnet{depth}-shortcut-{shortcut}"
            spec = dataclasses.replace(base, name=key.lower(), shortcut=shortcut)
            nets[key] = OfSpec(spec)
            rows.append((name, key))
    curves = train_all(setup, nets)
    table = error_table(
        "Errors at the end of the training (the paper has no CIFAR-10 figures of B and C)",
        [(name, curves[key], None) for name, key in rows],
    )
    published = Table(
        "Published: 34 layers, ImageNet, ten crops, error in %",
        ("net", "top-1", "top-5"),
        tuple((name, f"{a:.2f}", f"{b:.2f}") for name, (a, b) in zip(("plain", *"ABC"), TABLE_3.values(), strict=True)),
    )

    def final(depth: int, shortcut: str) -> float:
        return mean_and_deviation([e.test for e in curves[f"resnet{depth}-shortcut-{shortcut}"]])[0]

    deepest = depths[-1]
    spread = [final(deepest, option) for option in "ABC"]
    gain = final(deepest, "none") - max(spread)
    apart = 100 * (max(spread) - min(spread))
    summary = (
        f"At {deepest} layers the test errors of the three shortcuts lie within {apart:.1f} points; the plain net is "
        f"{100 * gain:.1f} points above the worst of them. The paper: small differences between A, B and C, so "
        "projections are not essential."
    )
    charts: tuple[Chart, ...] = error_charts({name: curves[key] for name, key in rows}, "Shortcuts")
    values = {name: [vars(e) | {"run": str(e.run)} for e in curves[key]] for name, key in rows}
    return Findings(summary, (table, published), charts, values)
