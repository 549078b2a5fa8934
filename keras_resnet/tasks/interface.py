"""What a task is: a row of `tasks.table.TASKS`, and a module with the functions of `TaskCode`.

Training, evaluation, runtimes and the export are blind: they move tensors by name and ask these functions what they
mean. None of them sees a file, a device or a command.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from keras_resnet.errors import InputError
from keras_resnet.tasks.explained import ExplainedCode
from keras_resnet.tasks.parts import Limits as Limits
from keras_resnet.tasks.parts import Objectives as Objectives
from keras_resnet.tasks.parts import Output as Output
from keras_resnet.tasks.parts import Score as Score

if TYPE_CHECKING:
    import keras
    import numpy as np
    from matplotlib.figure import Figure

    from keras_resnet.card import ModelCard
    from keras_resnet.data.dataset import Dataset
    from keras_resnet.gallery import Strip
    from keras_resnet.page import Html
    from keras_resnet.tasks.results import Numbers, Prediction, Reporter, Scorer, Summary


@functools.cache  # and what is cached, TensorFlow does not try to trace
def _imported(module: str) -> ModuleType:
    """The module of a row."""
    return importlib.import_module(module)


class TaskCode(Protocol):
    """The functions of a task's module; `CapableCode` has those that come with what the task supports.

    Attributes:
        Settings: frozen dataclass: the section `head` of a recipe, with ranges (`keras_resnet.ranges`).
        Facts: frozen dataclass of JSON types: what `attach` and `decode` need to know; travels on the card, but for
            fields with the metadata `TRAINING`.
        LIMITS: limits by precision, of files that an export makes.
    """

    Settings: type[Any]
    Facts: type[Any]
    LIMITS: Mapping[str, Limits]

    def facts(self, dataset: Dataset, settings: Any) -> Any:
        """The facts of a training set."""

    def attach(self, backbone: keras.Model, facts: Any, settings: Any, *, training: bool) -> keras.Model:
        """A model from the backbone's input to the task's outputs.

        Args:
            backbone: model that gives one feature map.
            facts: facts of the training set.
            settings: head of the recipe.
            training: with what only a training needs, like dropout; without, the model that is saved.
        """

    def outputs(self, facts: Any) -> tuple[Output, ...]:
        """The outputs, the most important one first."""

    def encode(self, truth: Mapping[str, Any], facts: Any, settings: Any) -> Any:
        """Targets of a batch, in tf.data: what the losses compare the model's outputs with."""

    def objectives(self, facts: Any, settings: Any) -> Objectives:
        """Losses, metrics, and what to watch."""

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        card: ModelCard,
        *,
        limit: int = 5,
        names: Sequence[str] | None = None,
    ) -> Sequence[Prediction]:
        """Predictions of a batch, by NumPy alone.

        Args:
            outputs: arrays by output name.
            card: card of the model.
            limit: largest number of answers per example, where there are several.
            names: names of the examples.
        """

    def scorer(self, card: ModelCard) -> Scorer:
        """A new scorer."""

    def agreement(
        self,
        reference: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        card: ModelCard,
        truth: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """How far two models say the same of each example: float64 `(n,)`, 0 to 1.

        Args:
            reference: outputs of one model by name.
            outputs: outputs of the other.
            card: card of the models.
            truth: arrays by kind of truth, for a task where some of an example may not count; an example of which
                nothing counts has no share. None where nothing is known.
        """

    def draw(
        self, pixels: np.ndarray | Sequence[np.ndarray], predictions: Sequence[Prediction], card: ModelCard
    ) -> Figure:
        """A picture of predictions beside what was looked at: examples `(n, ...)`, in tiles of any size."""


class CapableCode(TaskCode, ExplainedCode, Protocol):
    """Functions that not every task has.

    `CAPABILITIES` says which of them what `supports` names needs. Wherever the module has them: `summary` and
    `sections`, figures and pages of its own, which need all outputs in memory; `gives_logits` where `summary` must
    know; `reporter`, which sees the answers chunk by chunk for a page; `adopted`, for models that this package did not
    make; `chance`, below which an export warns; `settled`, where a fact is chosen on validation examples; `backbone`,
    from the variant and the settings to arguments of `build`; `mirrored`, of answers with places;
    `IN_PLACES`, true where answers are places in the whole picture, which `within` makes of those in the net's input;
    `ONE_SIZE`, true where its nets have an input of fixed size, also in training;
    `EVIDENCE`, the format of what `evidence` gives, if that is no probability;
    `learning`, where losses take other outputs than those that are saved;
    `shares`, more shares that an export reports; `counted`, of a task whose score is of something else than examples;
    `remarkable` and `suspects`, examples that a person should look at.
    """

    def adopted(
        self, model: keras.Model, card: ModelCard, *, logits: bool = False, origin: object = "the model"
    ) -> keras.Model:
        """A model from elsewhere with the task's outputs; refuses one that cannot have them."""

    def merge(
        self,
        answers: Sequence[Mapping[str, np.ndarray]],
        weights: Sequence[float] | None = None,
        average: str = "probabilities",
    ) -> dict[str, np.ndarray]:
        """One answer of several, of views of an example or of several models."""

    def mirrored(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answers for mirror images, mirrored back; only a task has it whose outputs have the places of pixels."""

    def check_weights(self, count: int, weights: Sequence[float] | None) -> None:
        """Refuses weights of an ensemble before any work."""

    def shares(
        self, reference: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], card: ModelCard
    ) -> dict[str, np.ndarray]:
        """Shares beside `agreement`, which no gate judges, by what they are called; arguments as there."""

    def counted(self, truth: Mapping[str, np.ndarray]) -> int:
        """Number of what `Score.of` names in the truth of some examples."""

    def learning(self, model: keras.Model, facts: Any) -> keras.Model:
        """The model whose outputs the losses take, of one that has the outputs which are saved; with the same layers.

        Only a task has it whose `attach` makes other outputs for a training.
        """

    def chance(self, shapes: Mapping[str, tuple[int | None, ...]]) -> float:
        """The headline score of guessing, for outputs of these shapes."""

    def gives_logits(self, outputs: Mapping[str, np.ndarray]) -> bool:
        """Whether outputs must be normalised first."""

    def summary(
        self,
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
            outputs: arrays by output name.
            truth: arrays by truth kind.
            labels: class names.
            fitted_on: outputs and truth of validation examples that no model was trained on; None for none.
            logits: whether the outputs must be normalised first.
            cross_fit: why what would be fitted on validation examples is cross-fitted on these ones; empty where it is
                not.
            card: card of the first model.
        """

    def settled(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], facts: Any) -> Any:
        """The facts with what is chosen when the training is over, like thresholds.

        Args:
            outputs: arrays by output name, of validation examples that stayed out of the training.
            truth: their truth by kind.
            facts: facts of the training set.
        """

    def reporter(self, card: ModelCard) -> Reporter:
        """A new reporter, for tasks whose outputs are too large to be kept; `sections` then gets its summary."""

    def strip(self, pixels: np.ndarray, answer: Any, card: ModelCard) -> Strip:
        """An example beside pictures of its answer, for tasks whose answers are such."""

    def painted(self, pixels: np.ndarray, found: Any, card: ModelCard) -> np.ndarray:
        """A picture with its answer drawn over it, uint8 `(h, w, 3)`, for videos."""

    def at_threshold(self, card: ModelCard, threshold: float) -> ModelCard:
        """A card with another score from which there is an answer, for tasks that have one for all classes."""

    def compared(
        self, pixels: np.ndarray, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], card: ModelCard
    ) -> Sequence[np.ndarray]:
        """A picture of each example with its truth and the answer, uint8 `(h, w, 3)`, to look at while a net learns."""

    def sections(self, found: Any) -> Html:
        """HTML sections about a summary."""

    def numbers(self, card: ModelCard, count: int) -> Numbers:
        """What an app must know of the output's numbers, of which there are `count`."""

    def formed(self, model: keras.Model, card: ModelCard, form: str) -> tuple[keras.Model, ModelCard]:
        """What a file of a form computes, and its card.

        Args:
            model: functional, with the task's own outputs.
            card: its card.
            form: one of `Task.forms`.

        Raises:
            InputError: the model cannot have that form.
        """

    def restored(self, outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
        """Outputs of a file after what its caller has to do with them; the card says the form."""

    def as_form(self, outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
        """The model's own outputs as a file with this card gives them, after `restored`; by NumPy alone."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a net answers.

    Attributes:
        name: row's name, on cards and in recipes.
        summary: one line for people.
        truth: row of `data.truth.KINDS`.
        score: the headline figure.
        supports: what exists beyond training, evaluation, prediction and export: some of `CAPABILITIES`.
        forms: names of what a file may give where that is not the model's own outputs (`--form`).
        module: full name of the module with the functions of `TaskCode`; imported on first use, and importing it alone
            must import neither TensorFlow nor NumPy.
    """

    name: str
    summary: str
    truth: str
    score: Score
    module: str
    supports: frozenset[str] = field(default_factory=frozenset)
    forms: tuple[str, ...] = ()

    @property
    def code(self) -> TaskCode:
        """The module."""
        return cast("TaskCode", _imported(self.module))

    @property
    def capable(self) -> CapableCode:
        """The module of a task that supports what its caller needs (`require`)."""
        return cast("CapableCode", self.code)

    def require(self, capability: str) -> None:
        """Refuses what the task does not support.

        Args:
            capability: one of `CAPABILITIES`.

        Raises:
            InputError: the task has no such capability, or its module lacks a function for it.
        """
        if capability not in self.supports:
            able = ", ".join(sorted(self.supports)) or "training, evaluation, prediction and export alone"
            raise InputError(f"task {self.name} does not support {capability}: it supports {able}")
        lacking = [name for name in CAPABILITIES[capability] if not hasattr(self.code, name)]
        if lacking:
            raise InputError(
                f"task {self.name} is said to support {capability}: expected {', '.join(lacking)} in {self.module}"
            )


# What a task may support, and the functions of `CapableCode` that its module needs for it.
CAPABILITIES: dict[str, tuple[str, ...]] = {
    "compress": (),
    "corruptions": (),
    "distillation": (),
    "ensemble": ("merge", "check_weights"),
    "forms": ("formed", "restored", "as_form"),
    "explain": ("questions", "questions_named", "question_name", "evidence", "called", "scalar"),
    "mixing": (),
    "places": ("numbers",),
    "views": ("merge",),
}


def sole(outputs: Mapping[str, np.ndarray], name: str, origin: object = "the model") -> np.ndarray:
    """The output of a name; that of a foreign file with one output, whatever its name.

    Args:
        outputs: arrays by output name.
        name: name that our own files have.
        origin: model, for the message.

    Raises:
        InputError: several outputs, and none of that name.
    """
    if name in outputs:
        return outputs[name]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    raise InputError(f"{origin} has the outputs {', '.join(outputs)}: expected one, or one that is called {name}")
