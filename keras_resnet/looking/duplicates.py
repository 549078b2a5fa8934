"""Pictures that are there twice: the same bytes, or nearly the same picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from keras_resnet.looking.facts import Facts

BITS = 64
DISTANCE = 5  # bits in which the hashes of near duplicates differ at most
_BANDS = DISTANCE + 1  # two such hashes are equal in one of so many bands at least
_UNLIKE = 6.0  # grey values by which their small pictures differ on average, at most, after brightness and contrast
_CONTRAST = 2.0  # grey values: below that a picture is a plain area, whose hash is noise
_BLOCK = 2048  # pictures that are compared with each other at once


def exact(facts: Sequence[Facts]) -> list[list[int]]:
    """Groups of pictures whose files have the same bytes.

    Args:
        facts: facts of all pictures.

    Returns:
        Positions, in order.
    """
    groups: dict[bytes, list[int]] = {}
    for number, each in enumerate(facts):
        if each.digest:
            groups.setdefault(each.digest, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def near(facts: Sequence[Facts]) -> list[list[int]]:
    """Groups of pictures that look the same: reduced, recompressed, brightened; with those of the same bytes.

    Pairs share a band of their perceptual hashes, so that not all pairs are looked at, and have similar small pictures.

    Args:
        facts: facts of all pictures.

    Returns:
        Positions, in order.
    """
    readable = np.array([n for n, each in enumerate(facts) if not each.error], np.int64)
    if len(readable) < 2:
        return []
    hashes = np.array([facts[n].phash for n in readable], np.uint64)
    thumbs = _normalised(np.stack([np.frombuffer(facts[n].thumb, np.uint8) for n in readable]))
    pairs = [np.zeros((0, 2), np.int64)]
    for members in _buckets(hashes):
        pairs += list(_alike(members, hashes, thumbs))
    found = np.concatenate(pairs)
    graph = coo_array((np.ones(len(found), bool), (found[:, 0], found[:, 1])), shape=(len(readable),) * 2)
    names = connected_components(graph, directed=False)[1]
    order = np.argsort(names, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(names[order])) + 1)
    return sorted([sorted(readable[group].tolist()) for group in groups if len(group) > 1])


def _normalised(thumbs: np.ndarray) -> np.ndarray:
    """Small pictures with one brightness and contrast; plain areas as they are."""
    values = thumbs.astype(np.float32)
    centred = values - values.mean(1, keepdims=True)
    deviation = centred.std(1, keepdims=True)
    plain = deviation < _CONTRAST
    return np.where(plain, values, centred / np.maximum(deviation, _CONTRAST) * 50)


def _buckets(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of hashes that are equal in a band."""
    edges = np.linspace(0, BITS, _BANDS + 1).astype(int)
    for low, high in zip(edges, edges[1:], strict=False):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            if len(bucket) > 1:
                yield bucket


def _alike(members: np.ndarray, hashes: np.ndarray, thumbs: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of a bucket that look the same."""
    for start in range(0, len(members), _BLOCK):
        rows = members[start : start + _BLOCK]
        for other in range(start, len(members), _BLOCK):
            columns = members[other : other + _BLOCK]
            apart = np.bitwise_count(hashes[rows][:, None] ^ hashes[columns][None])
            one, two = np.nonzero(apart <= DISTANCE)
            one, two = rows[one], columns[two]
            one, two = one[one != two], two[one != two]
            for first in range(0, len(one), _BLOCK):
                some = slice(first, first + _BLOCK)
                unlike = np.abs(thumbs[one[some]] - thumbs[two[some]]).mean(1)
                yield np.stack([one[some], two[some]], 1)[unlike <= _UNLIKE]
