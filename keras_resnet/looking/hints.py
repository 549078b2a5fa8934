"""What a training does about what a look found, and what a person can do: a sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.data.folder import MAX_UNREADABLE
from keras_resnet.looking import boxes

if TYPE_CHECKING:
    from keras_resnet.looking.findings import Findings

_UNEVEN = 3.0  # largest class by smallest, from which `train` balances its batches
_LEAST = 3  # examples of a class that `train` needs
_SHIFT = 0.1  # of a class's share of two parts


def hints(found: Findings) -> Iterator[str]:
    """The sentences.

    Args:
        found: result of a look.
    """
    yield from _of_files(found)
    yield from _of_classes(found)
    yield from _of_parts(found)
    yield from _of_duplicates(found)


def _of_files(found: Findings) -> Iterator[str]:
    bad, total = len(found.bad()), len(found.facts)
    if bad:
        yield f"{bad:,} of {total:,} pictures cannot be read: train leaves them out and says so"
    if bad > MAX_UNREADABLE * total:
        yield (
            f"more than {MAX_UNREADABLE:.0%} cannot be read: train refuses that; repair or remove them, or allow it: "
            f"--set max_unreadable={bad / total + 0.01:.2f}"
        )
    if found.data.others:
        yield f"{len(found.data.others):,} files are no pictures by their ending: they are left out"
    if found.data.empty:
        yield f"folders without pictures are no classes: {_some(found.data.empty)}"
    turned = found.odd().get("turned by EXIF")
    if turned:
        if found.data.truth == "boxes":
            fate = "train turns them upright, and their boxes where these mean the pixels that lie"
        elif found.data.truth == "mask":
            fate = "they and their truth are taken as they lie in the files; of upright ones, save them so"
        else:
            fate = "train turns them upright"
        yield f"{len(turned):,} pictures are turned by their EXIF entry: {fate}"


def _of_classes(found: Findings) -> Iterator[str]:
    counts = found.counts()
    if not counts:
        return
    if found.data.truth == "mask":
        yield from _of_masks(counts)
        return
    if found.data.truth == "boxes":
        yield from boxes.hints(found.data)
        return
    train = "train" if "train" in found.parts else found.parts[0]
    sizes = {name: by_part[train] for name, by_part in counts.items()}
    if len(counts) == 1:
        yield "there is one class: train needs the pictures of two or more, each in a folder of its own"
    once = [name for name, by_part in counts.items() if sum(by_part.values()) == 1]
    if once:
        yield f"labels that occur once: {_some(once)}; is it a slip of the pen? Correct, join or remove them"
    few = [name for name, count in sizes.items() if count < _LEAST and name not in once]
    if few and found.data.truth == "label":
        yield f"classes with fewer than {_LEAST} training pictures: {_some(few)}; train needs {_LEAST} of each"
    most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if len(sizes) > 1 and sizes[most] > _UNEVEN * max(1, sizes[least]):
        ratio = f"{sizes[most] / max(1, sizes[least]):.1f} times"
        yield (
            f"classes are uneven: {most} has {ratio} the pictures of {least}; train draws all classes equally often "
            "(--balance none: as they come), and balanced accuracy says more than accuracy"
        )


def _of_masks(counts: dict[str, dict[str, int]]) -> Iterator[str]:
    """Nearly every picture has most classes of masks, so that numbers of pictures say little."""
    absent = [name for name, by_part in counts.items() if not any(by_part.values())]
    if absent:
        yield (
            f"no mask has {_some(absent)}: a net cannot learn it; where the value 0 means nothing: --reduce-zero-label"
        )


def _of_parts(found: Findings) -> Iterator[str]:
    if not found.data.own_parts:
        yield "the data are not divided: train takes 80 % to learn, 10 % to choose, 10 % to test, seeded, by class"
        return
    missing = [part for part in ("validation", "test") if part not in found.parts]
    if missing and "train" in found.parts:
        yield f"there is no part {' and none '.join(missing)}: train takes it from the training part, seeded"
    counts, thing = found.counts(), "an object" if found.data.boxes else "a picture"
    for part in found.parts:
        absent = [name for name, by_part in counts.items() if not by_part[part] and any(by_part.values())]
        if absent:
            yield f"classes without {thing} in {part}: {_some(absent)}"
    yield from _of_shares(found, counts)


def _of_shares(found: Findings, counts: dict[str, dict[str, int]]) -> Iterator[str]:
    if not {"train", "test"} <= set(found.parts) or not counts or found.data.truth in ("mask", "boxes"):
        return
    table = np.array([[by_part["train"], by_part["test"]] for by_part in counts.values()], float)
    shares = table / np.maximum(1, table.sum(0))
    worst = int(np.abs(shares[:, 0] - shares[:, 1]).argmax())
    if abs(shares[worst, 0] - shares[worst, 1]) > _SHIFT:
        yield (
            f"the test part has other shares than the training part: {list(counts)[worst]} is {shares[worst, 1]:.0%} "
            f"there and {shares[worst, 0]:.0%} here; compare balanced accuracies"
        )


def _of_duplicates(found: Findings) -> Iterator[str]:
    if across := found.across():
        yield (
            f"nearly the same pictures are in several parts ({_groups(across)}): the test figure will be too good; "
            "keep each group in one part (in a table of labels: the column group)"
        )
    if other := found.contradictory():
        yield f"nearly the same pictures have different classes ({_groups(other)}): one of them is probably wrong"
    if not found.data.own_parts and found.near:
        yield (
            f"nearly the same pictures ({_groups(found.near)}) may come into different parts: remove them, or "
            "divide the data yourself"
        )
    elif within := [group for group in found.near if group not in across]:
        yield f"nearly the same pictures are within one part ({_groups(within)}): they count more than others"


def _groups(groups: Sequence[Sequence[int]]) -> str:
    return f"{len(groups):,} group{'' if len(groups) == 1 else 's'}"


def _some(names: Iterable[object]) -> str:
    names = list(names)
    return ", ".join(map(str, names[:5])) + (f", ... ({len(names):,} in all)" if len(names) > 5 else "")
