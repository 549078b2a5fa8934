"""A net of one object on a microcontroller: plain C beside NumPy, and TFLite Micro itself."""

import dataclasses
import json
import os
import re
import shutil
import subprocess

import boxed
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from scipy.special import softmax
from test_targets import STAND_IN, needs_cmake, needs_compiler

import keras_resnet
from export import load_source, make_bundle, memory
from export.proof import golden
from export.targets import tflm
from keras_resnet import InputError, ModelCard
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.outside import OUTSIDE, Environment
from keras_resnet.runtime.tflite import TFLiteRunner
from keras_resnet.signals.conventions import PREPROCESS

NAMES = ("red", "green", "blue", "grey")  # as many as a box has numbers: only their names tell the outputs apart
SIZE = (32, 48)
LENIENT = {"gates": {"drop": 100.0, "agreement": 0.0}}  # the place is judged here; nobody trained the net
IO = "plain C with -Wall -Wextra -Werror, and its test"


def _source(size=SIZE, depths=(1, 1), width=8, count=8):
    """A net that nobody trained, whose boxes lie in the middle and move with the picture."""
    keras.utils.set_random_seed(3)
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=depths, width=width)
    model = keras_resnet.localizer(spec, classes=len(NAMES), input_shape=(*size, 3))
    for name, gain in (("logits", 1.0), ("box_size", 4.0), ("box_place_conv", 4.0)):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * gain, bias])
    pixels = boxed.images(3 * count, size)
    pixels[:, 0, 0], pixels[:, 0, 1] = 0, 255  # all of a camera's range
    rows = np.full((len(pixels), 1, 7), -1, "f")
    rows[:, 0] = [10, 5, 30, 25, 1, 0, 400]
    frames = np.tile(np.float32(size), (len(pixels), 1))
    parts = [
        ArraySplit({"image": pixels[part::3], "boxes": rows[part::3], "frame": frames[part::3]}) for part in range(3)
    ]
    facts = {"names": list(NAMES), "size": list(size)}
    card = ModelCard(task="localization", facts=facts, labels=NAMES, preprocess=PREPROCESS["tf"])
    return load_source((model, card), dataset=Dataset("own", NAMES, (*size, 3), *parts, truth="boxes"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder for a board, without TFLite Micro, and its checks by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Environment, "find", lambda self: None)
        result = make_bundle(_source(), "tflm", tmp_path_factory.mktemp("boards") / "b", **LENIENT)
    assert result.passed, [check for check in result.checks if check.passed is False]
    return result.folder, {check.name: check for check in result.checks}


@pytest.fixture
def firmware(made, tmp_path):
    """A copy of the folder to damage."""
    return shutil.copytree(made[0], tmp_path / "b")


def _array(folder, name):
    """Numbers of an array in model_golden.c."""
    body = re.search(rf" {name}\[[^]]*\] = {{(.*?)}};", (folder / "model_golden.c").read_text(), re.DOTALL).group(1)
    return np.array([float(number.rstrip("f")) for number in body.replace("\n", " ").split(",")])


def _by_numpy(outputs, size=SIZE):
    """Class, probability and corners in pixels, from float outputs by name."""
    shares, (x, y, width, height) = softmax(outputs["logits"].astype("d"), axis=1), outputs["box"].astype("d").T
    across, down = np.clip([x - width / 2, x + width / 2], 0, 1), np.clip([y - height / 2, y + height / 2], 0, 1)
    sides = [across[0] * size[1], down[0] * size[0], across[1] * size[1], down[1] * size[0]]
    return np.stack([shares.argmax(axis=1), shares.max(axis=1), *sides], axis=1)


@pytest.mark.slow
@needs_compiler
def test_plain_c_tells_class_and_box(made):
    folder, checks = made
    assert re.search(r" 0 of 18432 input values and 0 of 24 answers differ", f" {checks[IO].found}"), checks[IO].found
    assert checks["operators that TFLite Micro has"].passed and checks["the C array, byte for byte"].passed
    arrays, _ = golden.read(golden.beside(next(folder.glob("*.tflite"))))
    answers = _by_numpy({name: arrays[name][:4] for name in ("logits", "box")})
    assert np.ptp(answers[:, 2:], axis=0).min() > 0.3  # the boxes are not all one
    np.testing.assert_allclose(_array(folder, "golden_answers").reshape(4, 6), answers, rtol=1e-5, atol=1e-5)
    in_file = [
        re.search(rf"MODEL_TENSOR_{name} = (\d)", (folder / "model_io.h").read_text())[1] for name in ("BOX", "LOGITS")
    ]
    raw = _array(folder, "golden_outputs").reshape(4, 2, 4)
    for place, name in zip(map(int, in_file), ("box", "logits"), strict=True):
        np.testing.assert_array_equal(raw[:, place], arrays[f"{name}_raw"][:4])
    readme = (folder / "README.md").read_text()
    assert "`box` 1x4 int8" in readme and "`logits` 1x4 int8" in readme and "model_box(box, left, top" in readme


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("file", "pattern", "wrong"),
    [
        ("model_io.c", r"value\[2 \+ i % 2\] / 2", "value[2 + i % 2]"),
        ("model_io.c", r"i % 2 \? top", "i < 2 ? top"),
        ("model_io.c", r"(value\[i\] = .*\* )([\d.]+)f;", r"\1 0.0041f;"),  # a scale of 1/244
        ("model_io.c", r"logits\[index\]\) \* ", "logits[index]) * 1.1f * "),
        ("model_io.h", r"BOX = 0, MODEL_TENSOR_LOGITS = 1", "BOX = 1, MODEL_TENSOR_LOGITS = 0"),
    ],
)
def test_wrong_c_is_found(firmware, file, pattern, wrong):
    text = (firmware / file).read_text()
    changed, count = re.subn(pattern, wrong, text)
    assert count == 1 and changed != text
    (firmware / file).write_text(changed)
    (check,) = tflm._compiled(firmware)
    assert check.passed is False and "answers differ" in check.found, check.found


@pytest.mark.slow
def test_places_are_those_of_the_file_whatever_the_names(made, tmp_path, monkeypatch):
    """A file whose outputs come in another order: the sources follow it, by name."""
    from export.targets import tflm_sources

    file = next(made[0].glob("*.tflite"))
    model = json.loads((made[0] / "model.json").read_text())
    runner = open_runner(file, trusted=True)
    stand_in = dataclasses.make_dataclass("Stand", ["runner", "model"])(runner, model)
    assert list(tflm_sources.tensors(stand_in)) == [each["name"] for each in runner._engines[0].get_output_details()]
    turned = dict(reversed(runner.details.items()))
    monkeypatch.setattr(TFLiteRunner, "details", turned)
    found = tflm_sources.tensors(stand_in)
    assert list(found) == list(turned) and all(each["name"] == name for name, each in found.items())
    assert found["box"]["scale"] == pytest.approx(1 / 256)
    assert found["logits"]["scale"] == model["outputs"]["logits"]["scale"]


def test_memory_of_a_net_keeps_every_output():
    start = keras.Input((16, 16, 3))
    first, second, third = (keras.layers.Conv2D(8, 3, padding="same", name=name) for name in "abc")
    x = first(start)
    y = third(second(x))
    size = 16 * 16 * 8
    assert memory.of_model(keras.Model(start, [y, x]), raw=False).activations == 3 * size  # x waits for the end
    assert memory.of_model(keras.Model(start, y), raw=False).activations == 2 * size


@pytest.mark.slow
def test_a_board_without_the_memory_is_told_what_fits(made, tmp_path, monkeypatch):
    source = _source()
    needed, fit = memory.of_model(source.model), json.loads((made[0] / "fit.json").read_text())
    assert needed.activations == fit["activations"] and needed.flash == pytest.approx(fit["flash"], rel=0.05)
    ram = needed.arena - 1
    monkeypatch.setattr(tflm, "_SHARES", (1, 1 / 2))
    monkeypatch.setattr(tflm, "_SMALL", ("resnet8",))
    said = rf"takes about {needed.arena:,} bytes of RAM \(--ram {ram:,}\)\. No small net of one object fits at"
    with pytest.raises(InputError, match=said):
        make_bundle(source, "tflm", tmp_path / "b", options={"ram": ram})
    said = r"on resnet8 fits at 16 x 24 .*--task localization --model resnet8 --image-size 16 --set image_width=24"
    with pytest.raises(InputError, match=said):
        make_bundle(_source(width=64), "tflm", tmp_path / "b", options={"flash": 100_000, "ram": 40_000})
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_golden_vectors_hold_for_every_output(made):
    """The check on TFLite Micro, with another engine's answers in its place."""
    arrays, about = golden.read(golden.beside(next(made[0].glob("*.tflite"))))
    right = {name: arrays[name] for name in ("box", "logits")}

    def passed(outputs):
        fields = {"card": ModelCard(preprocess=PREPROCESS["none"]), "run": lambda values: outputs}
        return tflm._vectors(dataclasses.make_dataclass("Stand", fields)(*fields.values()), arrays, about).passed

    assert passed(right)
    for most, name in ((golden.tolerance(about, name), name) for name in right):
        assert passed({**right, name: right[name] + 0.99 * most}) and not passed(
            {**right, name: right[name] + 1.01 * most}
        )
    assert not passed({"box": right["logits"], "logits": right["box"]})
    assert not passed({**right, "box": 1.1 * right["box"]})
    assert not passed({**right, "logits": np.full_like(right["logits"], np.nan)})


def _tree(folder, outputs, order, pixels=SIZE[0] * SIZE[1] * 3):
    """A stand-in for TFLite Micro's sources, which answers with outputs that were computed before.

    Args:
        folder: folder to make.
        outputs: int8 `(n, numbers)` of every tensor.
        order: numbers of the tensors, as the stand-in gives them.
        pixels: numbers of the input.
    """
    for name, text in STAND_IN.items():
        text = re.sub(r"TfLiteStatus Add\w+\(\) .*\n", "", text)
        adds = "".join(
            f"  TfLiteStatus Add{each}() {{ return kTfLiteOk; }}\n" for each in sorted(set(tflm.OPERATORS.values()))
        )
        text = text.replace(
            "class MicroMutableOpResolver {\n public:\n", f"class MicroMutableOpResolver {{\n public:\n{adds}"
        )
        if name.endswith("all.cc"):
            values = ",\n".join("{" + ", ".join(map(str, outputs[k].ravel())) + "}" for k in order)
            text = f"""#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
namespace tflite {{
static const int8_t known[2][{outputs[0].size}] = {{{values}}};
static int8_t in[{pixels}], out[2][4];
static TfLiteTensor input_{{{{in}}, sizeof in}}, outputs_[2] = {{{{{{out[0]}}, 4}}, {{{{out[1]}}, 4}}}};
static Model model;
void InitializeTarget() {{}}
const Model* GetModel(const void*) {{ return &model; }}
TfLiteTensor* MicroInterpreter::input(size_t) {{ return &input_; }}
TfLiteTensor* MicroInterpreter::output(size_t number) {{ return &outputs_[number]; }}
TfLiteStatus MicroInterpreter::Invoke() {{
  static int calls = 0;
  for (int k = 0; k < 2; ++k) for (int i = 0; i < 4; ++i) out[k][i] = known[k][4 * calls + i];
  ++calls;
  return kTfLiteOk;
}}
}}
"""
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _run(firmware, tree, build):
    """What main.cc says, and its exit status."""
    for command in (
        ["cmake", "-S", firmware, "-B", build, f"-DTFLM_TREE={tree}"],
        ["cmake", "--build", build],
    ):
        subprocess.run(command, check=True, capture_output=True, text=True)
    ran = subprocess.run([build / "classify"], capture_output=True, text=True, check=False)
    return ran.stdout, ran.returncode


def _said(text):
    """Class, probability and box of every line."""
    found = re.findall(r"golden image \d: (\w+) ([\d.]+) at ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+)", text)
    return np.array([[NAMES.index(name), *map(float, numbers)] for name, *numbers in found])


@pytest.mark.proof
@needs_cmake
def test_main_prints_class_and_box_and_takes_no_output_for_another(firmware, tmp_path):
    raw = _array(firmware, "golden_outputs").reshape(4, 2, 4).astype(int).transpose(1, 0, 2)
    answers = _array(firmware, "golden_answers").reshape(4, 6)
    text, status = _run(firmware, _tree(tmp_path / "tree", raw, (0, 1)), tmp_path / "right")
    assert status == 0 and "4 of 4 golden vectors held" in text
    np.testing.assert_allclose(_said(text), answers, atol=0.051)
    text, status = _run(firmware, _tree(tmp_path / "turned", raw, (1, 0)), tmp_path / "wrong")
    assert status == 1 and "0 of 4 golden vectors held" in text


def _need_tflm():
    if OUTSIDE["tflm"].find() is None:
        if os.environ.get("KERAS_RESNET_CHECK") == "tflm":
            pytest.fail(OUTSIDE["tflm"].missing)
        pytest.skip(OUTSIDE["tflm"].missing)


@pytest.mark.check
def test_tflm_itself_finds_the_object_within_256_kb(tmp_path):
    """TFLite Micro beside LiteRT, output by output; then main.cc with what TFLite Micro gave, by its numbers."""
    _need_tflm()
    source = _source((96, 96), (1, 1, 1), width=16, count=40)
    result = make_bundle(source, "tflm", tmp_path / "b", options={"flash": 128 << 10, "ram": 128 << 10}, **LENIENT)
    result.print()
    checks = {check.name: check.passed for check in result.checks}
    assert result.passed, [check for check in result.checks if check.passed is False]
    names = ("golden vectors on TFLite Micro", "TFLite Micro", "arena: activations", "arena: all of it (64-bit)")
    assert all(checks[name] is True for name in (*names, "fits the board", IO))
    fit = json.loads((result.folder / "fit.json").read_text())
    assert fit["flash"] + fit["measured_arena"] <= 256 << 10
    assert fit["measured_arena"] == pytest.approx(fit["arena"], rel=0.01)

    file = next(result.folder.glob("*.tflite"))
    arrays, about = golden.read(golden.beside(file))
    theirs = OUTSIDE["tflm"].run(file, arrays["input"])
    engine = Interpreter(str(file))
    engine.allocate_tensors()
    details = engine.get_output_details()
    for number, each in enumerate(details):
        most = golden.tolerance(about, each["name"]) / each["quantization"][0]
        raw = theirs[f"output_{number}"].astype(int)
        assert np.abs(raw - arrays[f"{each['name']}_raw"]).max() <= most
    turned = np.abs(theirs["output_0"].astype(int) - arrays[f"{details[1]['name']}_raw"]).max()
    assert turned > most  # the control: one output is not the other
    if not (shutil.which("cmake") and shutil.which("c++")):
        return
    raw = [theirs[f"output_{number}"][:1] for number in range(2)]
    text, status = _run(result.folder, _tree(tmp_path / "tree", raw, (0, 1), 96 * 96 * 3), tmp_path / "right")
    assert status == 0 and "1 of 1 golden vectors held" in text
    (said,) = _said(text)
    scales = {each["name"]: each["quantization"] for each in details}
    floats = {
        name: (values.astype("f") - zero) * np.float32(scale)
        for values, (name, (scale, zero)) in zip(raw, scales.items(), strict=True)
    }
    np.testing.assert_allclose(said, _by_numpy(floats, (96, 96))[0], atol=0.051)
    text, status = _run(result.folder, _tree(tmp_path / "turned", raw, (1, 0), 96 * 96 * 3), tmp_path / "wrong")
    assert status == 1 and "0 of 1 golden vectors held" in text
