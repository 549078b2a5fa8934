"""Tables of docs/benchmarks.md from the files that the benchmarks wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from table import BENCHMARKS, RESULTS  # noqa: E402

from keras_resnet.lab.experiments import EXPERIMENTS  # noqa: E402

STALE = "**Older than the code that it measures.**"
_NAMES = {"resnet8": "ResNet-8", "resnet20_cifar": "ResNet-20", "resnetv2_20_cifar": "ResNet-20, pre-activation"}


def markdown(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table.

    Args:
        header: names of the columns.
        rows: cells.
    """
    lines = [tuple(header), *rows]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


@cache
def content(name: str) -> dict[str, Any]:
    """A file of benchmarks/results.

    Args:
        name: its name without `.json`.
    """
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def found(name: str) -> dict[str, Any]:
    """The figures of a benchmark.

    Args:
        name: row of `BENCHMARKS`.
    """
    return content(name)["found"]


def source(name: str) -> str:
    """Command, machine and date of a benchmark, and whether its code has changed since.

    Args:
        name: row of `BENCHMARKS`.
    """
    file = content(name)
    where = f"{file['processor']}, {file['cores']} cores, {file['date']}"
    said = f"`{file['command']}`, {where}: [file](../benchmarks/results/{name}.json)."
    return f"{said} {STALE}" if BENCHMARKS[name].is_older_than_the_code() else said


def _limits(name: str) -> str:
    missed = [each for each in content(name)["ratios"] if not each.get("held", True)]
    if not missed:
        return "All limits of the benchmark hold."
    return "Missed: " + "; ".join(
        f"{each['what']}, {each['ratio']:.2f} of {each['peer']} (limit {each['limit']:.2f})" for each in missed
    ) + "."  # fmt: skip


def _with_source(name: str, *parts: str) -> str:
    return "\n\n".join((source(name), *parts))


def _ratios(name: str, header: tuple[str, str]) -> str:
    rows = []
    for each in content(name)["ratios"]:
        limit = f"{each['limit']:.2f}" if "limit" in each else ""
        rows.append((each["what"], each["peer"], f"{each['ratio']:.2f}", limit))
    return markdown((*header, "ratio", "limit"), rows)


def training() -> str:
    """Steps beside the peers."""
    rows = []
    for net, each in found("training").items():
        for name, step in each.items():
            ours = each["ours, bfloat16" if "ours, bfloat16" in each else "ours, float32"]
            times = f"{1000 * step['step']:,.0f} ms", f"{step['step'] / ours['step']:.2f}", f"{step['cpu']:.2f} s"
            rows.append((f"`{net}`", name, *times, f"{step['build'] + step['first']:.1f} s"))
    header = ("net", "by", "a step", "of our first row", "CPU time of it", "build and first step")
    return _with_source("training", markdown(header, rows), _limits("training"))


def input_pipeline() -> str:
    """Images a CPU second."""
    rows = [
        (name, f"{each['cpu']:,.0f}", f"{each['wall']:,.0f}")
        for name, each in found("input_pipeline")["pipelines"].items()
    ]
    return _with_source("input_pipeline", markdown(("pipeline", "images a CPU second", "images a second"), rows))


def distributed() -> str:
    """Workers of one machine."""
    rates = found("distributed")["images a second"]
    one = next(iter(rates.values()))
    rows = [(name, f"{rate:,.0f}", f"{rate / one:.2f}") for name, rate in rates.items()]
    saved = found("distributed")["checkpoint"]
    said = f"A checkpoint of {saved['bytes'] / 1e6:.1f} MB takes {1000 * saved['seconds']:.0f} ms."
    return _with_source("distributed", markdown(("", "images a second", "of one process"), rows), said)


def prediction() -> str:
    """Bulk prediction beside the bare net."""
    rows = [
        (name, f"{each['files a second']:.0f}", f"{each['bare net']:.0f}",
         f"{each['files a second'] / each['bare net']:.2f}", f"{each['CPU ratio']:.2f}")
        for name, each in found("prediction").items()
    ]  # fmt: skip
    header = ("ResNet-50", "photos a second, from files", "the bare net", "ratio", "in CPU seconds")
    return _with_source("prediction", markdown(header, rows), _limits("prediction"))


def startup() -> str:
    """Start of commands and imports."""
    return _with_source("startup", _ratios("startup", ("what", "of")))


def build() -> str:
    """Time to build nets."""
    return _with_source("build", _ratios("build", ("what", "of")), _limits("build"))


def conversions() -> str:
    """ResNet-50's files."""
    files = found("conversions")["files"]
    rows = [
        (f"`export {name}`" if "reported_ms" in each else name, f"{each['seconds']:.1f} s",
         f"{each['gigabytes']:.1f} GB", f"{each['bytes'] / 1e6:.2f} MB", f"{each['ms']:.1f} ms",
         f"{each['reported_ms']:.1f} ms" if "reported_ms" in each else "")
        for name, each in files.items()
    ]  # fmt: skip
    header = ("ResNet-50", "time", "peak memory", "size", "latency, one thread", "as the report says")
    return _with_source("conversions", markdown(header, rows), _limits("conversions"))


def int8() -> str:
    """What int8 loses on the test images."""
    by_net: dict[str, dict[str, dict]] = {}
    for row in found("files")["rows"]:
        by_net.setdefault(row["net"], {})[row["file"]] = row
    names = ("tflite:int8", "tflite:int8@litert", "onnx:int8")
    rows = [
        (_NAMES[net], f"{files[names[0]]['keras']:.2%}",
         *(f"{files[n]['top1']:.2%} ({files[n]['drop']:.2f} ± {files[n]['drop_error']:.2f})" for n in names),
         f"{files[names[0]]['bytes']:,}")
        for net, files in by_net.items()
    ]  # fmt: skip
    header = ("net", "Keras", "TFLite int8", "LiteRT Quantizer's int8", "ONNX int8", "TFLite int8, bytes")
    return _with_source("files", markdown(header, rows))


def precisions() -> str:
    """What other precisions cost ResNet-8."""
    rows = [
        (f"`{row['file']}`", f"{row['bytes'] / 1000:.0f}", f"{row['drop']:.2f} ± {row['drop_error']:.2f}")
        for row in found("files")["rows"]
        if row["net"] == "resnet8"
    ]
    return _with_source("files", markdown(("ResNet-8", "kB", "points lost"), rows))


def mlperf_tiny() -> str:
    """Our ResNet-8 beside MLPerf Tiny's."""
    rows = [
        (row["file"], f"{row['bytes']:,}", f"{row['arena']:,}",
         *(f"{row[engine]['performance']:.2%}, {row[engine]['all']:.2%}" for engine in ("tflm", "xnnpack")),
         f"{row['ms']:.3f}")
        for row in found("mlperf_tiny")["files"]
    ]  # fmt: skip
    images = found("mlperf_tiny")["performance images"]
    header = ("file", "bytes", "arena, bytes", f"TFLite Micro: {images} images of the benchmark, all 10,000")
    table = markdown((*header, "LiteRT (XNNPACK): the same", "ms, one thread"), rows)
    return _with_source("mlperf_tiny", table)


def arenas() -> str:
    """Memory of microcontrollers."""
    rows = [
        (_NAMES[net], f"{each['our plan']:,}", f"{each['its own planner']:,}")
        for net, each in found("mlperf_tiny")["arenas"].items()
    ]
    return _with_source("mlperf_tiny", markdown(("net", "with our plan", "its own planner"), rows))


def evaluation() -> str:
    """The shipped nets alone, in views and together."""
    each = found("evaluation")
    rows = [
        (f"`{net}`", f"{one['top1']:.2%}", f"{one['loss']:.3f}", f"{one['ece']:.2%}",
         f"{one['ece_with_temperature']:.2%}")
        for net, one in each["alone"].items()
    ]  # fmt: skip
    rows += [(f"`resnet20_cifar` with {name}", f"{top1:.2%}", "", "", "") for name, top1 in each["views"].items()]
    together = each["together"]
    low, high = together["top1_interval"]
    rows.append(("**together**", f"**{together['top1']:.2%}** ({low:.2%} to {high:.2%})", f"{together['loss']:.3f}",
                 f"{together['ece']:.2%}", ""))  # fmt: skip
    header = (
        "CIFAR-10, 10,000 test images",
        "top-1",
        "cross-entropy",
        "calibration error",
        "with a cross-fitted temperature",
    )
    return _with_source("evaluation", markdown(header, rows))


def transfer() -> str:
    """From other classes, and from scratch."""
    file = content("transfer-kept")
    each = [(name, file[name]) for name in ("from the eight classes", "from scratch")]
    rows = [(name, f"{value['mean']:.1%} ± {value['deviation']:.1%}") for name, value in each]
    said = f"`{file['command']}`, {file['machine']}, {file['date']}, {_KEPT}".format(name="transfer-kept")
    return f"{said}\n\n{markdown(('frogs against horses, 50 images each', 'test accuracy'), rows)}"


def lab() -> str:
    """What the experiments of the laboratory found."""
    file = content("lab-kept")
    rows = [(f"`{name}`", each["summary"], EXPERIMENTS[name].minutes) for name, each in file["experiments"].items()]
    said = (
        f"`python benchmarks/lab.py --data CIFAR --out DIR`, two cores of an AMD EPYC (Zen 4), {file['date']}, {_KEPT}"
    )
    table = markdown(("experiment", "found at the small size on CIFAR-10, one seed", "minutes"), rows)
    return "\n\n".join((said.format(name="lab-kept"), table))


_KEPT = "kept from before files held the hash of the code: [file](../benchmarks/results/{name}.json)."


def tasks() -> str:
    """Tags and values."""
    file, rows = content("tasks-kept"), []
    for each in file["sets"]:
        if "map" in each["test"]:
            figures = (f"mAP {each['test']['map']:.3f}", f"{each['int8_test']['map']:.3f}")
            guess = f"{each['test']['map_of_frequencies']:.3f}"
        else:
            figures = tuple(f"MAE {each[key]['mae']['value']:.2f}" for key in ("test", "int8_test"))
            guess = f"MAE {each['test']['values'][0]['mae_of_mean']:.2f}"
        rows.append((f"`{each['set']}`", each["test"]["count"], *figures, guess, f"{each['seconds']} s"))
    header = ("set", "test examples", "Keras", "int8", "guessing by frequencies, or the mean", "training")
    said = f"`python benchmarks/tasks.py DATA --test`, {file['machine']}, {file['date']}, {_KEPT}"
    return "\n\n".join((said.format(name="tasks-kept"), markdown(header, rows)))


def photos() -> str:
    """One's own photos."""
    each = content("photos")["clothing"]
    low, high = each["test_interval"]
    right = f"{each['test_accuracy']:.2%} ({low:.1%} to {high:.1%}), balanced {each['test_balanced_accuracy']:.1%}"
    row = ("photos of clothes, ten classes, no pretrained weights", right, f"{each['int8_test_accuracy']:.2%}",
           f"{each['wall_minutes']:.0f} minutes")  # fmt: skip
    where = f"`{each['command'].partition(';')[0]}`, {each['machine']}, {each['date']}"
    said = f"{where}: [file](../benchmarks/results/photos.json)."
    return f"{said}\n\n{markdown(('data', 'test images right', 'as int8', 'time'), [row])}"


def recipes() -> str:
    """The short recipes, as they are now."""
    rows = []
    for name, runs in found("recipes").items():
        right = ", ".join(f"{each['top1']:.2%}" for each in runs)
        rows.append((f"`{name}`", right, f"{max(each['seconds'] for each in runs):.0f} s"))
    header = ("recipe", "test accuracy, seeds 0, 1, ...", "from the command to its end")
    return _with_source("recipes", markdown(header, rows), _limits("recipes"))


def trained() -> str:
    """Nets that were trained on a GPU."""
    file = content("trained")
    rows = [
        (row["net"], f"{row['trained on']:,}", row["judged on"], f"{row['right'] / row['of']:.2%}", row["paper"])
        for row in file["rows"]
    ]
    where = f"{file['machine']}, {file['date']}"
    said = f"{where}: [file](../benchmarks/results/trained.json), commands in `benchmarks/trained/README.md`."
    return f"{said}\n\n{markdown(('net', 'trained on', 'judged on', 'right', 'the paper'), rows)}"


def compression() -> str:
    """Chosen on held-out images, measured on the test's; and rows of before that were not measured anew."""
    parts, anew = [], set()
    if (RESULTS / "compression.json").is_file():
        file = found("compression")
        parts += [source("compression"), _tried(file["tried"]), _measured(file["rows"], file["originals"])]
        anew = {(row["net"], row["what"], row["engine"]) for row in file["rows"]}
    kept = [row for row in content("compression-kept")["rows"] if (row["net"], row["what"], row["engine"]) not in anew]
    parts += [f"Not measured anew, {_KEPT}".format(name="compression-kept"), _kept(kept)]
    return "\n\n".join(parts)


def _setting(row: dict[str, Any]) -> str:
    taught = f", taught by {row['teacher']}" if row["teacher"] else ""
    return f"{row['epochs']} epochs{taught}"


def _bold(text: str, is_best: bool) -> str:
    return f"**{text}**" if is_best else text


def _tried(rows: list[dict[str, Any]]) -> str:
    best = {row["what"]: max(r["top1"] for r in rows if r["what"] == row["what"]) for row in rows}
    cells = [
        (row["what"], _setting(row), _bold(f"{row['top1']:.2%}", row["top1"] == best[row["what"]]),
         f"{row['drop']:+.2f}")
        for row in rows
    ]  # fmt: skip
    net, engine = rows[0]["net"], rows[0]["engine"]
    return markdown((f"tried with {net} by {engine}", "setting", "5,000 held-out images", "lost, points"), cells)


def _measured(rows: list[dict[str, Any]], originals: list[dict[str, Any]]) -> str:
    cells = []
    for each in originals:
        for what, title in (("float32", "original"), ("int8", "quantized after training")):
            both = (
                f"{each[f'{part} {what}']:.2%}" if f"{part} {what}" in each else "" for part in ("validation", "test")
            )
            cells.append((each["net"], title, "–", "", what, *both, "", "", "", ""))
    for row in rows:
        for number, file in enumerate(row["files"]):
            first = (row["net"], row["what"], row["engine"], _setting(row)) if not number else ("", "", "", "")
            deviation = f" ± {file['deviation']:.2f}" if file["deviation"] is not None else ""
            validation = f"{file['validation']:.2%}" if file["validation"] is not None else ""
            seeds = f", mean of {row['seeds']}" if row["seeds"] > 1 else ", one seed"
            cells.append(
                (*first, file["precision"].replace("weight_only_", ""), validation, f"{file['top1']:.2%}{seeds}",
                 f"{file['drop']:+.2f}{deviation}", f"{file['gzip_ratio']:.2f}", f"{file['latency_ratio']:.2f}",
                 f"{row['seconds'] / 60:.0f} min" if not number else "")
            )  # fmt: skip
    header = ("net", "", "engine", "setting", "file", "5,000 held-out images, trained on 45,000")
    header += (
        "10,000 test images, trained on 50,000",
        "lost on the test, points",
        "gzip ratio",
        "latency ratio",
        "training",
    )
    return markdown(header, cells)


def _kept(rows: list[dict[str, Any]]) -> str:
    cells, shown = [], None
    for row in rows:
        key = (row["net"], row["epochs"], row["what"], row["engine"] or "–", row["processor"])
        setting = _setting(row) if row["engine"] else ""
        begin = (row["net"], row["what"], *key[3:], setting) if key != shown else ("", "", "", "", "")
        size = f"{row['bytes'] / 1000:.1f}", f"{row['gzip_ratio']:.2f}", f"{row['latency_ratio']:.2f}"
        words = "tuned on test images, kept" if row["engine"] else "kept"
        file = row["precision"].replace("weight_only_", "")
        cells.append((*begin, file, words, f"{row['top1']:.2%}", f"{row['drop']:+.2f}", *size))
        shown = key
    header = ("net", "", "engine", "processor", "setting", "file", "chosen on", "10,000 test images", "lost, points")
    return markdown((*header, "kB", "gzip ratio", "latency ratio"), cells)


TABLES: dict[str, Callable[[], str]] = {
    "photos": photos,
    "tasks": tasks,
    "recipes": recipes,
    "trained": trained,
    "evaluation": evaluation,
    "transfer": transfer,
    "lab": lab,
    "training": training,
    "input-pipeline": input_pipeline,
    "distributed": distributed,
    "prediction": prediction,
    "startup": startup,
    "build": build,
    "int8": int8,
    "conversions": conversions,
    "precisions": precisions,
    "compression": compression,
    "mlperf-tiny": mlperf_tiny,
    "arenas": arenas,
}
