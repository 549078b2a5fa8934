"""Names of exported files: checked before any work, given when a file is complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from export.formats.artifacts import Artifact
from export.making import manifest
from export.model.source import Source
from export.proof import golden
from export.proof.report import Row
from keras_resnet import files
from keras_resnet.compression.rewriting import is_quantized
from keras_resnet.errors import InputError


def check_target(source: Source, made: Artifact, path: Path, overwrite: bool, calibrate_with: Path | None) -> None:
    """Refuses what cannot end well.

    Args:
        source: model and its data.
        made: what will be made.
        path: name of the file.
        overwrite: whether existing files are replaced.
        calibrate_with: folder of examples, None for the training split.

    Raises:
        InputError: a name is taken or of another format, or there are no images to calibrate with.
    """
    if path.is_dir() and (path / "saved_model.pb").exists() and path.suffix == made.format.suffix:
        if not overwrite:
            raise InputError(f"{path} exists: choose another name or pass --overwrite")
        files.check_folder(Path(os.path.realpath(path)).parent, path)
    else:
        files.check_place(path, overwrite)
    for each in (golden.beside(path), manifest.beside(path)):
        files.check_place(each, overwrite)
    if path.suffix != made.format.suffix:
        raise InputError(f"{path}: expected a name that ends in {made.format.suffix}")
    if is_quantized(source.model):
        if not holds_ranges(made):
            raise InputError(
                f"{made.name}: the model was trained for int8 and has its ranges: expected tflite:int8, keras:float32 "
                "or saved_model:float32, without --features and --with-cam; export the model that it was made from for "
                "others"
            )
        if calibrate_with is not None:
            raise InputError("the model was trained for int8 and has its ranges: leave out --calibration")
    elif made.calibrated and source.dataset is None and calibrate_with is None:
        raise InputError(
            f"{made.name} needs images to calibrate with, and the model names no dataset that is here: pass "
            "--data digits, --data cifar10:DIR, --data FOLDER of class folders, or "
            "--calibration FOLDER of images"
        )


def holds_ranges(made: Artifact) -> bool:
    """Whether a file can hold what a model trained for integers computes.

    Args:
        made: the artifact.
    """
    as_trained = made.format.name in ("keras", "saved_model")
    as_integers = (made.format.name, made.precision, made.quantizer) == ("tflite", "int8", "tensorflow")
    return (as_trained or as_integers) and not made.more_outputs


def name(path: Path, row: Row) -> Path:
    """The name that was asked for, or one that says that the file failed."""
    return path if row.passed else path.with_suffix(f".failed{path.suffix}")


def forget_failed(path: Path) -> None:
    """Removes the file, with what is beside it, that an earlier attempt left under the name of one that failed.

    Args:
        path: the name that was asked for; untouched.
    """
    failed = path.with_suffix(f".failed{path.suffix}")
    for each in (failed, golden.beside(failed), manifest.beside(failed)):
        each.unlink(missing_ok=True)


def place(made: Path, path: Path, overwrite: bool) -> None:
    """Gives a file its name.

    Args:
        made: the file, which is gone afterwards.
        path: the name.
        overwrite: replace an existing file.
    """
    if made.is_dir():
        _place_folder(made, path, overwrite)
    else:
        with files.writing(path, overwrite=overwrite) as temporary:
            temporary.write_bytes(made.read_bytes())
        made.unlink()


def _place_folder(made: Path, path: Path, overwrite: bool) -> None:
    """Copied beside its name, which it gets when it is complete; an old one goes last."""
    path = Path(os.path.realpath(path))  # a link stays
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    old = path.with_name(f".{path.name}.old")
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        shutil.copytree(made, beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if path.exists():
        os.rename(path, old)
    os.rename(beside, path)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(made)
