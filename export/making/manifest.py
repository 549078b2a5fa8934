"""`NAME.tflite.manifest.json` beside an exported file: where it comes from, how it was made, and what was found out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from export.formats.artifacts import Artifact
from export.formats.precisions import PRECISIONS
from export.formats.table import Contents
from export.making.representative import Samples
from export.proof.report import Row
from keras_resnet import extras, machine, untrusted
from keras_resnet.card import ModelCard
from keras_resnet.tasks import get_task
from keras_resnet.training import run

_PACKAGES = ("tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "litert-quantizer")


def beside(model: Path) -> Path:
    """The file's name."""
    return model.with_name(f"{model.name}.manifest.json")


def write(
    target: Path,
    *,
    artifact: Artifact,
    row: Row,
    contents: Contents,
    card: ModelCard,
    source: dict[str, object],
    calibration: Samples | None,
    sha256: str | None,
) -> None:
    """Writes the manifest.

    Args:
        target: file to write.
        artifact: what was asked for.
        row: what was found out.
        contents: operators and scales of the file.
        card: card in the file.
        source: facts about the model and the examples.
        calibration: representative samples, None where nothing was calibrated.
        sha256: hash of the file.
    """
    asked = {**asdict(artifact), "format": artifact.format.name}
    value = {
        "file": Path(row.file).name,
        "sha256": sha256,
        "artifact": asked,
        "source": source,
        "calibration": calibration.to_json() if calibration else None,
        "card": json.loads(card.dumps()),
        "scales": contents.scales,
        "verification": row.renamed(Path(row.file).name).to_json(),
        "environment": {**run.environment(None), "export_packages": extras.versions(_PACKAGES)},
    }
    target.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def remark(model: Path, row: Row, verified_on: str) -> tuple[str, ...]:
    """How far a file's score is from that in the manifest beside it, as it is on another processor: a sentence or none.

    Args:
        model: file.
        row: what was found out now.
        verified_on: which examples were used now, in words.
    """
    try:
        known = untrusted.read_json(beside(model))
        before, then = known["verification"], str(known["source"]["verified_on"])
        score = before[get_task(row.task).score.key]
        place = str(before.get("processor") or known["environment"]["processor"])
        if then != verified_on or row.score is None or not isinstance(score, float):
            return ()  # of other examples, or of none
        points = round(100 * (row.score - score), 6)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()  # a file without a manifest that can be read is verified all the same
    if not points:
        return ()
    headline = get_task(row.task).score
    said = f"its manifest has {headline.name} {headline.text(score)} by {before.get('engine')} on {place:.120}"
    if not PRECISIONS[row.precision].tolerance.outliers:
        usual = ", where it should be the same"
    else:
        usual = f", more than the {machine.INT8_POINTS} points of other kernels" * (abs(points) > machine.INT8_POINTS)
    return (f"{said}: {points:+.2f} points here{usual}",)
