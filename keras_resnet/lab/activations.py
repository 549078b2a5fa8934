"""Other shortcuts, and other places of norm and ReLU: He et al. 2016, tables 1 and 2."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_resnet.lab import units
from keras_resnet.lab.published import ORDERS_2, SHORTCUTS_1
from keras_resnet.lab.results import Chart, Findings, Table, error_charts, error_table
from keras_resnet.lab.setup import Setup, mean_and_deviation, train_all
from keras_resnet.nets.specs import SPECS

DEPTHS = (20, 32, 44, 56, 110)
_SAME = "identity", "original"  # one net, under its names in the two tables


def run(setup: Setup) -> Findings:
    """Trains every unit at one depth: 20 layers at the small size, the papers' 110 in full."""
    depth = setup.pick_depths((20,), (110,), DEPTHS)[-1]
    base = SPECS[f"resnet{depth}_cifar"]
    kinds = {**units.SHORTCUTS, **units.ORDERS}
    kinds.pop(_SAME[1])

    def key(kind: str) -> str:
        return f"resnet{depth}-{kind.lower().replace(' ', '-').replace('.', '')}"

    nets = {
        key(kind): units.OfUnit(dataclasses.replace(base, name=key(kind), preactivation=unit.preactivation), unit)
        for kind, unit in kinds.items()
    }
    curves = train_all(setup, nets)
    comparable = setup.dataset == "cifar10" and depth == 110
    tables: list[Table] = []
    charts: list[Chart] = []
    values: dict[str, Any] = {}
    for caption, rows in (("Table 1: on the shortcut", SHORTCUTS_1), ("Table 2: order", ORDERS_2)):
        of = {kind: curves[key(_SAME[0] if kind == _SAME[1] else kind)] for kind in rows}
        published = {kind: figure[0] if isinstance(figure, tuple) else figure for kind, figure in rows.items()}
        where = f"{caption}, {depth} layers (the paper: 110)"
        tables.append(error_table(where, [(kind, of[kind], published[kind]) for kind in rows]))
        if not comparable:  # differences between sizes say nothing
            tables[-1] = _without(tables[-1], "difference")
        charts += error_charts(of, caption)
        values |= {kind: [vars(e) | {"run": str(e.run)} for e in found] for kind, found in of.items()}

    def final(kind: str) -> float:
        return mean_and_deviation([each.test for each in curves[key(kind)]])[0]

    best = min(kinds, key=final)
    worst = max(kinds, key=final)
    summary = (
        f"Test error at {depth} layers: {100 * final(_SAME[0]):.1f} % with the identity, lowest with {best} "
        f"({100 * final(best):.1f} %), highest with {worst} ({100 * final(worst):.1f} %). The paper, at 110 layers: "
        "the cleaner the shortcut the better, full pre-activation best."
    )
    return Findings(summary, tuple(tables), tuple(charts), values)


def _without(table, column: str):
    if column not in table.columns:
        return table
    place = table.columns.index(column)
    rows = tuple(row[:place] + row[place + 1 :] for row in table.rows)
    return dataclasses.replace(table, columns=table.columns[:place] + table.columns[place + 1 :], rows=rows)
