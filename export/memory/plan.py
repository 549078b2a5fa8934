"""Where tensors lie in the arena of TFLite Micro."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ALIGNMENT = 16


@dataclass(frozen=True)
class Buffer:
    """A tensor in the arena: bytes, and the first and last operator that it must live for."""

    size: int
    first: int
    last: int


def plan(
    buffers: Sequence[Buffer], order: Sequence[int] | None = None, fixed: Sequence[int] = ()
) -> tuple[int, list[int]]:
    """Places buffers as TFLite Micro's GreedyMemoryPlanner does.

    Args:
        buffers: buffers in any order.
        order: places in `buffers` in the order of planning; by default large ones first, equal ones as they come.
        fixed: offsets of the first buffers, where a plan says them; the others find their places around these.

    Returns:
        Bytes in all, and an offset for every buffer.

    Example:
        >>> plan([Buffer(100, 0, 1), Buffer(100, 1, 2), Buffer(50, 2, 3)])
        (224, [0, 112, 0])
    """
    sizes = _aligned(buffers)
    offsets = [*fixed, *[0] * (len(buffers) - len(fixed))]
    placed = sorted(range(len(fixed)), key=lambda i: offsets[i])  # in the order of their offsets
    for index in order or sorted(range(len(fixed), len(buffers)), key=lambda i: -sizes[i]):
        start = 0
        for other in placed:
            alive = buffers[other].first <= buffers[index].last and buffers[index].first <= buffers[other].last
            if not alive:
                continue
            if offsets[other] - start >= sizes[index]:
                break
            start = max(start, offsets[other] + sizes[other])
        offsets[index] = start
        placed = sorted([*placed, index], key=lambda i: offsets[i])
    return max((offsets[i] + sizes[i] for i in placed), default=0), offsets


def _aligned(buffers: Sequence[Buffer]) -> list[int]:
    return [-(-each.size // _ALIGNMENT) * _ALIGNMENT for each in buffers]


def best_plan(buffers: Sequence[Buffer]) -> tuple[int, list[int]]:
    """The smallest of several plans; often no larger than what must live at once, which none can beat.

    The greedy planner of the microcontroller knows one order, by size. With residual connections that leaves gaps:
    ResNet-20 takes 67,648 bytes so, and 49,152 with these plans.

    Args:
        buffers: buffers in any order.

    Returns:
        As `plan`.
    """
    sizes = _aligned(buffers)
    times = {each.first for each in buffers}
    least = max(
        (sum(size for size, b in zip(sizes, buffers, strict=True) if b.first <= t <= b.last) for t in times), default=0
    )
    keys: list[Callable[[int], tuple]] = [
        lambda i: (-sizes[i], i),
        lambda i: (-sizes[i], buffers[i].first),
        lambda i: (-sizes[i], -buffers[i].last),
        lambda i: (buffers[i].first - buffers[i].last, -sizes[i]),
        lambda i: (buffers[i].first, -sizes[i]),
        lambda i: (-buffers[i].last, -sizes[i]),
    ]
    found = plan(buffers)
    for key in keys:
        if found[0] <= least:
            break
        found = min(found, plan(buffers, sorted(range(len(buffers)), key=key)), key=lambda each: each[0])
    return found


def own_plan(buffers: Sequence[Buffer], scratch: Sequence[Buffer]) -> tuple[int, list[int]]:
    """Bytes in all and the offsets of `best_plan`, or no offsets where TFLite Micro does as well alone.

    Args:
        buffers: tensors.
        scratch: memory of kernels, which no plan can place.
    """
    together = [*buffers, *scratch]
    places = best_plan(together)[1][: len(buffers)]
    alone, planned = plan(together)[0], plan(together, fixed=places)[0]
    return (planned, places) if planned < alone else (alone, [])
