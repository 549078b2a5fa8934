"""Training on JAX with the data on the device: the host sends orders and draws, once an epoch. Others: streamed.py.

Gathering the examples, their augmentation, mixing and the step of the optimizer are one compiled function, which runs
as many steps a call as fit into about a second. The batches are those of `data.pipeline`, from the same draws.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_resnet.arrays import in_32_bits
from keras_resnet.data.dataset import ArraySplit, Split
from keras_resnet.data.epochs import Epochs
from keras_resnet.data.mixing import Mix
from keras_resnet.data.splits import at_once
from keras_resnet.data.timing import Clock
from keras_resnet.data.truth import moved

_SECONDS = 1.0  # of a call: a person sees progress, and Ctrl-C is heard
_EVALUATION_BATCH = 256
_GROWTH = 16  # of the number of steps, from one call to the next

State = tuple[Any, ...]  # values of the variables, as Keras' train_step takes and gives them


def fits(*splits: Split, share: float = 0.5) -> bool:
    """Whether examples can lie on the first device as a whole, decoded.

    Args:
        *splits: examples to learn from and to validate on.
        share: share of the device's memory that they may take.
    """
    memory = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    return memory is None or sum(map(_nbytes, splits)) <= share * memory


def _nbytes(split: Split) -> int:
    if isinstance(split, ArraySplit):
        return sum(each.nbytes for each in split.arrays.values())
    return len(split) * sum(each.nbytes for each in split.fetch([0]).values()) if len(split) else 0


def _gathered(arrays: dict[str, jax.Array], places: Any) -> dict[str, jax.Array]:
    return {name: values[places] for name, values in arrays.items()}


class Pace:
    """Number of steps in a call."""

    def __init__(self, several: bool):
        """Takes whether there may be several at all."""
        self._several, self._count, self._calls = several, 1, 0

    def next(self, remaining: int) -> int:
        """Steps of the next call, at most those that remain."""
        return min(self._count, remaining)

    def took(self, count: int, seconds: float) -> None:
        """Learns from a call; the first one compiled."""
        self._calls += 1
        if self._several and self._calls > 1:
            self._count = max(1, min(int(count * _SECONDS / max(seconds, 1e-9)), _GROWTH * count))


@dataclass
class Calls:
    """Steps of one epoch after another, cut into calls: what Keras' `fit` iterates over in place of batches.

    Attributes:
        num_batches: steps of an epoch.
        pace: number of steps in a call.
        epoch: number of the next epoch, from 0.
        first: step that it begins at, from 0; later epochs begin at 0.
    """

    num_batches: int
    pace: Pace
    epoch: int = 0
    first: int = 0

    def reset(self) -> None:
        """Called by Keras before an epoch of evaluation."""

    def catch_stop_iteration(self) -> contextlib.AbstractContextManager:
        """Called by Keras around an epoch."""
        return contextlib.nullcontext()

    def __iter__(self) -> Iterator[tuple[int, int, tuple[int, int, int]]]:
        """First and last step of every call of an epoch, and what it does: epoch, first step, number of steps."""
        step, epoch = self.first, self.epoch
        self.first, self.epoch = 0, epoch + 1
        if step == self.num_batches:  # a checkpoint of the last step: the epoch is only validated and closed
            yield step - 1, step - 1, (epoch, step, 0)
        while step < self.num_batches:
            count = self.pace.next(self.num_batches - step)
            yield step, step + count - 1, (epoch, step, count)
            step += count


@contextlib.contextmanager
def fed_by_calls() -> Iterator[None]:
    """Keras' `fit` and `evaluate` take `Calls` for data while the block runs."""
    from keras.src.backend.jax import trainer

    original = trainer.JAXEpochIterator

    def iterator(x=None, **others):
        return x if isinstance(x, Calls) else original(x=x, **others)

    trainer.JAXEpochIterator = iterator
    try:
        yield
    finally:
        trainer.JAXEpochIterator = original


@dataclass
class Resident:
    """The examples of a run on the device.

    Attributes:
        train: examples to learn from.
        epochs: orders and draws.
        batch_size: examples of a step.
        augment: step of an `Augmentation`; None for none.
        mix: mixing of the recipe; None for none.
        encode: from truth by kind to targets.
        preprocess: input convention of the net.
        validation: examples to validate on; None for none.
        layout: function from an array's shape to where its parts lie; None for one device.
        everywhere: where arrays lie that every device has as a whole; None for one device.
        replicas: devices that share a batch.
        several: whether a call may do several steps; False on CPUs, where XLA's convolutions within a loop use none of
            their fast kernels.
    """

    train: Split
    epochs: Epochs
    batch_size: int
    augment: Callable[..., Any] | None
    mix: Mix | None
    encode: Callable[[dict[str, Any]], Any]
    preprocess: Callable[[Any], Any]
    validation: ArraySplit | None = None
    layout: Callable[[tuple[int, ...]], Any] | None = None
    everywhere: Any = None
    replicas: int = 1
    several: bool = field(default_factory=lambda: jax.default_backend() != "cpu")

    _is_there: ClassVar[bool] = True  # all examples, so that a call may go on to the next step's

    def __post_init__(self) -> None:
        """Sends the examples to the device."""
        self.steps, self._key = len(self.train) // self.batch_size, self.train.key
        self._train = self._sent(self.train.arrays) if self._is_there and isinstance(self.train, ArraySplit) else {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="orders")
        self._planned: dict[int, Future] = {}
        self._plan: tuple[int, Any] | None = None
        if self.validation is not None:
            count = len(self.validation)
            most = at_once(self.validation, min(_EVALUATION_BATCH, count))
            size = -(-most // self.replicas) * self.replicas
            self.evaluation_steps = -(-count // size)
            places = np.arange(self.evaluation_steps * size)
            # The loss is divided by the number of examples in a batch, so the others make up for those that repeat.
            weights = np.where(places < count, len(places) / count, 0.0)
            self._places = self._sent({"place": np.minimum(places, count - 1), "weight": np.float32(weights)})
            self._places = {name: values.reshape(-1, size) for name, values in self._places.items()}
            self._validation = self._sent(self.validation.arrays)

    def _sent(self, arrays: Any) -> dict[str, jax.Array]:
        return {name: jax.device_put(in_32_bits(values), self.everywhere) for name, values in arrays.items()}

    def calls(self, epoch: int = 0, first: int = 0) -> Calls:
        """What `fit` iterates over.

        Args:
            epoch: epoch to begin with, from 0.
            first: step of it to begin with, from 0.
        """
        self._pace = Pace(self.several and self._is_there)
        return Calls(self.steps, self._pace, epoch, first)

    def evaluation_calls(self) -> Calls | None:
        """What validation iterates over; None where nothing is held out."""
        if self.validation is None:
            return None
        self._evaluation_pace = Pace(self.several)
        return Calls(self.evaluation_steps, self._evaluation_pace)

    def plan(self, epoch: int) -> dict[str, np.ndarray]:
        """An epoch's order, draws and mixing, `(steps, batch, ...)`; see `Epochs`."""
        places = self.epochs.places(epoch)[: self.steps * self.batch_size].reshape(self.steps, self.batch_size)
        found = {"place": places % self.epochs.count, "draws": self.epochs.draws(epoch)[places, : self.epochs.own]}
        if self.mix:
            seeds = (self.epochs.batch_seed(epoch, number) for number in range(self.steps))
            found["mixing"] = np.stack([self.mix.values(seed) for seed in seeds])
        return found

    def _planned_for(self, epoch: int) -> dict[str, jax.Array]:
        """The plan of an epoch on the device; the next one is made meanwhile."""
        if self._plan is None or self._plan[0] != epoch:
            for number in (epoch, epoch + 1):
                if number not in self._planned:
                    self._planned[number] = self._pool.submit(self.plan, number)
            self._plan = epoch, self._sent(self._planned.pop(epoch).result())
        return self._plan[1]

    def batch(self, arrays: dict[str, jax.Array], plan: dict[str, jax.Array], step: Any) -> tuple[Any, Any]:
        """Inputs and targets of a step, in a compiled function.

        Args:
            arrays: examples and truth.
            plan: plan of the epoch.
            step: number of the step in it.
        """
        examples, placement = self._chosen(arrays, plan["place"][step]), None
        pixels = examples.pop(self._key)
        if self.augment:
            pixels, placement = self.augment(pixels, plan["draws"][step])
        targets = self.encode(moved(examples, placement))
        if self.mix:
            pixels, targets = self.mix(pixels, targets, plan["mixing"][step])
        return self._shared((self.preprocess(pixels), targets))

    def evaluation_batch(self, arrays: dict[str, jax.Array], plan: dict[str, jax.Array], step: Any) -> tuple[Any, ...]:
        """Inputs, targets and weights of a step of the validation; arguments as in `batch`."""
        examples = _gathered(arrays, plan["place"][step])
        pixels = examples.pop(self._key)
        return self._shared((self.preprocess(pixels), self.encode(examples), plan["weight"][step]))

    def _chosen(self, arrays: dict[str, jax.Array], places: Any) -> dict[str, Any]:
        """Examples of a step and their truth, out of what `_fed` gave."""
        return _gathered(arrays, places)

    def _fed(self, epoch: int, first: int) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Examples and plan of a call: all of them, of the whole epoch."""
        return self._train, self._planned_for(epoch)

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Endless inputs and targets of single steps."""
        made = jax.jit(self.batch)
        for number in itertools.count():
            epoch, step = divmod(number, self.steps)
            yield made(*self._fed(epoch, step), step)

    def _shared(self, values: Any) -> Any:
        if self.layout is None:
            return values
        layout = self.layout
        return jax.tree.map(lambda each: jax.lax.with_sharding_constraint(each, layout(each.shape)), values)

    @contextlib.contextmanager
    def attached(self, model: keras.Model, clock: Clock) -> Iterator[None]:
        """A compiled model's `fit` takes `Calls` while the block runs.

        Args:
            model: model with built metrics and optimizer.
            clock: clock that runs while a plan is waited for.
        """
        shardings = model._get_state_sharding_spec() if self.layout else None
        step = self._compiled(model.train_step, self.batch, shardings, several=self.several and self._is_there)
        own = (shardings[0], shardings[1], shardings[3]) if shardings else None
        test = self._compiled(model.test_step, self.evaluation_batch, own, several=self.several)
        nothing = model.get_metrics_result()

        def train_function(state: State, call: tuple[int, int, int]) -> tuple[dict, State]:
            epoch, first, count = call
            if not count:
                return nothing, state
            start = time.monotonic()
            arrays, plan = self._fed(epoch, first)
            asked = time.monotonic()
            clock.seconds += asked - start
            logs, state = jax.block_until_ready(step(state, arrays, plan, first, count))
            self._pace.took(count, time.monotonic() - asked)
            return logs, state

        model.make_test_function()
        usual = model.test_function

        def test_function(state: State, call: Any) -> tuple[dict, State]:
            if not isinstance(call, tuple):  # an iterator of batches: a callback of the caller evaluates
                return usual(state, call)
            _, first, count = call
            start = time.monotonic()
            logs, state = jax.block_until_ready(test(state, self._validation, self._places, first, count))
            self._evaluation_pace.took(count, time.monotonic() - start)
            return logs, state

        model.train_function, model.test_function = train_function, test_function
        try:
            with fed_by_calls():
                yield
        finally:
            model.train_function = model.test_function = None  # Keras makes its own again
            self.close()

    def close(self) -> None:
        """Ends what works ahead."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compiled(self, step: Callable, batch: Callable, shardings: Any, several: bool) -> Callable:
        """A function of a state, examples, a plan, the first step and the number of steps."""
        where = None if shardings is None else (None, shardings)
        compiled = functools.partial(jax.jit, donate_argnums=0, out_shardings=where)

        def one(state: State, arrays: Any, plan: Any, number: Any) -> tuple[dict, State]:
            return step(state, batch(arrays, plan, number))

        def many(state: State, arrays: Any, plan: Any, first: Any, count: Any) -> tuple[dict, State]:
            logs, _ = jax.eval_shape(one, state, arrays, plan, first)
            nothing = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), logs)
            body = lambda number, carried: one(carried[1], arrays, plan, number)  # noqa: E731
            return jax.lax.fori_loop(first, first + count, body, (nothing, state))

        if several:
            return compiled(many)
        single = compiled(one)
        return lambda state, arrays, plan, first, count: single(state, arrays, plan, first)  # `Pace` gives single steps
