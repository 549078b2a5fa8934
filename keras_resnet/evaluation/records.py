"""Answers as flat records, for tables: one for each example, or one for each object in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_resnet.tasks.results import Prediction

OBJECTS = "objects"  # key in JSON of answers that are objects, each with class, score and box
SIDES = ("x1", "y1", "x2", "y2")


def flat(prediction: Prediction) -> dict[str, Any]:
    """One prediction as a record of plain values, for tables and CSV files.

    Args:
        prediction: prediction of any task.
    """
    own = prediction.to_json()
    record: dict[str, Any] = {"file": own.pop("image", prediction.image)}
    for name, value in own.items():
        if name == "top" and isinstance(value, list):
            for place, answer in enumerate(value, 1):
                suffix = "" if place == 1 else f"_{place}"
                record |= {f"{key}{suffix}": each for key, each in answer.items()}
        elif isinstance(value, dict):
            record |= {f"{name}:{key}": each for key, each in value.items()}
        elif isinstance(value, list):
            record[name] = "|".join(map(str, value))
        else:
            record[name] = value
    return record


def records(prediction: Prediction) -> list[dict[str, Any]]:
    """The rows of a prediction in a table: one, or one for each object.

    An example without objects has a row too, whose cells are empty but for its name: it was looked at.

    Args:
        prediction: prediction of any task.
    """
    own = prediction.to_json()
    if OBJECTS not in own:
        return [flat(prediction)]
    name = {"file": own.get("image", prediction.image)}
    if not own[OBJECTS]:
        return [{**name, **dict.fromkeys(("class", "score", *SIDES))}]
    return [
        {**name, "class": each["class"], "score": each["score"], **dict(zip(SIDES, each["box"], strict=True))}
        for each in own[OBJECTS]
    ]


def brief(prediction: Prediction) -> tuple[Sequence[str], Sequence[object]]:
    """One line about a prediction, for a table of many: names of its columns, and its cells.

    Args:
        prediction: prediction of any task.
    """
    own = prediction.to_json()
    if OBJECTS in own:
        best = ", ".join(f"{each['class']} {each['score']:.2f}" for each in own[OBJECTS][:3])
        more = len(own[OBJECTS]) - 3
        return ("objects", "best"), (len(own[OBJECTS]), best + (f", {more} more" if more > 0 else "") or None)
    columns, cells = prediction.rows()
    return columns, cells[0] if cells else [None] * len(columns)
