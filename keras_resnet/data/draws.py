"""Random numbers of a run: functions of a seed, equal to TensorFlow's stateless ones to the bit, in NumPy.

So every back end sees the same orders and draws, and a run can go on anywhere. The generator is Philox-4x32-10 (Salmon
et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Seed = Sequence[int] | np.ndarray  # two whole numbers of 64 bits, signed
# Multipliers and the steps of the key, as the paper has them.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_ROUNDS = 10
_SCRAMBLE = np.array([0x3EC8F720, 0x02461E29], np.uint32)  # TensorFlow's key to make a key of a seed
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MANTISSA, _ONE = np.uint32(0x7FFFFF), np.uint32(0x3F800000)  # bits of float32
_MANTISSA64, _ONE64 = np.uint64(0xFFFFF), np.uint64(0x3FF0000000000000)  # upper bits of float64


def _philox(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Ten rounds: counters uint32 `(n, 4)` and a key uint32 `(2,)` to words uint32 `(n, 4)`."""
    c0, c1, c2, c3 = (counter[:, place].astype(np.uint32) for place in range(4))
    k0, k1 = key
    with np.errstate(over="ignore"):
        for _ in range(_ROUNDS):
            p0, p1 = c0.astype(np.uint64) * _M0, c2.astype(np.uint64) * _M1
            c0, c2 = (p1 >> _HALF).astype(np.uint32) ^ c1 ^ k0, (p0 >> _HALF).astype(np.uint32) ^ c3 ^ k1
            c1, c3 = p1.astype(np.uint32), p0.astype(np.uint32)
            k0, k1 = k0 + _W0, k1 + _W1
    return np.stack([c0, c1, c2, c3], axis=1)


def bits(seed: Seed, count: int) -> np.ndarray:
    """Random words.

    Args:
        seed: two whole numbers of 64 bits, signed; an array or a pair.
        count: number of words.

    Returns:
        uint32 `(count,)`.
    """
    words = np.array(seed, np.int64).view(np.uint64)
    halves = np.array([[words[0] & _LOW, words[0] >> _HALF, words[1] & _LOW, words[1] >> _HALF]])
    mixed = _philox(halves, _SCRAMBLE)[0]
    groups = np.arange(-(-count // 4), dtype=np.uint64)
    fixed = (np.full(len(groups), word) for word in mixed[2:])
    counter = np.stack([groups & _LOW, groups >> _HALF, *fixed], axis=1)
    return _philox(counter, mixed[:2]).reshape(-1)[:count]


def uniform(seed: Seed, shape: tuple[int, ...]) -> np.ndarray:
    """Draws from [0, 1): `tf.random.stateless_uniform(shape, seed)`.

    Args:
        seed: as in `bits`.
        shape: shape of the result.

    Returns:
        float32 `shape`.

    Example:
        >>> from keras_resnet.data.draws import uniform
        >>> [round(float(each), 3) for each in uniform((0, 1), (2,))]
        [0.082, 0.409]
    """
    words = bits(seed, math.prod(shape))
    return (((words & _MANTISSA) | _ONE).view(np.float32) - np.float32(1)).reshape(shape)


def uniform64(seed: Seed, count: int) -> np.ndarray:
    """Draws from [0, 1) in double precision: `tf.random.stateless_uniform((count,), seed, dtype=tf.float64)`.

    Args:
        seed: as in `bits`.
        count: number of draws.

    Returns:
        float64 `(count,)`.
    """
    words = bits(seed, 2 * count).reshape(-1, 2).astype(np.uint64)
    return (((words[:, 0] & _MANTISSA64) << _HALF) | words[:, 1] | _ONE64).view(np.float64) - 1


def shuffled(seed: Seed, count: int) -> np.ndarray:
    """An order of the numbers below `count`: `tf.random.experimental.stateless_shuffle(tf.range(count), seed)`.

    Args:
        seed: as in `bits`.
        count: number of elements.

    Returns:
        int32 `(count,)`.
    """
    order = list(range(count))
    for place, word in enumerate(bits(seed, max(count - 1, 0)).tolist()):  # Fisher and Yates, with TensorFlow's modulo
        other = place + word % (count - place)
        order[place], order[other] = order[other], order[place]
    return np.array(order, np.int32)
