"""Checks of places that draw masks: another way to run the file, beside our own runner, a few images at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from export.targets.bundle import AGREEMENT, Bundle, Check
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.image import resize
from keras_resnet.tasks import get_task
from keras_resnet.tasks.segmentation import answers

MOST = 100  # images that are compared
_BYTES = 200_000_000  # of outputs in memory, of one runner
CLOSE = 0.02  # of probabilities: five steps of 8 bits

Said = Callable[[np.ndarray], np.ndarray]  # from uint8 images to the classes of their pixels


def compared(bundle: Bundle, name: str, other: Runner, count: int) -> tuple[Check, Check]:
    """Whether another engine gives our own runner's classes, and its probabilities.

    Args:
        bundle: folder with the file.
        name: name of the engine.
        other: the same file on that engine.
        count: number of images at most.
    """
    share, apart = _beside(bundle, other, count)
    return (
        _equal(name, share, min(count, len(bundle.evidence)), AGREEMENT),
        Check(
            name=f"{name}: confidence masks",
            wanted=f"our own runner's probabilities, {CLOSE} apart at most",
            found=f"{apart:.2g} apart",
            passed=apart <= CLOSE,
        ),
    )


def alike(bundle: Bundle, name: str, other: Runner, count: int, least: float = AGREEMENT) -> Check:
    """Whether another engine gives our own runner's classes.

    Args:
        bundle: folder with the file.
        name: name of the engine.
        other: the same file on that engine.
        count: number of images at most.
        least: lowest passing share of the pixels.
    """
    return _equal(name, _beside(bundle, other, count)[0], min(count, len(bundle.evidence)), least)


def _beside(bundle: Bundle, other: Runner, count: int) -> tuple[float, float]:
    """Share of equal pixels of another engine and our own, and the largest difference of their outputs."""
    convention, code = bundle.runner.card.preprocess, get_task(bundle.task).code
    few, equal, apart = bundle.evidence.first(count), 0.0, 0.0
    size = 4 * int(np.prod([each or 1 for each in bundle.runner.output.shape[1:]]))
    for images, _ in few.chunks(max(1, _BYTES // size)):
        own, theirs = bundle.runner.run(convention(images)), other.run(other.card.preprocess(images))
        equal += float(code.agreement(own, theirs, bundle.runner.card).sum())
        apart = max([apart, *(float(np.abs(own[key] - theirs[key]).max()) for key in own)])
    return equal / len(few), apart


def _equal(name: str, share: float, count: int, least: float) -> Check:
    return Check(
        name=name,
        wanted=f"our own runner's class of {least:.1%} of the pixels",
        found=f"{share:.3%} of the pixels of {count} images",
        passed=share >= least,
    )


def drawn(bundle: Bundle, name: str, said: Said, count: int) -> Check:
    """Whether a program draws our own runner's masks.

    Args:
        bundle: folder with the file.
        name: name of the program.
        said: runs the program on images of the size that the file takes.
        count: number of images at most.
    """
    images, _ = bundle.evidence.fetch(0, count)
    own = bundle.runner.run(bundle.runner.card.preprocess(images))
    wanted = np.stack([each.classes for each in answers.decode(own, bundle.runner.card)])
    found = said(images)
    share = float((found == wanted).mean()) if found.shape == wanted.shape else 0.0
    return _equal(name, share, len(images), AGREEMENT)


def pictures(images: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures of other sizes and aspects than the net's, by name: two images beside each other, or above each other.

    Args:
        images: uint8 `(n, H, W, 3)`.
    """
    from PIL import Image

    first, second = images[0], images[min(1, len(images) - 1)]
    found = {}
    for name, axis, scale in (("wide", 1, 1.7), ("high", 0, 0.6), ("large", 1, 3.3)):
        both = Image.fromarray(np.concatenate([first, second], axis=axis))
        sides = (max(1, round(side * scale)) + 1 for side in both.size)  # no multiple of the net's
        found[name] = np.asarray(both.resize((next(sides), next(sides)), Image.Resampling.BICUBIC))
    return found


def save(made: Mapping[str, np.ndarray], folder: Path) -> None:
    """Writes pictures as PNG files.

    Args:
        made: result of `pictures`.
        folder: folder to make.
    """
    from PIL import Image

    folder.mkdir()
    for name, pixels in made.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")


def in_place(bundle: Bundle, name: str, made: Mapping[str, np.ndarray], folder: Path) -> Check:
    """Whether a program reads pictures and draws masks over them as we do: framed, answered, and brought back.

    Args:
        bundle: folder with the file.
        name: name of the program.
        made: result of `pictures`.
        folder: folder with `NAME.png.mask`, the class of every pixel of a picture as a byte, 255 where none is.
    """
    equal = count = 0
    for key, pixels in made.items():
        wanted = _placed(bundle, pixels)
        found = np.frombuffer((folder / f"{key}.png.mask").read_bytes(), np.uint8)
        count += wanted.size
        equal += int((found == wanted.ravel()).sum()) if found.size == wanted.size else 0
    return Check(
        name=name,
        wanted=f"our own runner's class of {AGREEMENT:.1%} of the pictures' own pixels",
        found=f"{equal / count:.3%} of {count:,} pixels",
        passed=equal >= AGREEMENT * count,
    )


def _placed(bundle: Bundle, pixels: np.ndarray) -> np.ndarray:
    """Our own mask in places of a picture, uint8 `(H, W)`."""
    card = bundle.runner.card
    height, width, _ = bundle.request.image_shape
    seen = resize(pixels, (height, width), card.keep).numpy()
    (answer,) = answers.decode(bundle.runner.run(card.preprocess(seen[None])), card)
    return answer.at(pixels.shape[0], pixels.shape[1], card.keep)
