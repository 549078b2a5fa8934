"""An image beside its mask, for pages: the image, the mask over it, the mask alone, and what its colours mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.gallery import Strip, image_tag, mark
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.segmentation.answers import Mask, counted, overlaid, palette
from keras_resnet.tasks.segmentation.scores import class_names, classes_of, names_of
from keras_resnet.tasks.segmentation.settings import OUTPUT, TRUTH

SIDE = 480  # pixels of a picture's longer side, at most
_GAP = 4  # white pixels between pictures that are one
_LEAST = 0.0005  # of a share that is not rounded to nothing


def strip(pixels: np.ndarray, answer: Mask, card: ModelCard) -> Strip:
    """Pictures of one answer with a legend: every class that is there, with its share of the pixels.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`, what the net saw.
        answer: its mask.
        card: card with names and colours of the classes.
    """
    step = -(-max(answer.classes.shape) // SIDE)  # before colours are laid over it: pictures in tiles are large
    part = (slice(step // 2, None, step),) * 2
    small, seen = answer.classes[part], pixels[part]
    pixels_of = counted(answer.classes)
    count = len(pixels_of)
    painted = palette(card, count)
    shown = {
        "image": image_tag(seen, answer.image, side=SIDE),
        "overlay": image_tag(overlaid(seen, small, painted[:count]), f"mask over {answer.image}", side=SIDE),
        "mask": image_tag(painted[small], f"mask of {answer.image}", side=SIDE, exact=True),
    }
    names = class_names(names_of(card), count)
    there = [int(n) for n in np.argsort(-pixels_of, kind="stable") if pixels_of[n]]
    shares = pixels_of / pixels_of.sum()
    words = [f"{shares[n]:.1%}" if shares[n] >= _LEAST else "below 0.1%" for n in there]
    legend = tuple((mark(tuple(map(int, painted[n]))), names[n], said) for n, said in zip(there, words, strict=True))
    return Strip(shown, answer.image, legend=legend)


def compared(
    pixels: np.ndarray, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], card: ModelCard
) -> list[np.ndarray]:
    """Images, their truth and the answers, side by side in one picture each, uint8 `(h, w, 3)`; void is black.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`.
        outputs: `logits` `(n, H, W, classes)`.
        truth: `mask`, uint8 `(n, H, W)`.
        card: card with the colours of the classes.
    """
    scores = np.asarray(sole(outputs, OUTPUT))
    painted = palette(card, scores.shape[-1])
    step = -(-max(scores.shape[1:3]) // SIDE)
    found = []
    for image, mask, answer in zip(pixels, truth[TRUTH], classes_of(scores), strict=True):
        parts = [np.broadcast_to(image, (*image.shape[:2], 3)), painted[mask], painted[answer.astype(np.uint8)]]
        small = [part[step // 2 :: step, step // 2 :: step] for part in parts]
        gap = np.full((len(small[0]), _GAP, 3), 255, np.uint8)
        found.append(np.concatenate([small[0], gap, small[1], gap, small[2]], axis=1))
    return found
