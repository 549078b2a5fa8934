"""What an app must know of a detector's file beside its tensors."""

from __future__ import annotations

from keras_resnet import pictures
from keras_resnet.card import ModelCard
from keras_resnet.tasks.detection.settings import Facts
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.results import Numbers


def names_of(card: ModelCard) -> tuple[str, ...]:
    """Names of the classes.

    Args:
        card: card of a detector.
    """
    return tuple(card.labels or card.facts.get("names", ()))


def numbers(card: ModelCard, count: int) -> Numbers:
    """What makes answers of boxes: thresholds and suppression; names and colours of the classes.

    Args:
        card: card of the file.
        count: number of classes, where the card does not name them.
    """
    facts: Facts = facts_of(card)
    names = names_of(card) or tuple(map(str, range(count)))
    own = {name: getattr(facts, name) for name in ("form", "threshold", "floor", "overlap", "candidates", "most")}
    return Numbers("boxes", "classes", names, {**own, "colours": pictures.hues(len(names)).tolist()})
