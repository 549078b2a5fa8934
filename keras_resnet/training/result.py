"""Result of a training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet import untrusted
from keras_resnet.errors import InputError
from keras_resnet.training import run

if TYPE_CHECKING:
    import keras

_PREFIX = "validation_"


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a training.

    Attributes:
        run_dir: directory with model.keras, recipe.json, metrics.csv, curves.png, environment.json, result.json and the
            logs of TensorBoard (where it is installed).
        best_epoch: epoch whose weights model.keras holds, counted from 1; 0 if no epoch was finished.
        metric: name of the watched metric, like `"accuracy"`.
        validation: value of that metric on the validation split in that epoch; None where nothing was held out.
        seconds: wall time of `fit`.
        images_per_second: examples per second of the training steps alone, without the validation.
        waiting_share: fraction of the training steps' time in which the next batch was not ready.
        precision: dtype policy of the training.
        interrupted: whether Ctrl-C ended it early.
    """

    run_dir: Path
    best_epoch: int
    metric: str
    validation: float | None
    seconds: float
    images_per_second: float
    waiting_share: float
    precision: str
    interrupted: bool

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.run_dir

    @property
    def model(self) -> keras.Model:
        """The trained model, read from the run directory."""
        import keras_resnet

        return keras_resnet.load_model(self.run_dir / run.MODEL)[0]

    @property
    def history(self) -> dict[str, list[float]]:
        """Values of every epoch by name, as in metrics.csv: `{"epoch": [0.0, ...], "val_accuracy": [...]}`."""
        return run.read_metrics(self.run_dir / run.METRICS)

    def _repr_html_(self) -> str:
        """The curves, for notebooks."""
        from base64 import b64encode
        from html import escape

        found = "" if self.validation is None else f": {self.metric} {self.validation:.4g} on validation examples"
        said = escape(f"{self.run_dir}{found}, epoch {self.best_epoch}, {self.seconds:.0f} s")
        curves = self.run_dir / run.CURVES
        if not curves.is_file():
            return f"<p>{said}</p>"
        picture = b64encode(curves.read_bytes()).decode()
        return f'<p>{said}</p><img alt="curves of the training" src="data:image/png;base64,{picture}">'

    @property
    def validation_accuracy(self) -> float | None:
        """Validation accuracy, the name of `validation` from before there were tasks; None for other metrics."""
        return self.validation if self.metric == "accuracy" else None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types; the watched metric as `validation_METRIC`."""
        fields = asdict(self)
        named = {f"{_PREFIX}{fields.pop('metric')}": fields.pop("validation")}
        return {"run_dir": str(fields.pop("run_dir")), "best_epoch": fields.pop("best_epoch"), **named, **fields}


def read_result(path: Path) -> Result | None:
    """The result of a finished run, None where there is none.

    Args:
        path: run directory.

    Raises:
        InputError: the file is damaged.
    """
    if not (path / run.RESULT).is_file():
        return None
    try:
        values = untrusted.read_object(path / run.RESULT)
        if values["interrupted"]:
            return None
        metric, validation = _validation_of(values) or (run.read_watched(path).watch, None)
        own = {key: value for key, value in values.items() if not key.startswith(_PREFIX)}
        return Result(**{**own, "run_dir": path, "metric": metric, "validation": validation})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path / run.RESULT} is damaged ({error}): train again, or delete it") from error


def _validation_of(values: dict[str, Any]) -> tuple[str, float | None] | None:
    """The watched metric in a result.json: its name and value; None where there is none."""
    named = ((key.removeprefix(_PREFIX), value) for key, value in values.items() if key.startswith(_PREFIX))
    return next(named, None)


def validation_in(values: dict[str, Any], metric: str) -> float | None:
    """The value of the watched metric in a result.json; None where there is none.

    Args:
        values: contents of the file.
        metric: name of the metric.
    """
    return values.get(f"{_PREFIX}{metric}")
