"""Folders for the places where models run: contracts, what is written, and what is checked without the place itself.

The engines of the places are in `test_at_target.py`.
"""

import ast
import base64
import dataclasses
import errno
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from tiers import in_proof

from export import TARGETS, program
from export.commands import options
from export.formats.artifacts import LABELS
from export.formats.table import OUTSIDE
from export.proof.gates import Gate
from export.proof.report import Report, Row
from export.targets import assets, description, making, tflm, tflm_sources, web
from export.targets.bundle import Check
from export.targets.making import make_bundle
from export.targets.table import get_target
from keras_resnet.card import ModelCard
from keras_resnet.errors import GateError, InputError
from keras_resnet.runtime import outside
from keras_resnet.signals import image as images
from keras_resnet.tasks.segmentation.answers import Mask
from keras_resnet.untrusted import c_literal

ROOT = Path(__file__).resolve().parents[2]
FROM_EVERYTHING = {  # target: precision that `python -m export --all` makes in the way that the target wants it
    "tflm": "int8",
    "android": "float32",
    "onnxruntime": "float32",
    "onnxruntime-web": "float32",
    "litert-web": "float32",
}


# ---- contracts


@pytest.mark.parametrize(
    ("target", "choices", "advice"),
    [
        ("mediapipe", {"io": "int8"}, "use --io uint8 or float32"),
        ("mediapipe", {"input": "normalized"}, "use --input raw"),
        ("mediapipe", {"precision": "int16x8"}, "use --precision int8 or float32"),
        ("litert-sample", {"io": "uint8", "precision": "int8"}, "use --io float32"),
        ("litert-sample", {"input": "raw"}, "use --input tf"),
        ("tflm", {"precision": "float32"}, "use --precision int8"),
        ("tflm", {"io": "uint8"}, "use --io int8"),
        ("litert-web", {"precision": "int8", "io": "int8"}, "use --io float32"),
        ("onnxruntime", {"precision": "int4"}, "unknown precision"),
    ],
)
def test_what_a_contract_does_not_have_is_refused_with_what_would_do(target, choices, advice):
    with pytest.raises(InputError, match=re.escape(advice)):
        get_target(target).artifact(**choices)


@pytest.mark.parametrize("name", TARGETS)
def test_every_row_is_complete(name):
    row = TARGETS[name]
    assert (ROOT / "export" / "targets" / "steps" / f"{name}.md").read_text().strip()
    assert callable(row.code.refuse) and callable(row.code.write)
    for precision, dtypes in row.io.items():
        for dtype in dtypes:
            made = row.artifact(precision, io=dtype)
            assert (made.io, made.size, made.labels_file) == (dtype, row.size, row.labels_file)


def test_outside_engines_are_the_same_in_both_tables():
    assert set(OUTSIDE) == set(outside.OUTSIDE)


def test_an_unknown_target_has_a_suggestion():
    with pytest.raises(InputError, match="did you mean mediapipe"):
        get_target("mediapip")


def _small(source, channels=3, labels=True):
    model = keras.Sequential(
        [
            keras.Input((16, 16, channels)),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    card = source.card if labels else ModelCard()
    return dataclasses.replace(source, model=model, card=card, dataset=None)


@pytest.mark.parametrize("name", ["mediapipe", "litert-sample", "android"])
def test_a_model_without_labels_is_refused(name, source, tmp_path):
    with pytest.raises(InputError, match="expected 10 labels"):
        make_bundle(_small(source, labels=False), name, tmp_path / "b")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", TARGETS)
def test_a_grey_model_is_refused(name, source, tmp_path):
    with pytest.raises(InputError, match="RGB images, and the model takes 1 channels"):
        make_bundle(_small(source, channels=1), name, tmp_path / "b")


def test_the_current_folder_is_no_name(source):
    with pytest.raises(InputError, match="expected the name of a folder to make"):
        make_bundle(source, "onnxruntime", Path("."), overwrite=True)


def test_options_of_other_targets_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="--place mediapipe has no --flash"):
        make_bundle(source, "mediapipe", tmp_path / "b", options={"flash": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layout", "nchw"], "--layout does not go with --place"),
        (["--engine", "reference"], "--engine does not go with --place"),
        (["--metadata"], "--metadata does not go with --place"),
        (["--form", "classes"], "--form does not go with --place"),
        (["--quantizer", "litert", "--quantizer", "tensorflow"], "give one --quantizer"),
        (["--io", "int8"], "use --io uint8 or float32"),
    ],
)
def test_wrong_usage_has_one_line_and_status_2(arguments, said, capsys):
    assert program.alone("export", ["--place", "mediapipe", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_sizes_of_boards():
    sizes = {"98496": 98_496, "512K": 524_288, "2MiB": 2 << 20, "1.5m": 1_572_864}
    assert {text: options.size_in_bytes(text) for text in sizes} == sizes


@pytest.mark.parametrize("text", ["", "K", "0", "-4K", "12G", "many"])
def test_sizes_that_are_none(text):
    with pytest.raises(Exception, match="expected a size"):
        options.size_in_bytes(text)


@pytest.mark.parametrize(("size", "count"), [((32, 64), 8), ((200, 16), 2), ((16, 200), 2)])
def test_large_images_are_given_in_smaller_numbers(size, count, monkeypatch, tmp_path):
    pixels = np.zeros((8, *size, 3), np.uint8)
    arrays = {"pixels": pixels, "input": pixels.astype("f"), "probabilities": np.full((8, 2), 0.5, "f")}
    monkeypatch.setattr(description.golden, "read", lambda path: (arrays, {"engine": "x", "tolerance": 1e-3}))
    model = {"file": "m.tflite", "output": {"name": "probabilities", "shape": [1, 2]}}
    description.write(tmp_path, model, ModelCard())
    golden = json.loads((tmp_path / description.GOLDEN).read_text())
    assert (golden["count"], len(golden["top1"])) == (count, count)
    assert len(base64.b64decode(golden["pixels"])) == count * size[0] * size[1] * 3


# ---- folders, from files that `python -m export --all` has made


@pytest.fixture
def made_before(monkeypatch, everything, rows):
    """`make_bundle` takes these files in place of a conversion."""

    def export(source, targets, **options):
        ((made, path),) = targets
        file = everything / f"resnet8-{made.precision}{made.format.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", ".golden.npz", ".manifest.json"):
            shutil.copyfile(f"{file}{suffix}", f"{path}{suffix}")
        row = dict(rows[made.format.name, made.precision])
        row |= {"score": row.pop("top1"), "score_reference": row.pop("top1_reference")}
        row |= {"gates": tuple(Gate(**gate) for gate in row["gates"]), "notes": tuple(row["notes"]), "file": str(path)}
        return Report((Row(**row),), source.origin, "images")

    monkeypatch.setattr(making, "export", export)
    for environment in outside.OUTSIDE.values():  # their own tests are elsewhere
        monkeypatch.setenv(environment.variable, "")
    monkeypatch.setattr(outside.Environment, "find", lambda self: None)
    monkeypatch.setattr(web, "is_ready", lambda: False)
    monkeypatch.setattr("export.targets.android.jars", list)


def _input(name):
    return None if name == "tflm" else "normalized"


@pytest.mark.slow
@pytest.mark.parametrize("name", FROM_EVERYTHING)
def test_the_folder_of_a_target(name, source, made_before, tmp_path):
    folder = tmp_path / "b"
    result = make_bundle(source, name, folder, precision=FROM_EVERYTHING[name], input=_input(name), limit=100)
    assert result.passed, [check for check in result.checks if check.passed is False]
    place = folder / TARGETS[name].place
    model = json.loads((place / "model.json").read_text())
    assert (place / model["file"]).exists()
    assert (place / model["labels"]).read_text().splitlines() == list(source.card.labels)
    text = (folder / "README.md").read_text()
    assert f"# resnet8 for {name}" in text and "## Use it" in text and "| held |" in text
    assert "$" not in text.replace('assets.open("model/$it")', "").replace("${model.file}", "")
    assert json.loads((folder / "report.json").read_text())["checks"] == [check.to_json() for check in result.checks]
    described = set(re.findall(r"^\* `(.+?)`:", text, re.M))
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"README.md"}
    if name != "android":  # of which the README names what one may want to read
        assert described == present
    _golden_vectors_are_the_keras_models(place, model, source)


def _golden_vectors_are_the_keras_models(place, model, source):
    golden = json.loads((place / model["golden"]).read_text())
    count, size = golden["count"], model["input"]["height"]
    pixels = np.frombuffer(base64.b64decode(golden["pixels"]), np.uint8).reshape(count, size, size, 3)
    probabilities = np.frombuffer(base64.b64decode(golden["probabilities"]), np.float32).reshape(count, -1)
    keras_ = source.model.predict(source.card.preprocess(pixels), verbose=0)
    assert np.abs(probabilities - keras_).max() < (0.2 if model["precision"] == "int8" else 1e-4)
    assert golden["top1"] == probabilities.argmax(axis=1).tolist()
    # `real = (pixel - mean) / std`, and `round(real / scale) + zero_point`: what every app computes.
    image = model["input"]
    real = (pixels - np.float32(image["mean"])) / np.float32(image["std"])
    if image["dtype"] == "float32":
        given = np.frombuffer(base64.b64decode(golden["input"]), "<f4").reshape(real.shape)
        np.testing.assert_allclose(given, real, atol=1e-5)
    else:
        given = np.frombuffer(base64.b64decode(golden["input"]), np.int8).reshape(real.shape)
        assert np.array_equal(given, np.clip(np.round(real / image["scale"]) + image["zero_point"], -128, 127))
        raw = np.frombuffer(base64.b64decode(golden["output"]), np.int8).reshape(probabilities.shape)
        output = model["output"]
        np.testing.assert_allclose((raw - np.float32(output["zero_point"])) * output["scale"], probabilities)


@pytest.mark.slow
def test_a_failed_check_keeps_the_folder_under_a_name_that_says_so(source, made_before, tmp_path, monkeypatch):
    folder = tmp_path / "b"
    make_bundle(source, "onnxruntime", folder, input="normalized", limit=20)
    before = (folder / "README.md").read_text()
    failing = Check(name="the moon", wanted="full", found="new", passed=False)
    monkeypatch.setattr("export.targets.onnxruntime.write", lambda made: [failing])
    result = make_bundle(source, "onnxruntime", folder, input="normalized", limit=20, overwrite=True)
    assert result.folder.name == "b.failed" and result.folder.is_dir()
    assert "| the moon | full | new | FAILED |" in (result.folder / "README.md").read_text()
    assert (folder / "README.md").read_text() == before
    with pytest.raises(GateError, match="the moon: new"):
        result.raise_if_failed()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.failed"]


@pytest.mark.slow
def test_nothing_is_overwritten_unasked(source, made_before, tmp_path):
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists: choose another name"):
        make_bundle(source, "onnxruntime", folder, input="normalized")
    with pytest.raises(InputError, match="was not made by an export"):
        make_bundle(source, "onnxruntime", folder, input="normalized", overwrite=True)
    assert (folder / "thesis.txt").exists()


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_nothing_behind(source, made_before, tmp_path, monkeypatch):
    def full(made):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("export.targets.onnxruntime.write", full)
    with pytest.raises(InputError, match="disk full while writing"):
        make_bundle(source, "onnxruntime", tmp_path / "b", input="normalized", limit=20)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_of_somebody_elses_that_is_called_failed_stays(source, made_before, tmp_path):
    (tmp_path / "b.failed").mkdir()
    with pytest.raises(InputError, match="b.failed was not made by an export"):
        make_bundle(source, "onnxruntime", tmp_path / "b", input="normalized", limit=20)


@pytest.mark.slow
def test_an_error_leaves_nothing_behind(source, made_before, tmp_path, monkeypatch):
    def stopped(made):
        raise KeyboardInterrupt

    monkeypatch.setattr("export.targets.onnxruntime.write", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_bundle(source, "onnxruntime", tmp_path / "b", input="normalized", limit=20)
    assert not any(tmp_path.iterdir())


# ---- tflm


@pytest.fixture
def firmware(source, made_before, tmp_path):
    """The folder for a microcontroller."""
    result = make_bundle(source, "tflm", tmp_path / "firmware", limit=100)
    return result.folder


needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler here")
needs_cmake = pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("c++")), reason="no CMake or C++ here")


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("model_io.c", r"float mean\[.*", "float mean[3] = {9.f, 9.f, 9.f};", "differ, the array is a TFLite file"),
        ("model_io.c", r"int best = 0", "int best = 0, unused = 1", "unused"),
        ("model_data.c", r"84, 70, 76, 51", "84, 70, 76, 52", "no TFLite file"),
        # A class above 255 compiles, and is another answer.
        (
            "model_golden.c",
            r"(model_number golden_answers\[.*\] = {\n    )\d+",
            r"\g<1>999",
            "and 1 of 4 answers differ",
        ),
    ],
)
def test_damaged_sources_are_found(firmware, file, old, new, said):
    text = (firmware / file).read_text()
    changed = re.sub(old, new, text, count=1)
    assert changed != text
    (firmware / file).write_text(changed)
    (check,) = tflm._compiled(firmware)
    assert not check.passed and said in check.found


HOSTILE = ("\x1b[31mred\x1b]0;x\x07", "a|b<script>`", '??/\\"%s', "甲虫 🐞", *"456789")


@pytest.mark.slow
@needs_compiler
def test_c_sources_with_hostile_class_names_compile(firmware):
    source = firmware / "model_io.c"
    literals = ",\n".join(f"    {c_literal(name)}" for name in HOSTILE)
    plain = ",\n".join(f'    "{name}"' for name in "0123456789")
    assert plain in source.read_text()
    source.write_text(source.read_text().replace(plain, literals))
    (check,) = tflm._compiled(firmware)
    assert check.passed, check.found


@pytest.mark.proof
@needs_compiler
def test_bundles_show_hostile_class_names_written_out(source, tmp_path):
    hostile = dataclasses.replace(source, card=dataclasses.replace(source.card, labels=HOSTILE))
    result = make_bundle(hostile, "tflm", tmp_path / "b", limit=20)
    assert all(check.passed is not False for check in result.checks)
    for path in (tmp_path / "b").iterdir():
        if path.suffix in (".md", ".c", ".h", ".txt", ".json"):
            assert "\x1b" not in path.read_text()
    said = (tmp_path / "b" / "README.md").read_text()
    assert r"\x1b[31mred" in said and r"a\|b&lt;script>'" in said


@pytest.mark.slow
def test_a_changed_byte_of_the_array_is_found(source, made_before, tmp_path, monkeypatch):
    def changed(values, **how):
        return "    1,\n" + ", ".join(map(str, values[1:].tolist()))

    monkeypatch.setattr(tflm_sources, "rows", changed)
    result = make_bundle(source, "tflm", tmp_path / "b", limit=20)
    checks = {check.name: check for check in result.checks}
    assert checks["the C array, byte for byte"].passed is False
    assert result.folder.name == "b.failed"


@pytest.mark.slow
def test_the_operators_are_those_of_the_file(firmware):
    text = (firmware / "model_operators.h").read_text()
    assert re.findall(r"resolver\.Add(\w+)\(\)", text) == ["Add", "Conv2D", "FullyConnected", "Mean", "Softmax"]
    assert "kModelOperators = 5" in text
    assert json.loads((firmware / "fit.json").read_text())["measured_arena"] is None


STAND_IN = {  # of TFLite Micro: its API as main.cc uses it, answering with the golden outputs
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """#pragma once
#include <cstddef>
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
template <unsigned int n> class MicroMutableOpResolver {
 public:
  TfLiteStatus AddAdd() { return kTfLiteOk; }
  TfLiteStatus AddConv2D() { return kTfLiteOk; }
  TfLiteStatus AddFullyConnected() { return kTfLiteOk; }
  TfLiteStatus AddMean() { return kTfLiteOk; }
  TfLiteStatus AddSoftmax() { return kTfLiteOk; }
};
}
""",
    "tensorflow/lite/micro/micro_interpreter.h": """#pragma once
#include <cstdint>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
struct TfLiteTensor { union { int8_t* int8; void* raw; } data; size_t bytes; };
namespace tflite {
class MicroInterpreter {
 public:
  template <unsigned int n>
  MicroInterpreter(const Model*, const MicroMutableOpResolver<n>&, uint8_t*, size_t) {}
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteTensor* input(size_t);
  TfLiteTensor* output(size_t);
  TfLiteStatus Invoke();
  size_t arena_used_bytes() { return 1; }
};
}
""",
    "tensorflow/lite/micro/system_setup.h": "#pragma once\nnamespace tflite { void InitializeTarget(); }\n",
    "tensorflow/lite/schema/schema_generated.h": """#pragma once
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model { unsigned version() const { return 3; } };
const Model* GetModel(const void*);
}
""",
    "tensorflow/lite/micro/all.cc": """#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
extern "C" const int8_t golden_outputs[];
namespace tflite {
static int8_t in[32 * 32 * 3], out[10];
static TfLiteTensor input_{{in}, sizeof in}, output_{{out}, sizeof out};
static Model model;
void InitializeTarget() {}
const Model* GetModel(const void*) { return &model; }
TfLiteTensor* MicroInterpreter::input(size_t) { return &input_; }
TfLiteTensor* MicroInterpreter::output(size_t) { return &output_; }
TfLiteStatus MicroInterpreter::Invoke() {
  static int calls = 0;
  for (int i = 0; i < 10; ++i) out[i] = golden_outputs[10 * calls + i] OFFSET;
  ++calls;
  return kTfLiteOk;
}
}
""",
}


@pytest.mark.slow
@needs_cmake
@pytest.mark.parametrize(("offset", "passed"), [("", True), ("/ 2", False)])
def test_the_example_builds_with_a_tree_and_compares(source, made_before, tmp_path, offset, passed):
    tree = tmp_path / "tree"
    for name, text in STAND_IN.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text.replace("OFFSET", offset))
    result = make_bundle(source, "tflm", tmp_path / "b", options={"tflm_tree": tree}, limit=50)
    check = result.checks[-1]
    assert check.passed is passed, check.found
    assert ("4 of 4 golden vectors held" in check.found) is passed
    assert not (result.folder / "build").exists()


# ---- onnxruntime


@pytest.mark.slow
def test_classify_answers_like_our_own_command(source, made_before, tmp_path):
    from PIL import Image

    folder = make_bundle(source, "onnxruntime", tmp_path / "b", input="normalized", limit=50).folder
    pixels = source.evidence(1).pixels[0]
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    command = [sys.executable, str(folder / "classify.py"), str(tmp_path / "digit.png")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    best = source.model.predict(source.card.preprocess(pixels[None]), verbose=0)[0].argmax()
    assert f"digit.png: {source.card.labels[best]} " in found.stdout


# ---- the page and the app read what the folder holds


needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no Node.js here")


@needs_node
@pytest.mark.parametrize(
    ("height", "width", "keep"),
    [(341, 530, 0.875), (20, 50, 1.0), (224, 224, 1.0), (9, 9, 0.5)]
    + [(341, 530, "pad"), (20, 50, "stretch"), (341, 30, "own")],
)
def test_the_page_resizes_as_python_does_and_brings_masks_back(height, width, keep, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    rgba = np.dstack([pixels, np.full((height, width, 1), 255, np.uint8)])
    (tmp_path / "in").write_bytes(rgba.tobytes())
    script = f"""
      import {{readFileSync, writeFileSync}} from 'node:fs';
      import {{framed}} from {json.dumps((assets.folder("web") / "pixels.js").as_uri())};
      import {{mapped}} from {json.dumps((assets.folder("web") / "segmentation.js").as_uri())};
      const image = {{data: readFileSync('in'), width: {width}, height: {height}}};
      const input = {{height: 32, width: 48, {_how(keep)}}};
      writeFileSync('out', framed(image, input));
      writeFileSync('mask', mapped(Uint8Array.from({{length: 32 * 48}}, (_, n) => n % 251), image, input));
    """
    subprocess.run(["node", "--input-type=module", "-e", script], cwd=tmp_path, check=True, capture_output=True)
    found = np.frombuffer((tmp_path / "out").read_bytes(), np.uint8).reshape(32, 48, 3)
    expected = images.resize(pixels, (32, 48), keep).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1
    classes = (np.arange(32 * 48) % 251).astype(np.uint8).reshape(32, 48)
    found = np.frombuffer((tmp_path / "mask").read_bytes(), np.uint8).reshape(height, width)
    assert (found == Mask("", {}, classes).at(height, width, keep)).mean() > 0.997  # a column between two


def _how(keep):
    return f"crop: {1.0 if isinstance(keep, str) else keep}, fit: '{keep if isinstance(keep, str) else 'crop'}'"


@pytest.mark.slow
def test_the_app_asks_for_fields_that_the_exporter_writes(source, made_before, tmp_path):
    result = make_bundle(source, "android", tmp_path / "b", precision="int8", input="raw", limit=20)
    place = result.folder / TARGETS["android"].place
    kotlin = next(result.folder.rglob("Model.kt")).read_text()
    model = json.loads((place / "model.json").read_text())
    golden = json.loads((place / model["golden"]).read_text())
    known = {*model, *model["input"], *model["output"], *golden, "model.json"}
    asked = set(re.findall(r'(?:getValue|text|floats|bytes)\("(\w+)"\)', kotlin))
    assert {"version", "format", "file", "input", "output", "labels", "golden"} <= asked
    assert {"dtype", "scale", "zero_point", "mean", "std", "crop", "channels", "tolerance"} <= asked
    assert asked - {"form"} <= known  # of boxes alone, whose own test is test_box_apps.py
    assert model["version"] == 1 and "jsonPrimitive.int == 1" in kotlin
    engine = next(result.folder.rglob("LiteRtEngine.kt")).read_text()
    dtype = model["input"]["dtype"]
    assert {"int8": "writeInt8", "float32": "writeFloat"}[dtype] in engine
    app = next(result.folder.rglob("MainActivity.kt")).read_text()
    assert f'FOLDER = "{Path(TARGETS["android"].place).name}"' in app


@pytest.mark.parametrize("runtime", ["onnxruntime-web", "@litertjs/core"])
def test_the_page_finds_its_runtimes_where_npm_puts_them(runtime):
    page = (assets.folder("web") / "index.html").read_text()
    package = json.loads((assets.folder("web") / "package.json").read_text())
    assert runtime in package["dependencies"]
    assert f"./node_modules/{runtime}/" in page


# ---- whole commands


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mediapipe", in_proof("litert-sample")])
def test_the_command_makes_a_folder(name, tmp_path, capsys):
    arguments = ["--place", name, "--model", "resnet8", "--weights", "digits", "-o", "b", "--samples", "50"]
    assert program.alone("export", [*arguments, "--json", "b.json"]) == 0
    out = capsys.readouterr().out
    assert "at the target" in out and "next: the steps are in b/README.md" in out
    checks = {check["name"]: check["passed"] for check in json.loads(Path("b.json").read_text())["checks"]}
    file = next(Path("b").glob("*.tflite"))
    labels = TARGETS[name].labels_file
    with zipfile.ZipFile(file) as archive:
        assert labels in archive.namelist()
    assert labels == (LABELS if name == "mediapipe" else "labels_without_background.txt")
    if name == "litert-sample":
        assert all(checks.values()) and len(checks) == 3
        assert json.loads((Path("b") / "model.json").read_text())["input"]["shape"] == [1, 224, 224, 3]
    assert program.alone("export", arguments) == 2
    assert "b exists" in capsys.readouterr().err


def test_a_files_name_is_text_in_code(trained_names=("a\"+print('x')+\".tflite", "we'ird\\.tflite")):
    """What a person calls a model is nothing that runs."""
    from export.targets import mediapipe

    for name in trained_names:
        code = mediapipe._CODE.substitute(file=repr(name), **mediapipe._SHOWN["classification"])
        texts = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
        assert name in texts
