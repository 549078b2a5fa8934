"""Functions of a task's module that explanations of its answers need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from keras_resnet.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.card import ModelCard


class ExplainedCode(Protocol):
    """Questions about an example, each with a number, and the evidence for the answers.

    Wherever the module has it: `METHOD`, the method of explanation where nobody names one, in place of Grad-CAM.
    """

    def questions(self, outputs: Mapping[str, np.ndarray], asked: Any) -> np.ndarray:
        """What is explained of every example: `(n,)`."""

    def questions_named(
        self, outputs: Mapping[str, np.ndarray], name: str | None, limit: int, card: ModelCard
    ) -> list[list[int]]:
        """Questions for every example, best first."""

    def question_name(self, question: int, card: ModelCard) -> str:
        """A question in words."""

    def evidence(self, outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
        """How sure the model is of each question: `(n,)`."""

    def called(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The answer to each example as an integer: `(n,)`."""

    def scalar(self, outputs: Any, questions: Any) -> Any:
        """The value whose slope is taken, differentiable: `(n,)`."""

    def in_one(self, outputs: Mapping[str, Any]) -> Any:
        """What `scalar` takes of a model's outputs, tensors by name, where that is not the first one alone."""

    def finest(self, outputs: Mapping[str, Any]) -> tuple[int, int]:
        """Height and width of the maps that are looked at where nobody names a layer; not every task has such."""

    def asked_boxes(self, outputs: Mapping[str, np.ndarray], chosen: np.ndarray, card: ModelCard) -> np.ndarray:
        """The boxes of questions in pixels of the net's input, x1, y1, x2, y2: `(n, 4)`; of tasks that have such."""

    def focused(self, outputs: Mapping[str, np.ndarray]) -> Callable[[Any, Any], Any]:
        """`scalar` of the places that one example's answer has, for copies of it; not every task has places.

        Args:
            outputs: arrays by output name, one row.
        """


def chosen(asked: Sequence[int] | int, count: int, width: int, noun: str = "class") -> np.ndarray:
    """One question for every example: int `(count,)`.

    Args:
        asked: one for all examples, or one for each.
        count: number of examples.
        width: number of questions that the model can answer.
        noun: what a question is called.

    Raises:
        InputError: no whole numbers, another number of them, or some that the model does not have.
    """
    import numpy as np

    found = np.broadcast_to(np.asarray(asked), (count,)) if np.ndim(asked) == 0 else np.asarray(asked)
    if found.shape != (count,) or not np.issubdtype(found.dtype, np.integer):
        raise InputError(f"classes={asked}: expected one whole number, or one for each of the {count} images")
    if found.min() < 0 or found.max() >= width:
        wrong = found.max() if found.max() >= width else found.min()
        raise InputError(f"{noun} {wrong}: expected 0 to {width - 1}")
    return found
