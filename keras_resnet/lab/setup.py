"""Setup that all experiments share: size, data, seeds, folders; trainings that go on where they stopped."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet import files
from keras_resnet.errors import InputError
from keras_resnet.training.recipes import RECIPES, Recipe

RUNS = "runs"
_DEEP = 110  # layers
_TEST = "test.json"  # in a run directory: error on the test images, made once


@dataclass(frozen=True)
class Setup:
    """Size, data, seeds and folders of an experiment.

    Attributes:
        out: folder of all experiments; trainings in `out/runs` are shared by them.
        full: whether the papers' size and recipe are used instead of the small ones.
        dataset: `"cifar10"` or `"digits"`.
        data_dir: folder of CIFAR's files.
        seeds: seeds of every training.
        depths: depths of the nets in layers; empty for the experiment's own.
        settings: changes of the recipe, `key=value`.
        command: command line that asked for it.
        verbose: whether the trainings' progress is shown.

    Raises:
        InputError: full size was asked for on digits.
    """

    out: Path
    full: bool = False
    dataset: str = "digits"
    data_dir: Path | None = None
    seeds: tuple[int, ...] = (0,)
    depths: tuple[int, ...] = ()
    settings: tuple[str, ...] = ()
    command: str = ""
    verbose: bool = False

    def __post_init__(self) -> None:
        """Refuses what no paper did."""
        if self.full and self.dataset == "digits":
            raise InputError("--full is the papers' experiment, on CIFAR-10: leave out --data digits")
        if not self.seeds:
            raise InputError("expected at least one seed")

    @property
    def size(self) -> str:
        """Name of the size, for people and for folders."""
        return "full" if self.full else f"small-{self.dataset}"

    def recipe(self) -> Recipe:
        """Recipe of the trainings."""
        from keras_resnet.training.recipes import override

        row = RECIPES["he2015" if self.full else f"lab-{self.dataset}"]
        return override(row, self.settings)

    def pick_depths(self, small: Sequence[int], full: Sequence[int], known: Sequence[int]) -> tuple[int, ...]:
        """Chooses the depths that were asked for, or the experiment's own.

        Args:
            small: depths of the small size.
            full: depths of the full size.
            known: all depths that there are.

        Raises:
            InputError: no net has such a depth.
        """
        wrong = [depth for depth in self.depths if depth not in known]
        if wrong:
            raise InputError(f"--depths {wrong[0]}: expected some of {', '.join(map(str, known))}")
        return self.depths or tuple(full if self.full else small)


@dataclass(frozen=True)
class Curves:
    """Curves of one training: one value per epoch, errors as fractions.

    Attributes:
        run: run directory.
        train: error on the augmented training images while they were learned.
        validation: error on the validation images.
        test: error on the test images at the end.
        seconds: wall time in seconds.
    """

    run: Path
    train: tuple[float, ...]
    validation: tuple[float, ...]
    test: float
    seconds: float


def train_all(setup: Setup, nets: Mapping[str, object | None]) -> dict[str, list[Curves]]:
    """Trains nets with every seed; what is finished is only read, what was interrupted goes on.

    Args:
        setup: setup of the experiment.
        nets: makers of nets by name (as `train(nets=...)` takes them); None for the row of that name.

    Returns:
        The curves by name, one per seed.

    Raises:
        InputError: see `train`; also where a run was begun with other settings.
        KeyboardInterrupt: a training was stopped.
    """
    jobs = [(name, seed) for seed in setup.seeds for name in nets]
    found: dict[str, list[Curves]] = {name: [] for name in nets}
    for number, (name, seed) in enumerate(jobs, 1):
        path = setup.out / RUNS / setup.size / f"{name.replace(' ', '-')}-seed{seed}"
        if setup.verbose:
            print(f"{number}/{len(jobs)} {name}, seed {seed}: {path}", flush=True)
        found[name].append(train_one(setup, name, nets[name], seed, path))
    return found


def train_one(setup: Setup, name: str, nets, seed: int, path: Path) -> Curves:
    """Trains one net, or reads what its training left.

    Args:
        setup: setup of the experiment.
        name: name of the net.
        nets: maker of the net; None for the row of that name.
        seed: seed of the training.
        path: run directory.

    Raises:
        InputError: see `train`.
        KeyboardInterrupt: the training was stopped.
    """
    import keras

    from keras_resnet.training import run, train

    recipe = recipe_of(setup, name, seed)
    recipe = dataclasses.replace(recipe, **({"model": name} if nets is None else {}))
    result = train(recipe, nets=nets, data_dir=setup.data_dir, run_dir=path, resume=True, verbose=setup.verbose)
    if result.interrupted:
        raise KeyboardInterrupt
    metrics = run.read_metrics(path / run.METRICS)
    errors = {key: tuple(1 - value for value in metrics.get(key, ())) for key in ("accuracy", "val_accuracy")}
    test = _test_error(path, recipe, setup)
    keras.backend.clear_session()  # the nets of an experiment need not be in memory together
    return Curves(path, errors["accuracy"], errors["val_accuracy"], test, result.seconds)


def recipe_of(setup: Setup, name: str, seed: int) -> Recipe:
    """Makes the recipe of one training.

    Args:
        setup: setup of the experiment.
        name: name of the net, with its number of layers.
        seed: seed of the training.
    """
    recipe = dataclasses.replace(setup.recipe(), seed=seed)
    layers = re.search(r"(?<!v)\d+", name)
    if setup.full and layers and int(layers.group()) >= _DEEP and not recipe.warmup_epochs:
        # The papers begin with a tenth of the rate for 400 steps, or the deepest nets do not start to learn.
        return dataclasses.replace(recipe, warmup_epochs=1.0)
    return recipe


def _test_error(path: Path, recipe: Recipe, setup: Setup) -> float:
    if not (path / _TEST).is_file():
        from keras_resnet.data import load_dataset
        from keras_resnet.evaluation import evaluate
        from keras_resnet.runtime.opening import open_runner

        dataset = load_dataset(recipe.dataset, setup.data_dir)
        scores = evaluate(open_runner(path / "model.keras"), dataset.test)
        with files.writing(path / _TEST, overwrite=True) as temporary:
            temporary.write_text(json.dumps(scores.to_json()) + "\n", encoding="utf-8")
    return 1 - json.loads((path / _TEST).read_text(encoding="utf-8"))["top1"]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (of a sample); None for the second where there is one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def percent(values: Sequence[float], digits: int = 2) -> str:
    """Mean of fractions, with the standard deviation where there is one, in per cent.

    Args:
        values: fractions, one per seed.
        digits: number of digits behind the point.
    """
    mean, deviation = mean_and_deviation(values)
    return f"{100 * mean:.{digits}f}" + ("" if deviation is None else f" ± {100 * deviation:.{digits}f}")
