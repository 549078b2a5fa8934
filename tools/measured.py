"""Tables of docs/benchmarks.md from the files that the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compressed import compression
from results import BENCHMARKS, KEPT, NAMES, content, found, limits, markdown, ratios, source, with_source

from keras_resnet.lab.experiments import EXPERIMENTS


def training() -> str:
    """Steps beside the peers."""
    rows = []
    for net, each in found("training").items():
        for name, step in each.items():
            ours = each["ours, bfloat16" if "ours, bfloat16" in each else "ours, float32"]
            times = f"{1000 * step['step']:,.0f} ms", f"{step['step'] / ours['step']:.2f}", f"{step['cpu']:.2f} s"
            rows.append((f"`{net}`", name, *times, f"{step['build'] + step['first']:.1f} s"))
    header = ("net", "by", "a step", "of our first row", "CPU time of it", "build and first step")
    return with_source("training", markdown(header, rows), limits("training"))


def input_pipeline() -> str:
    """Images a CPU second."""
    rows = [
        (name, f"{each['cpu']:,.0f}", f"{each['wall']:,.0f}")
        for name, each in found("input_pipeline")["pipelines"].items()
    ]
    return with_source("input_pipeline", markdown(("pipeline", "images a CPU second", "images a second"), rows))


def distributed() -> str:
    """Workers of one machine."""
    rates = found("distributed")["images a second"]
    one = next(iter(rates.values()))
    rows = [(name, f"{rate:,.0f}", f"{rate / one:.2f}") for name, rate in rates.items()]
    saved = found("distributed")["checkpoint"]
    said = f"A checkpoint of {saved['bytes'] / 1e6:.1f} MB takes {1000 * saved['seconds']:.0f} ms."
    return with_source("distributed", markdown(("", "images a second", "of one process"), rows), said)


def prediction() -> str:
    """Bulk prediction beside the bare net."""
    rows = [
        (name, f"{each['files a second']:.0f}", f"{each['bare net']:.0f}",
         f"{each['files a second'] / each['bare net']:.2f}", f"{each['CPU ratio']:.2f}")
        for name, each in found("prediction").items() if "files a second" in each
    ]  # fmt: skip
    header = ("ResNet-50", "photos a second, from files", "the bare net", "ratio", "in CPU seconds")
    decoded, resized = found("prediction")["reading"].values()
    said = (
        f"A photo takes {decoded:.1f} ms of a core to decode, and {resized:.1f} ms in all to become the net's pixels."
    )
    return with_source("prediction", markdown(header, rows), limits("prediction"), said)


def startup() -> str:
    """Start of commands and imports."""
    return with_source("startup", ratios("startup", ("what", "of")))


def detection() -> str:
    """Detectors in 8 bits, their decoding, and the evaluation."""
    rows = [
        (f"`realtime` on {name}", f"{each['multiply-adds'] / 1e9:.1f} G", f"{each['bytes'] / 1e6:.1f} MB",
         f"{each['net']:.1f} ms", f"{each['decoding and suppression']:.1f} ms", f"{each['images a second']:.1f}")
        for name, each in found("detection").items()
    ]  # fmt: skip
    header = ("int8 TFLite", "multiply-adds", "file", "net", "decoding and suppression", "images a second")
    return with_source("detection", markdown(header, rows), ratios("detection", ("what", "of")), limits("detection"))


def segmentation() -> str:
    """An evaluation beside the net alone, and int8 beside float32."""
    return with_source("segmentation", ratios("segmentation", ("what", "of")), limits("segmentation"))


def build() -> str:
    """Time to build nets."""
    return with_source("build", ratios("build", ("what", "of")), limits("build"))


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
    return with_source("conversions", markdown(header, rows), limits("conversions"))


def int8() -> str:
    """What int8 loses on the test images."""
    by_net: dict[str, dict[str, dict]] = {}
    for row in found("files")["rows"]:
        by_net.setdefault(row["net"], {})[row["file"]] = row
    names = ("tflite:int8", "tflite:int8@litert", "onnx:int8")
    rows = [
        (NAMES[net], f"{files[names[0]]['keras']:.2%}",
         *(f"{files[n]['top1']:.2%} ({files[n]['drop']:.2f} ± {files[n]['drop_error']:.2f})" for n in names),
         f"{files[names[0]]['bytes']:,}")
        for net, files in by_net.items()
    ]  # fmt: skip
    header = ("net", "Keras", "TFLite int8", "LiteRT Quantizer's int8", "ONNX int8", "TFLite int8, bytes")
    return with_source("files", markdown(header, rows), limits("files"))


def precisions() -> str:
    """What other precisions cost ResNet-8."""
    rows = [
        (f"`{row['file']}`", f"{row['bytes'] / 1000:.0f}", f"{row['drop']:.2f} ± {row['drop_error']:.2f}")
        for row in found("files")["rows"]
        if row["net"] == "resnet8"
    ]
    return with_source("files", markdown(("ResNet-8", "kB", "points lost"), rows))


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
    return with_source("mlperf_tiny", table)


def arenas() -> str:
    """Memory of microcontrollers."""
    rows = [
        (NAMES[net], f"{each['our plan']:,}", f"{each['its own planner']:,}")
        for net, each in found("mlperf_tiny")["arenas"].items()
    ]
    return with_source("mlperf_tiny", markdown(("net", "with our plan", "its own planner"), rows))


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
    return with_source("evaluation", markdown(header, rows))


def _last(name: str) -> tuple[dict[str, Any], str]:
    """Figures of a benchmark and where they are from: its last run, or what was kept from before files held hashes."""
    if BENCHMARKS[name].result.is_file():
        return found(name), source(name)
    file = content(f"{name}-kept")
    said = f"`{file['command']}`, {file['machine']}, {file['date']}, {KEPT}"
    return file, said.format(name=f"{name}-kept")


def transfer() -> str:
    """From other classes, and from scratch."""
    file, said = _last("transfer")
    each = [(name, file[name]) for name in ("from the eight classes", "from scratch")]
    rows = [(name, f"{value['mean']:.1%} ± {value['deviation']:.1%}") for name, value in each]
    return f"{said}\n\n{markdown(('frogs against horses, 50 images each', 'test accuracy'), rows)}"


def lab() -> str:
    """What the experiments of the laboratory found."""
    file, said = _last("lab")
    rows = [(f"`{name}`", each["summary"], EXPERIMENTS[name].minutes) for name, each in file["experiments"].items()]
    table = markdown(("experiment", "found at the small size on CIFAR-10, one seed", "minutes"), rows)
    return "\n\n".join((said, table))


def tasks() -> str:
    """Tags and values."""
    file, said = _last("tasks")
    rows = []
    for each in file["sets"]:
        test, small = each.get("keras", each.get("test")), each.get("int8", each.get("int8_test"))
        if "map" in test:
            figures = (f"mAP {test['map']:.3f}", f"{small['map']:.3f}")
            guess = f"{test['map_of_frequencies']:.3f}"
        else:
            figures = tuple(f"MAE {next(iter(one['mae'].values())):.2f}" for one in (test, small))
            guess = f"MAE {test['values'][0]['mae_of_mean']:.2f}"
        rows.append((f"`{each['set']}`", test["count"], *figures, guess, f"{each['seconds']} s"))
    header = ("set", "test examples", "Keras", "int8", "guessing by frequencies, or the mean", "training")
    return "\n\n".join((said, markdown(header, rows)))


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
    return with_source("recipes", markdown(header, rows), limits("recipes"))


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
    "detection": detection,
    "segmentation": segmentation,
    "build": build,
    "int8": int8,
    "conversions": conversions,
    "precisions": precisions,
    "compression": compression,
    "mlperf-tiny": mlperf_tiny,
    "arenas": arenas,
}
