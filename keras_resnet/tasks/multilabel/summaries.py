"""Everything that answers say about a multi-label classifier: intervals, tags, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.tasks.classification.predictions import label
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.multilabel import thresholds
from keras_resnet.tasks.multilabel.scores import Scores, areas, average_precisions, f1, mean_average_precision, score
from keras_resnet.tasks.multilabel.settings import OUTPUT, TRUTH
from keras_resnet.tasks.results import Table, bootstrapped


@dataclass(frozen=True)
class TagFigures:
    """Figures of one tag.

    Attributes:
        name: name of the tag.
        count: number of examples that have it.
        average_precision: area below its precision-recall curve; None where no example has it.
        auc: area below its ROC curve; None where all examples have it, or none has.
        f1: F1 at the threshold; None where it neither is there nor is called.
        precision: share of the examples called so that have it; None where none is called so.
        recall: share of the examples with it that are called so; None where none has it.
        threshold: probability from which on an example is called so.
    """

    name: str
    count: int
    average_precision: float | None
    auc: float | None
    f1: float | None
    precision: float | None
    recall: float | None
    threshold: float


@dataclass(frozen=True)
class Summary:
    """What a test split says about a multi-label classifier.

    Attributes:
        scores: figures of all examples.
        interval: 95 % interval of mAP, over 1,000 samples of the examples.
        frequency_map: mAP of answers that are the same for all examples: the mean share of the tags.
        tags: figures of every tag.
        chosen: whether the model's card has thresholds; else they are one half.
        logits: whether the outputs were no probabilities and went through a sigmoid.
    """

    scores: Scores
    interval: tuple[float, float]
    frequency_map: float
    tags: tuple[TagFigures, ...]
    chosen: bool
    logits: bool = False

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; `scores` at the top."""
        return {
            **self.scores.to_json(),
            "map_interval": list(self.interval),
            "map_of_frequencies": self.frequency_map,
            "tags": [vars(each) for each in self.tags],
            "thresholds_chosen": self.chosen,
            "outputs_are_logits": self.logits,
        }

    def figures(self) -> dict[str, str]:
        """The main figures by name, for one row of a table."""
        first, *rest = self.scores.figures().items()
        interval = f"{self.interval[0]:.2%} .. {self.interval[1]:.2%}"
        return dict([first, ("95 % interval", interval), *rest])

    def tables(self) -> Iterator[Table]:
        """The tags; people of many tags ask for it."""
        columns = ("tag", "images", "AP", "AUC", "F1", "precision", "recall", "threshold")
        yield Table("Tags", columns, tuple(map(_row, self.tags)), detail=len(self.tags) > 20)

    def notes(self) -> Iterator[str]:
        """Sentences below the tables."""
        yield f"always the same answer for every image: mAP {self.frequency_map:.2%}"
        if not self.chosen:
            yield "F1 is that of thresholds of one half: the model's card has none, chosen on validation images"

    def warnings(self) -> Iterator[str]:
        """Sentences at the very end."""
        if self.logits:
            yield "note: the outputs are no probabilities; they went through a sigmoid"


def _row(each: TagFigures) -> tuple[object, ...]:
    shares = (each.f1, each.precision, each.recall, each.threshold)
    return (
        each.name,
        each.count,
        None if each.average_precision is None else f"{each.average_precision:.2%}",
        None if each.auc is None else f"{each.auc:.4f}",
        *(None if share is None else f"{share:.2%}" for share in shares),
    )


def summary(
    outputs: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    *,
    labels: Sequence[str] = (),
    fitted_on: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None,
    logits: bool = False,
    cross_fit: str = "",
    card: ModelCard | None = None,
) -> Summary:
    """Judges answers.

    Args:
        outputs: `probabilities` `(N, classes)`.
        truth: `tags`, `(N, classes)`.
        labels: names of the tags.
        fitted_on: not used: thresholds are the card's.
        logits: whether the model gave logits.
        cross_fit: not used.
        card: card of the model, which has the thresholds.
    """
    del fitted_on, cross_fit
    probabilities, tags = sole(outputs, OUTPUT), truth[TRUTH]
    card = card or ModelCard()
    limits = thresholds.of(card, probabilities.shape[1])
    scores = score(probabilities, tags, limits)
    precisions, area = average_precisions(probabilities, tags), areas(probabilities, tags)
    each_f1, precision, recall = _shares(probabilities >= limits, tags)
    return Summary(
        scores=scores,
        interval=bootstrapped(lambda rows: mean_average_precision(probabilities[rows], tags[rows]), len(tags)),
        frequency_map=float(tags.mean(axis=0)[tags.any(axis=0)].mean()) if tags.any() else 0.0,
        tags=tuple(
            TagFigures(
                name=label(labels, i),
                count=int(tags[:, i].sum()),
                average_precision=_known(precisions[i]),
                auc=_known(area[i]),
                f1=_known(each_f1[i]),
                precision=_known(precision[i]),
                recall=_known(recall[i]),
                threshold=float(limits[i]),
            )
            for i in range(tags.shape[1])
        ),
        chosen=bool(card.facts.get("thresholds")),
        logits=logits,
    )


def _shares(called: np.ndarray, tags: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F1, precision and recall of every tag; nan where they are not defined."""
    right = (called & (tags > 0)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return f1(called, tags), right / called.sum(axis=0), right / (tags > 0).sum(axis=0)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
