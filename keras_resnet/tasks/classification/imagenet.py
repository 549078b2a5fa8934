"""ImageNet's classes by name, as keras.applications gives them."""

from __future__ import annotations

import numpy as np

from keras_resnet.errors import InputError


def decode_predictions(preds, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The likeliest ImageNet classes, as keras.applications does.

    Args:
        preds: `(N, 1000)` probabilities or logits.
        top: number of classes per image.

    Returns:
        For every image `(WordNet id, label, score)`, best first.

    Raises:
        InputError: another shape, or the class index (fetched once, its hash checked) cannot be had.
    """
    from keras.applications import imagenet_utils

    if getattr(preds, "ndim", 0) != 2 or preds.shape[1] != 1000:
        raise InputError(
            f"decode_predictions: expected (N, 1000) ImageNet scores, received shape {getattr(preds, 'shape', None)}; "
            "other models have their labels in their card"
        )
    try:
        return imagenet_utils.decode_predictions(np.asarray(preds), top=top)
    except Exception as error:  # get_file raises bare Exception for an unreachable host
        raise InputError(
            f"the ImageNet class index cannot be downloaded ({error}); put imagenet_class_index.json into "
            "~/.keras/models"
        ) from error
