"""TensorFlow Lite for Microcontrollers: C sources, operators to register, an example, and what it takes of a board."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export import memory
from export.model import outputs
from export.proof import golden
from export.targets import tflm_sources
from export.targets.bundle import FEW, Bundle, Check, Request, not_run, refused
from export.targets.tflm_sources import OPERATORS
from export.targets.tflm_tasks import ANSWERS
from keras_resnet import processes
from keras_resnet.builder import build
from keras_resnet.data import SOURCES
from keras_resnet.errors import InputError
from keras_resnet.localizer import localizer
from keras_resnet.nets.graph import without_values
from keras_resnet.nets.specs import SPECS
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.outside import OUTSIDE
from keras_resnet.segmenter import decoded
from keras_resnet.tasks.segmentation.head import spec_of
from keras_resnet.tasks.segmentation.settings import Settings
from keras_resnet.tasks.table import DEFAULT

_C = ("model_data.c", "model_golden.c", "model_io.c", "check_io.c")
_REFERENCE = 0.9  # seconds of the reference kernels for a billion multiply-adds (measured: ResNet-8)
_SMALL = ("resnet10t", "resnet8")  # backbones that are tried where a net of masks is too large
_DECODERS = tuple(itertools.product(("unet", "deeplabv3plus", "fcn"), (3, 2), (16, 8)))  # row; stages; width
_SHARES = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4)  # of height and width, that are tried where a net of one object is too large
_STRICT = ("-Wall", "-Wextra", "-Werror", "-O1")
FILES = {
    "model_data.h": "the file as a C array",
    "model_data.c": "its bytes",
    "model_io.h": "size, labels, how pixels become the input tensor, and the answer of the output tensors, in plain C",
    "model_io.c": "the same",
    "model_golden.h": "vectors for the board to test itself with",
    "model_golden.c": "the same",
    "model_operators.h": "exactly the operators of the file, for MicroMutableOpResolver, and the size of the arena",
    "model_show.h": "prints an answer, for the next two",
    "main.cc": "runs the golden vectors on TFLite Micro and compares",
    "check_io.c": "tests the plain C part without TFLite Micro",
    "CMakeLists.txt": "builds both, for the host or a board",
    "fit.json": "flash and RAM, for machines",
}


def refuse(request: Request) -> None:
    """Raises InputError where the board has not enough, and says what would fit."""
    flash, ram = request.options.get("flash"), request.options.get("ram")
    tree = request.options.get("tflm_tree")
    if tree is not None and not (Path(tree) / "tensorflow" / "lite" / "micro").is_dir():
        raise InputError(f"--tflm-tree {tree}: expected a tree of TFLite Micro, with tensorflow/lite/micro in it")
    if flash is None and ram is None:
        return
    try:
        bits = 4 if request.made.precision == "int8x4" else 8
        found = memory.of_model(request.source.model, raw=_has_front(request), bits=bits)
    except InputError:
        return  # it is read off the file, after the conversion
    lacking = _lacking(found, flash, ram)
    if lacking:
        advice = ": ".join(_largest(request, flash, ram))
        raise InputError(f"{request.source.name} takes about {lacking}. {advice}")


def _has_front(request: Request) -> bool:
    return request.made.convention(request.source.card.preprocess) != request.source.card.preprocess


def _lacking(found: memory.Fit, flash: int | None, ram: int | None) -> str:
    parts = [("flash", found.flash, flash), ("RAM", found.arena, ram)]
    return " and ".join(f"{n:,} bytes of {what} (--{what.lower()} {m:,})" for what, n, m in parts if m and n > m)


def _largest(request: Request, flash: int | None, ram: int | None) -> tuple[str, str]:
    """The largest net that fits, in words, and the command that trains it."""
    if request.source.card.task != DEFAULT:
        return {"segmentation": _largest_of_masks, "localization": _largest_of_one}[request.source.card.task](
            request, flash, ram
        )
    classes = request.source.model.output_shape[-1]
    best = memory.largest(flash or memory.MOST_FLASH, ram or memory.MOST_RAM, request.source.shape, classes)
    if best is None:
        height, width, _ = request.source.shape
        return f"No variant of the table fits at {height} x {width}", "use a smaller image"
    name, size = best
    words = f"{size.flash:,} bytes of flash, {size.arena:,} of RAM"
    return (
        f"The largest variant that fits at this image size is {name} ({words})",
        f"keras-resnet train {_data(request)} --model {name}",
    )


def _largest_of_masks(request: Request, flash: int | None, ram: int | None) -> tuple[str, str]:
    """Finds a net of masks that fits, on its own backbone or on a small one: fewer stages, a narrower decoder."""
    height, width, _ = request.source.shape
    best: tuple[int, str, str] | None = None
    for name in dict.fromkeys([request.source.card.spec or "", *_SMALL]):
        for decoder, stages, channels in _DECODERS if name in SPECS else ():
            try:
                with without_values():
                    found = memory.of_model(_with_decoder(request, name, decoder, stages, channels))
            except InputError:
                continue  # the image is not divisible by its stride
            if _lacking(found, flash, ram) or (best and best[0] >= found.flash):
                continue
            size = f"{found.flash:,} bytes of flash, {found.arena:,} of RAM"
            words = f"{decoder} on {stages} stages of {name} fits at {height} x {width} ({size})"
            chosen = f"--set head.decoder={decoder} --set head.stages={stages} --set head.width={channels}"
            best = found.flash, words, f"--model {name} {chosen}"
    if best is None:
        return f"No small net of masks fits at {height} x {width}", "use a smaller image"
    data = shlex.quote(request.source.card.dataset or "DATA")
    return best[1], f"keras-resnet train {data} --image-size {height} --set image_width={width} {best[2]}"


def _with_decoder(request: Request, name: str, decoder: str, stages: int, width: int) -> keras.Model:
    backbone = build(name, include_top=False, input_shape=request.source.shape)
    spec = spec_of(Settings(decoder=decoder, stages=stages, width=width))
    return decoded(backbone, spec, request.source.model.output_shape[-1], stages=stages)


def _largest_of_one(request: Request, flash: int | None, ram: int | None) -> tuple[str, str]:
    """Finds a net of one object that fits, on its own backbone or on a small one: at its own size, or a smaller one."""
    height, width, channels = request.source.shape
    classes = outputs.named(request.source.model, request.source.card)["logits"].shape[-1]
    names = [name for name in dict.fromkeys([request.source.card.spec or "", *_SMALL]) if name in SPECS]
    for share in _SHARES:
        rows, columns = (max(8, round(side * share / 8) * 8) for side in (height, width))
        fitting: list[tuple[int, str, str]] = []
        for name in names:
            with without_values():
                net = localizer(name, classes=classes, input_shape=(rows, columns, channels))
                found = memory.of_model(net, raw=_has_front(request))
            if not _lacking(found, flash, ram):
                fitting.append((found.flash, name, f"{found.flash:,} bytes of flash, {found.arena:,} of RAM"))
        if fitting:
            _, name, size = max(fitting)
            data = shlex.quote(request.source.card.dataset or "DATA")
            across = "" if rows == columns else f" --set image_width={columns}"
            command = f"keras-resnet train {data} --task localization --model {name} --image-size {rows}{across}"
            return f"A localization on {name} fits at {rows} x {columns} ({size})", command
    return "No small net of one object fits at a quarter of its size", "use a board with more memory"


def _data(request: Request) -> str:
    """What another net is trained on: one's own photos, if the model was, by the recipe for them."""
    own = request.source.card.dataset
    if own and own not in SOURCES and request.source.card.signal == "image":
        return f"--data {shlex.quote(own)} --image-size {request.source.shape[0]}"
    return "--recipe fast"


def write(bundle: Bundle) -> list[Check]:
    """Writes the sources; compiles the plain C part, runs it, and runs the file on TFLite Micro where these are."""
    arrays, about = golden.read(bundle.golden)
    operators = bundle.request.made.format.module.describe(bundle.file).operators
    found = memory.of_file(bundle.file)
    unknown = sorted(set(operators) - set(OPERATORS))
    checks = [
        Check(
            name="operators that TFLite Micro has",
            wanted="all",
            found=f"not {', '.join(unknown)}" if unknown else f"all {len(operators)}: {', '.join(sorted(operators))}",
            passed=not unknown,
        )
    ]
    if unknown:
        return checks
    tflm_sources.write(bundle, operators, found, arrays, about)
    checks += [_same_bytes(bundle), *_compiled(bundle.folder)]
    micro, arena = _micro(bundle, found, arrays, about)
    _report(bundle, found, operators, arena)
    return [*checks, *micro, *_board(bundle.request, found), _example(bundle)]


def _board(request: Request, found: memory.Fit) -> list[Check]:
    """The file beside what the board has, if that was said."""
    flash, ram = request.options.get("flash"), request.options.get("ram")
    if not (flash or ram):
        return []
    lacking = _lacking(found, flash, ram)
    have = f"{found.flash:,} bytes of flash, {found.arena:,} of RAM"
    wanted = ", ".join(f"{what} {size:,}" for what, size in (("flash", flash), ("RAM", ram)) if size)
    return [
        Check(name="fits the board", wanted=wanted, found=lacking or have, passed=not lacking),
        Check(name="what else would fit", wanted="stated", found=_largest(request, flash, ram)[0], passed=True),
    ]


def _micro(bundle: Bundle, found: memory.Fit, arrays, about) -> tuple[list[Check], int | None]:
    """The file on TFLite Micro itself, and the arena that it takes there."""
    environment = OUTSIDE["tflm"]
    if environment.find() is None:
        words = f"{found.arena:,} bytes by the plan; measured by TFLite Micro only"
        return [not_run("TFLite Micro", environment.missing), not_run("arena", words)], None
    try:
        runner = open_runner(bundle.file, engine="tflm", trusted=True)
        bundle.say(f"tflm: running images on {environment.summary}")
        agreement = ANSWERS[bundle.task].agreement(bundle, runner, bundle.affordable(_REFERENCE, FEW))
        vectors = _vectors(runner, arrays, about)
    except InputError as error:
        return [refused("TFLite Micro", error)], None
    known: Mapping[str, Any] = getattr(runner, "facts")  # noqa: B009  # of outside engines
    total, head = int(known["arena_total"]), int(known["arena_head"])
    return [
        vectors,
        agreement,
        Check(
            name="arena: activations",
            wanted=f"{found.activations:,} bytes by the plan",
            found=f"{head:,} bytes",
            passed=head == found.activations,
        ),
        Check(
            name="arena: all of it (64-bit)",
            wanted=f"{found.arena:,} bytes by the plan, 5 % more at most",
            found=f"{total:,} bytes",
            passed=total <= 1.05 * found.arena,
        ),
    ], total


def _vectors(runner: Runner, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Check:
    """Every output on the golden images, beside what LiteRT gave."""
    found = runner.run(runner.card.preprocess(arrays["pixels"]))
    most = {name: golden.tolerance(about, name) for name in found}
    apart = {name: float(np.abs(values - arrays[name]).max()) for name, values in found.items()}

    def words(each: Mapping[str, float]) -> str:
        return ", ".join(f"{value:.3g}" + (f" ({name})" if len(each) > 1 else "") for name, value in each.items())

    return Check(
        name="golden vectors on TFLite Micro",
        wanted=f"at most {words(most)} apart",
        found=words(apart),
        passed=all(apart[name] <= most[name] for name in found),
    )


def _report(bundle: Bundle, found: memory.Fit, operators, arena: int | None) -> None:
    """Writes `fit.json`."""
    value = {
        "flash": found.flash,
        "activations": found.activations,
        "structures": found.structures,
        "arena": found.arena,
        "measured_arena": arena,
        "operators": [OPERATORS[name] for name in sorted(operators)],
    }
    bundle.add("fit.json", json.dumps(value, indent=1) + "\n")


def _same_bytes(bundle: Bundle) -> Check:
    """The array, read back from the source."""
    body = (bundle.folder / "model_data.c").read_text(encoding="utf-8").rpartition("{")[2].partition("}")[0]
    array = bytes(int(number) for number in body.replace("\n", " ").split(","))
    same = array == bundle.file.read_bytes()
    return Check(
        name="the C array, byte for byte",
        wanted=f"{bundle.file.stat().st_size:,} bytes of {bundle.file.name}",
        found="equal" if same else "different",
        passed=same,
    )


def _compiled(folder: Path) -> list[Check]:
    """The part without TFLite Micro, with the strictest warnings, run on this machine."""
    name = f"plain C with {' '.join(_STRICT[:3])}, and its test"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return [not_run(name, "no C compiler here (Debian: apt-get install gcc)")]
    program = folder / "check_io"
    sources = [folder / each for each in _C]
    built = processes.run([compiler, "-std=c11", *_STRICT, *sources, "-o", program, "-lm"])
    if built.status:
        return [Check(name=name, wanted="compiles", found=built.err.strip()[:300], passed=False)]
    ran = processes.run([program])
    program.unlink()
    said = (ran.out.strip().splitlines() or [f"exit status {ran.status}"])[-1]
    return [Check(name=name, wanted="pixels become the golden input", found=said, passed=ran.status == 0)]


def _example(bundle: Bundle) -> Check:
    """`main.cc`, where there is a tree to compile it with."""
    name = "main.cc on the host, linked with TFLite Micro"
    tree = bundle.request.options.get("tflm_tree")
    if tree is None:
        return not_run(name, "no tree of TFLite Micro was given: --tflm-tree DIR")
    if shutil.which("cmake") is None:
        return not_run(name, "no CMake here (Debian: apt-get install cmake g++)")
    build = bundle.folder / "build"
    try:
        for command in (
            ["cmake", "-S", str(bundle.folder), "-B", str(build), f"-DTFLM_TREE={Path(tree).absolute()}"],
            ["cmake", "--build", str(build), "-j2"],
            [str(build / "classify")],
        ):
            bundle.say(f"tflm: {' '.join(command[:2])} ...")
            done = processes.run(command)
            if done.status:
                lines = (done.err.strip() or done.out.strip() or "no message").splitlines()
                return Check(name=name, wanted="all golden vectors held", found=lines[-1][:300], passed=False)
        return Check(name=name, wanted="all golden vectors held", found=done.out.strip().splitlines()[-1], passed=True)
    finally:
        shutil.rmtree(build, ignore_errors=True)
