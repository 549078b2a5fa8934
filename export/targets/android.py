"""An Android Studio project with LiteRT's CompiledModel: the app of `examples/android` with the file in its assets."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.making import manifest
from export.proof import golden
from export.targets import assets, boxes, masks
from export.targets.bundle import Bundle, Check, Request, not_run, refused
from export.targets.description import GOLDEN
from export.targets.mediapipe import require_labels
from keras_resnet import processes
from keras_resnet.errors import InputError
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.outside import OUTSIDE, ROOTS
from keras_resnet.signals import image as images
from keras_resnet.tasks.detection import predictions
from keras_resnet.tasks.segmentation import answers
from keras_resnet.tasks.table import DEFAULT

_PROJECT = (
    "settings.gradle.kts",
    "build.gradle.kts",
    "gradle.properties",
    "app/build.gradle.kts",
    "app/src/main/AndroidManifest.xml",
    "app/src/main/java",
    "app/src/main/res",
)
_JAVA = "app/src/main/java"
_COUNT, _LEAST = 100, 0.99  # images on the emulated processor, share of equal classes
_EMULATED = 9.0  # seconds for a billion multiply-adds in float32 (measured: ResNet-18 at 96 pixels)
_COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
_SECONDS = 300
_WANTED = {
    DEFAULT: "labels, golden input and probabilities, a photo resized as in Python",
    "segmentation": "labels, golden input and probabilities, a photo resized, its mask in its own pixels and over it "
    "as in Python",
    "detection": "labels, golden input and outputs, a photo resized, objects, their boxes in its own pixels and over "
    "it as in Python",
}
FILES = {
    "app/src/main/java/com/example/classifier/Model.kt": "reads model.json",
    "app/src/main/java/com/example/classifier/Pixels.kt": "from an image to what the net takes, as in Python",
    "app/src/main/java/com/example/classifier/Net.kt": "pixels in, probabilities out; the self-test",
    "app/src/main/java/com/example/classifier/Classifier.kt": "the best classes",
    "app/src/main/java/com/example/classifier/Segmenter.kt": "classes of pixels, and their mask over a picture",
    "app/src/main/java/com/example/classifier/Detector.kt": "objects, suppression, and their boxes over a picture",
    "app/src/main/java/com/example/classifier/LiteRtEngine.kt": "LiteRT's CompiledModel",
    "app/src/main/java/com/example/classifier/Frames.kt": "frames of a camera, upright",
    "app/src/main/java/com/example/classifier/LiveCamera.kt": "CameraX, one frame after the other",
    "app/src/main/java/com/example/classifier/MainActivity.kt": "the screen",
}


def refuse(request: Request) -> None:
    """Raises InputError for a model without labels, which the app could not show."""
    require_labels(request)


def write(bundle: Bundle) -> list[Check]:
    """Copies the project around the file; runs the app's own code on a JVM and the file on an emulated phone."""
    assets.copy("android", bundle.folder, _PROJECT)
    checks = [*_on_jvm(bundle), *_on_arm64(bundle)]
    for each in (bundle.golden, manifest.beside(bundle.file)):  # nothing that the app does not read
        shutil.move(each, bundle.folder / each.name)
    return checks


def _on_arm64(bundle: Bundle) -> list[Check]:
    environment, name = OUTSIDE["arm64"], "an emulated arm64 processor"
    if environment.find() is None:
        return [not_run(name, environment.missing)]
    count = bundle.affordable(_EMULATED, _COUNT)
    try:
        if bundle.task != DEFAULT:
            bundle.say(f"android: running {count} images on {environment.summary}")
            other = open_runner(bundle.file, engine="arm64", trusted=True)
            if bundle.task == "detection":
                return [boxes.compared(bundle, name, other, count)]
            return [*masks.compared(bundle, name, other, count)]
        probabilities, _ = bundle.on("arm64", count)
    except InputError as error:
        return [refused(name, error)]
    apart = difference(bundle.probabilities[: len(probabilities)], probabilities, bundle.model["output"]["scale"])
    return [
        bundle.agreement("an emulated arm64 processor (Neoverse N1)", probabilities, _LEAST),
        Check(name="largest difference there", wanted="stated", found=apart, passed=True),
    ]


def difference(own: np.ndarray, other: np.ndarray, scale: float | None) -> str:
    """The largest difference of two engines, in units of the last place.

    Args:
        own: float32 probabilities `(n, classes)`.
        other: float32 probabilities of the other engine, of that shape.
        scale: of the output tensor where it is quantized, else None.

    Returns:
        In words.

    Example:
        >>> difference(np.float32([0.5]), np.nextafter(np.float32([0.5]), np.float32(1)), None)
        '1 units in the last place of a float32 (at 0.5), 6e-08 in all'
    """
    most = np.abs(own - other).max()
    if scale:
        return f"{round(float(most) / scale)} steps of the int8 output (1/{round(1 / scale)} each)"
    # Probabilities are not negative: their order as integers is their order as floats.
    places = np.abs(own.view(np.int32).astype(np.int64) - other.view(np.int32))
    where = np.unravel_index(places.argmax(), places.shape)
    return f"{places.max()} units in the last place of a float32 (at {own[where]:.2g}), {most:.1g} in all"


def jars() -> list[Path]:
    """The Kotlin compiler and what the app needs on a JVM; empty where `make check-android` was never run."""
    for root in ROOTS:
        found = sorted((root / ".kotlin").glob("*.jar"))
        if found:
            return [jar.absolute() for jar in found]
    return []


def compiled(sources: list[Path], target: Path) -> str:
    """Compiles Kotlin, warnings being errors.

    Args:
        sources: files and folders.
        target: a folder for the classes.

    Returns:
        What the compiler complains of; empty where all is well.
    """
    path = ":".join(map(str, jars()))
    options = ["-no-stdlib", "-no-reflect", "-Werror", "-classpath", path, "-d", str(target)]
    try:
        child = processes.run(["java", "-cp", path, _COMPILER, *options, *sources], seconds=_SECONDS)
    except TimeoutError as error:
        return str(error)
    return (child.err.strip() or f"exit status {child.status}") if child.status else ""


def _on_jvm(bundle: Bundle) -> list[Check]:
    """The app's Kotlin, compiled; what reads the folder and prepares pixels is run."""
    name = "the app's Kotlin on a JVM, reading this folder"
    if not jars() or not shutil.which("java"):
        return [not_run(name, "run 'make check-android' in the clone once; it needs a JDK")]
    bundle.say("android: compiling the app's Kotlin and running it on a JVM")
    with tempfile.TemporaryDirectory() as folder:
        classes, check = Path(folder, "classes"), assets.folder("android") / "check"
        complaints = compiled([bundle.folder / _JAVA, check], classes)
        if complaints:
            return [Check(name=name, wanted="compiles", found=complaints[:300], passed=False)]
        path = ":".join(map(str, [classes, *jars()]))
        photo = _photo(Path(folder), bundle)
        try:
            child = processes.run(["java", "-cp", path, "CheckKt", bundle.file.parent, *photo], seconds=_SECONDS)
        except TimeoutError as error:
            return [Check(name=name, wanted="answers", found=str(error), passed=False)]
    lines = child.out.splitlines()
    failed = [line.removeprefix("FAILED").strip() for line in lines if line.startswith("FAILED")]
    lost = [] if lines else child.lines[:1] or ["no answer"]
    held = sum(line.startswith("held") for line in lines)
    found = "; ".join(failed or lost) or f"{held} things tried, all held"
    return [
        Check(
            name=name,
            wanted=_WANTED[bundle.task],
            found=found[:300],
            passed=child.status == 0 and not failed and held > 0,
        )
    ]


def _photo(folder: Path, bundle: Bundle) -> list[str]:
    """A photo-sized image as the app gets it, and what Python makes of it."""
    height, width = 341, 530  # no multiple of anything
    rng = np.random.default_rng(0)
    grid = rng.integers(0, 256, (height // 20 + 1, width // 20 + 1, 3), np.uint8)
    pixels = images.scaled(grid, (height, width)).numpy()
    argb = np.full((height, width), 0xFF000000, np.uint32)
    for shift, channel in ((16, 0), (8, 1), (0, 2)):
        argb |= pixels[..., channel].astype(np.uint32) << shift
    source, expected = folder / "photo.argb", folder / "photo.rgb"
    source.write_bytes(argb.astype(">u4").tobytes())
    keep = bundle.runner.card.keep
    expected.write_bytes(images.resize(pixels, bundle.runner.image_shape[:2], keep).numpy().tobytes())
    given = [str(source), str(width), str(height), str(expected)]
    known = {"segmentation": _masks, "detection": _objects}.get(bundle.task)
    return [*given, *known(folder, bundle, pixels)] if known else given


def _golden(bundle: Bundle) -> dict[str, np.ndarray]:
    """The outputs that the app is told."""
    arrays, _ = golden.read(bundle.golden)
    count = json.loads((bundle.file.parent / GOLDEN).read_text(encoding="utf-8"))["count"]
    return {each.name: arrays[each.name][:count] for each in bundle.runner.outputs}


def _masks(folder: Path, bundle: Bundle, photo: np.ndarray) -> Iterator[str]:
    """The classes of the golden outputs; a mask of diagonals in the photo's own pixels, and over the photo."""
    card = bundle.runner.card
    found = answers.decode(_golden(bundle), card)
    classes = np.stack([each.classes for each in found])
    diagonals = (np.indices(classes.shape[1:]).sum(axis=0) % 3).astype(np.uint8)  # no neighbours are alike
    mask = dataclasses.replace(found[0], classes=diagonals).at(*photo.shape[:2], card.keep)
    over = answers.overlaid(photo, mask, np.array(bundle.model["colours"], np.uint8))
    for name, values in (("golden.classes", classes), ("photo.mask", mask), ("photo.overlay", over)):
        (folder / name).write_bytes(values.tobytes())
        yield str(folder / name)


def _objects(folder: Path, bundle: Bundle, photo: np.ndarray) -> Iterator[str]:
    """The objects of the golden outputs in 0..1; the first image's in the photo's own pixels, and over the photo."""
    found = predictions.decode(_golden(bundle), bundle.runner.card)
    placed = predictions.within(found[0], *photo.shape[:2], bundle.runner.card)
    scale = np.array([*bundle.runner.image_shape[1::-1]] * 2)
    over, line = photo.copy(), max(2, min(photo.shape[:2]) // 200)
    for box, kind in zip(placed.boxes[::-1], placed.classes[::-1], strict=True):
        left, top, right, bottom = np.floor(box + np.float32(0.5)).astype(int)
        inside = slice(top + line, max(top + line, bottom - line)), slice(left + line, max(left + line, right - line))
        kept = over[inside].copy()
        over[top:bottom, left:right] = bundle.model["colours"][kind]
        over[inside] = kept
    rows = [(n, each, each.boxes / scale) for n, each in enumerate(found)]
    for name, listed in (("golden.objects", rows), ("photo.objects", [(0, placed, placed.boxes)])):
        lines = [
            " ".join(map(str, (n, kind, score, *box)))
            for n, each, sides in listed
            for kind, score, box in zip(each.classes, each.scores, sides.tolist(), strict=True)
        ]
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        yield str(folder / name)
    (folder / "photo.boxes").write_bytes(over.tobytes())
    yield str(folder / "photo.boxes")
