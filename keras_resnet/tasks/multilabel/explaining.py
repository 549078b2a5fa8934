"""What of an answer is explained: a question is a tag, as it is a class for classification."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnet.errors import InputError
from keras_resnet.tasks.classification.explaining import evidence, question_name, questions, questions_named
from keras_resnet.tasks.classification.head import scalar

__all__ = ["called", "evidence", "question_name", "questions", "questions_named", "scalar"]


def called(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Refuses to name one answer for each example.

    Raises:
        InputError: always.
    """
    del outputs
    raise InputError(
        "an example has several tags: expected a classifier of one class, as --embeddings colours by class"
    )
