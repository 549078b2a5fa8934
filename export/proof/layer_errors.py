"""Error of every layer of a quantized file beside Keras."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.model import outputs
from keras_resnet import console, files
from keras_resnet.errors import InputError
from keras_resnet.page import Html, render
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.tflite import dequantize, quantize
from keras_resnet.signals.conventions import Preprocess

if TYPE_CHECKING:  # importing it needs TensorFlow, and --help must not
    from export.model.source import Evidence, Source

_CHUNK = 8  # examples whose activations are in memory at once
_TOP = 80  # dB that the picture reaches to: beyond is float
_WORST = 15  # rows of the terminal's table
_COLUMNS = ("layer", "operator", "dtype", "SQNR dB", "lost dB", "max abs", "place")


@dataclass(frozen=True)
class LayerError:
    """A layer's output in the file beside Keras'.

    Attributes:
        layer: Keras' name; what the converter fused into one operator bears the name of the last.
        operator: operator that computes the layer in the file.
        depth: place among the file's operators, from 0.
        dtype: dtype of the output.
        sqnr: signal to noise in dB, with the errors of all layers before it.
        lost: dB less than its best input has; what the layer itself, and the mixing of its inputs, costs.
        max_abs: largest difference.
    """

    layer: str
    operator: str
    depth: int
    dtype: str
    sqnr: float
    lost: float
    max_abs: float


def layer_errors(path: Path, source: Source, evidence: Evidence, *, engine: str | None = None) -> list[LayerError]:
    """Compares every layer's output with Keras'.

    Args:
        path: TFLite file that `export` wrote, whose tensors are named after Keras' layers.
        source: model that the file was made from.
        evidence: examples.
        engine: one of `ENGINES`; the plain one by default, whose results between operators are the file's own.

    Returns:
        One entry per layer that both have, in the order of computation.

    Raises:
        InputError: no TFLite file, or one whose tensors have other names.
    """
    if path.suffix != ".tflite":
        raise InputError(f"{path}: layers can be compared in .tflite files only")
    runner = open_runner(path)  # once in a child, and the card
    if runner.example_shape != tuple(source.shape):
        raise _of_another_model(path, f"its input is {runner.example_shape}, here {tuple(source.shape)}")
    import keras
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.AUTO if engine == "xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with console.silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # keeping all tensors takes memory: it is what we are here for
        lite = Interpreter(
            str(path), experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=True, num_threads=2
        )
        lite.allocate_tensors()
    details = {each["index"]: each for each in lite.get_tensor_details()}
    layers = _comparable(source)
    results = {}  # by tensor: the operator and its place
    for depth, operator in enumerate(lite._get_ops_details()):
        for index in operator["outputs"]:
            if details[index]["name"] in layers:
                results[index] = (depth, operator)
    if not results:
        raise InputError(f"{path}: no tensor bears the name of a layer of {source.origin}: export it with this package")
    for index in results:
        name, found = details[index]["name"], tuple(map(int, details[index]["shape"][1:]))
        if found != tuple(layers[name].shape[1:]):
            raise _of_another_model(path, f"its {name} is {found}, here {tuple(layers[name].shape[1:])}")
    keras_model = keras.Model(source.model.input, [layers[details[i]["name"]] for i in results])
    sums = _accumulate(
        lite, details, list(results), keras_model, runner.card.preprocess, source.card.preprocess, evidence
    )
    return _entries(results, details, sums)


def _of_another_model(path: Path, difference: str) -> InputError:
    return InputError(f"{path} is of another model: {difference}; pass the model that it was made from: --model")


def _comparable(source: Source) -> dict[str, Any]:
    """Keras' tensors by the names that they have in files; a dense layer's bears its name before the softmax."""
    model = source.model
    tensors = {
        layer.name: layer.output
        for layer in model.layers
        if getattr(getattr(layer, "activation", None), "__name__", "linear") in ("linear", "relu")
    }
    return {**tensors, **outputs.named(model, source.card)}


def _accumulate(lite, details, indices, keras_model, own: Preprocess, theirs: Preprocess, evidence: Evidence):
    """Signal, noise and largest difference of every tensor."""
    sums = {index: [0.0, 0.0, 0.0] for index in indices}
    (entry,) = lite.get_input_details()
    count = -(-len(evidence) // _CHUNK)
    for examples, _ in console.progress(evidence.chunks(_CHUNK), "comparing layers", count):
        expected = keras_model.predict_on_batch(theirs(examples))
        expected = expected if isinstance(expected, list) else [expected]
        for number, values in enumerate(quantize(own(examples), entry)):
            lite.set_tensor(entry["index"], values[None])
            lite.invoke()
            for index, reference in zip(indices, expected, strict=True):
                received = dequantize(lite.get_tensor(index), details[index])[0]
                noise = reference[number].astype(np.float64) - received
                total = sums[index]
                total[0] += float(np.square(reference[number], dtype=np.float64).sum())
                total[1] += float(np.square(noise).sum())
                total[2] = max(total[2], float(np.abs(noise).max()))
    return sums


def _entries(results, details, sums) -> list[LayerError]:
    ratios = {i: min(200.0, 10 * float(np.log10(max(s, 1e-300) / n))) if n else 200.0 for i, (s, n, _) in sums.items()}
    entries = []
    for index, (depth, operator) in results.items():
        before = [ratios[i] for i in operator["inputs"] if i in ratios]
        entries.append(
            LayerError(
                layer=details[index]["name"],
                operator=operator["op_name"],
                depth=depth,
                dtype=np.dtype(details[index]["dtype"]).name,
                sqnr=ratios[index],
                lost=max(before, default=ratios[index]) - ratios[index],
                max_abs=sums[index][2],
            )
        )
    return sorted(entries, key=lambda entry: entry.depth)


def print_errors(title: str, entries: Sequence[LayerError]) -> None:
    """Prints the layers that lose most."""
    worst = sorted(entries, key=lambda entry: entry.sqnr)[:_WORST]
    rows = [
        (e.layer, e.operator, e.dtype, f"{e.sqnr:.1f}", f"{e.lost:+.1f}", f"{e.max_abs:.2g}", e.depth) for e in worst
    ]
    shown = f"the {len(worst)} worst of {len(entries)} layers"
    console.print_table(f"{title}: {shown}", _COLUMNS, rows)


def to_json(entries: Sequence[LayerError]) -> list[dict[str, object]]:
    """For machines, in the order of computation."""
    return [asdict(entry) for entry in entries]


def picture(entries: Sequence[LayerError]) -> Html:
    """An SVG of the ratio along the net."""
    from keras_resnet import pictures  # matplotlib, which the tables do without

    made = pictures.figure(11, 3.8)
    axes = made.subplots()
    places = np.arange(len(entries))
    colours = ["#a40e26" if entry.lost >= 3 else "#1f6feb" for entry in entries]
    axes.bar(places, [entry.sqnr for entry in entries], color=colours)
    step = max(1, len(entries) // 40)
    axes.set_xticks(places[::step], [entry.layer for entry in entries][::step], rotation=90, fontsize=7)
    axes.set(ylabel="signal to noise, dB", title="Error along the net (red: 3 dB or more lost in this layer)")
    axes.grid(axis="y", alpha=0.3)
    axes.margins(x=0.01)
    axes.set_ylim(0, min(_TOP, 1.05 * max(entry.sqnr for entry in entries)))
    return pictures.svg(made, "Signal to noise of every layer, along the net")


def write_html(entries: Sequence[LayerError], title: str, path: Path, *, overwrite: bool = False) -> None:
    """Writes a page with the picture and all layers, worst first.

    Args:
        entries: layers in any order.
        title: what is compared, in words.
        path: file.
        overwrite: replace an existing file.
    """
    text = render(
        "export/layers.html",
        title="Error per layer",
        words=title,
        date=time.strftime("%Y-%m-%d %H:%M"),
        picture=picture(entries),
        columns=_COLUMNS,
        entries=sorted(entries, key=lambda entry: entry.sqnr),
    )
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
