"""One conversion in a process of its own: the TFLite converter leaks memory and floods stdout.

`convert_in_child` is the parent's side, `python -m export.worker JOB.json` the child's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from export.formats import FORMATS, Artifact
from keras_resnet.errors import InputError


def convert_in_child(model: Path, artifact: Artifact, samples: Path | None, path: Path) -> None:
    """Converts a saved model.

    Args:
        model: a `.keras` file of what `graph.prepare` made.
        artifact: what to make of it.
        samples: a `.npy` file of float32 `(n, H, W, C)`, for precisions that are calibrated.
        path: of the file to write.

    Raises:
        InputError: the converter refused the model; its last words are in the message.
        KeyboardInterrupt: Ctrl-C; the child is stopped.
    """
    job = {
        "model": str(model),
        "artifact": {**dataclasses.asdict(artifact), "format": artifact.format.name},
        "samples": str(samples) if samples else None,
        "path": str(path),
    }
    child = subprocess.run(
        [sys.executable, "-m", "export.worker", json.dumps(job)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if child.returncode == 0:
        return
    unknown = sorted(set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", child.stderr)))
    if unknown:
        raise InputError(f"the conversion to {artifact.name} failed: TFLite has no operator for {', '.join(unknown)}")
    lines = [line for line in child.stderr.strip().splitlines() if line.strip()] or ["no message"]
    died = f"died of signal {-child.returncode}" if child.returncode < 0 else "failed"
    raise InputError(f"the conversion to {artifact.name} {died}: {lines[-1].strip()[:500]}")


def main(job: dict[str, object]) -> None:
    """The child's work."""
    from keras_resnet.saving import load_model

    model, _ = load_model(job["model"])
    samples = np.load(job["samples"], allow_pickle=False) if job["samples"] else None
    choices = job["artifact"]
    artifact = Artifact(**{**choices, "format": FORMATS[choices["format"]], "features": tuple(choices["features"])})
    artifact.format.module.convert(model, artifact, samples, Path(job["path"]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
