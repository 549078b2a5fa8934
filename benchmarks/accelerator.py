#!/usr/bin/env python3
"""Training and prediction on an accelerator by the package's own commands on JAX, beside PyTorch and Keras' own `fit`.

Run it: python benchmarks/accelerator.py [--minutes 5] [--only NAME ...] [--data CIFAR [--train NET]] [--out DIR]

One file, one call. Sections run in the order of their worth, each in a process of its own, for as long as there is
time; what is done is kept in DIR (`runs/accelerator`), and a later call on the same kind of device goes on where this
one stopped: another kind is refused. The table comes last. With --data (CIFAR-10's binary files) and --train NET what
is left of the time trains a net by the recipe `fast`, with a checkpoint a minute that a later call goes on from.

A machine without a network needs, beside JAX with CUDA (and PyTorch, for its rows; torchvision for ResNet-50's), the
wheels of those that it lacks of: keras, namex, optree, absl-py, ml_dtypes, h5py, rich, markdown-it-py, mdurl, pygments,
packaging, lazy_loader, safetensors, scikit-learn, joblib, threadpoolctl, scipy, pillow, matplotlib. TensorFlow is not
needed. `pip download --no-deps -d wheels NAME ...` fetches them.

MFU is three times the counted multiply-adds of an image, twice, times the images a second, as a share of the measured
rate of a matrix product. Images are synthetic and lie in memory, as the package's `train` takes them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "jax")
_SAID = "RESULT "
_LEAST = 20  # seconds that a section is begun with


@dataclass(frozen=True, kw_only=True)
class Section:
    """A row of the table: one process.

    Attributes:
        name: name of the row.
        run: function of its arguments that measures; gives JSON types.
        arguments: arguments of `run`.
        seconds: duration on one H100, estimated.
    """

    name: str
    run: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...] = ()
    seconds: int = 40


def machine(tiny: bool) -> dict[str, Any]:
    """What the machine is."""
    import importlib.metadata

    import jax

    device = jax.devices()[0]
    versions = {}
    for name in ("jax", "jaxlib", "keras", "numpy", "torch", "torchvision", "tensorflow"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "device": device.device_kind,
        "devices": len(jax.devices()),
        "platform": device.platform,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def matrix(tiny: bool) -> dict[str, Any]:
    """Rate of a matrix product in bf16: what a processor can do at most."""
    import jax
    import jax.numpy as jnp

    size, times = (512, 2) if tiny else (8192, 20)
    one, other = (jax.random.normal(jax.random.key(seed), (size, size), jnp.bfloat16) for seed in (0, 1))

    @jax.jit
    def many(a, b):
        return jax.lax.fori_loop(0, times, lambda _, product: (product @ b) * jnp.bfloat16(0.01), a)

    many(one, other).block_until_ready()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        many(one, other).block_until_ready()
        seconds.append((time.perf_counter() - start) / times)
    return {"tflops": 2 * size**3 / statistics.median(seconds) / 1e12}


def _arrays(count: int, size: int, classes: int) -> Any:
    """Synthetic examples in memory, under a name that recipes take."""
    import numpy as np

    from keras_resnet.data import memory
    from keras_resnet.data.dataset import ArraySplit, Dataset

    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    train = ArraySplit(pixels, np.arange(count) % classes)
    few = train.take(np.arange(256 if count > 256 else 2))
    return memory.register(Dataset("synthetic", tuple(map(str, range(classes))), pixels.shape[1:], train, few, few))


def training(tiny: bool, net: str, batch: int, size: int, classes: int) -> dict[str, Any]:
    """Images a second of the package's `train`, on data in memory; seconds to the end of the first step."""
    import tempfile

    import jax
    import keras

    import keras_resnet
    from keras_resnet.training.loop import train

    batch = 8 if tiny else batch
    steps = 3 if tiny else max(8, 4096 // batch) if size > 100 else 50_000 // batch
    dataset = _arrays(steps * batch, size, classes)
    first: list[float] = []
    start = time.perf_counter()
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: None if first else first.append(time.perf_counter() - start)
    )
    recipe = dataclasses.replace(
        keras_resnet.RECIPES["fast"],
        model=net,
        dataset=dataset,
        batch_size=batch,
        epochs=2 if tiny else 6 if size > 100 else 12,
        warmup_epochs=1,
        preprocess="torch",
        hold_out=True,
        keep="last",
    )
    with tempfile.TemporaryDirectory() as folder:
        result = train(recipe, run_dir=folder, callbacks=[note], verbose=False)
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "images_s": result.images_per_second,
        "waiting": result.waiting_share,
        "precision": result.precision,
        "first_step_s": first[0],
        "peak_gib": peak and peak / 2**30,
        "multiply_adds": _multiply_adds(net, size, classes),
    }


def _multiply_adds(net: str, size: int, classes: int) -> int:
    import keras_resnet
    from keras_resnet.nets.graph import multiply_adds, without_values

    with without_values():
        return multiply_adds(keras_resnet.build(net, input_shape=(size, size, 3), classes=classes))


def prediction(tiny: bool, net: str, batch: int, size: int) -> dict[str, Any]:
    """Images a second of the net in bf16, without gradients, as one compiled function."""
    import jax
    import jax.numpy as jnp
    import keras

    import keras_resnet

    batch = 8 if tiny else batch
    if jax.default_backend() != "cpu":
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras_resnet.build(net, input_shape=(size, size, 3))
    state = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    pixels = jnp.zeros((batch, size, size, 3))
    call = jax.jit(lambda state, pixels: model.stateless_call(*state, pixels, training=False)[0])
    call(state, pixels).block_until_ready()
    seconds = []
    for _ in range(2 if tiny else 20):
        start = time.perf_counter()
        call(state, pixels).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return {"images_s": batch / statistics.median(seconds), "multiply_adds": _multiply_adds(net, size, 1000)}


def fit(tiny: bool, batch: int, size: int) -> dict[str, Any]:
    """Images a second of Keras' own `fit` of keras.applications' ResNet-50 on an array."""
    import jax
    import keras
    import numpy as np

    batch, rounds = (8, 2) if tiny else (batch, 8)
    if jax.default_backend() != "cpu":
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras.applications.ResNet50(weights=None, input_shape=(size, size, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (batch * rounds, size, size, 3), np.uint8)
    labels = np.arange(len(pixels)) % 1000
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")
    model.fit(pixels[:batch], labels[:batch], batch_size=batch, verbose=0)
    seconds = []
    for _ in range(1 if tiny else 3):
        start = time.perf_counter()
        model.fit(pixels, labels, batch_size=batch, verbose=0)
        seconds.append((time.perf_counter() - start) / rounds)
    return {"images_s": batch / statistics.median(seconds), "multiply_adds": _multiply_adds("resnet50", size, 1000)}


def pytorch(tiny: bool, net: str, batch: int, size: int, classes: int, compiled: bool) -> dict[str, Any]:
    """Images a second of PyTorch: channels last, bf16, eager or compiled; of CIFAR a crop and flip in every step."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # Keras counts multiply-adds; the device is PyTorch's
    import torch
    from _pytorch_training import cifar
    from torch import nn

    device, batch, steps = "cuda" if torch.cuda.is_available() else "cpu", 8 if tiny else batch, 2 if tiny else 20
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    if net == "resnet50_v1_5":
        import torchvision

        model: nn.Module = torchvision.models.resnet50()
    else:
        model = cifar((int(net.removeprefix("resnet").removesuffix("_cifar")) - 2) // 6)
    model = model.to(device, memory_format=torch.channels_last).train()
    how = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4, "fused": True if device == "cuda" else None}
    optimizer = torch.optim.SGD(model.parameters(), 0.1, **how)
    count = 4 * batch if size > 100 else max(8 * batch, 1000)
    data = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, device=device)
    data = data.to(memory_format=torch.channels_last)

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16):
            return nn.functional.cross_entropy(model(x), y)

    called = torch.compile(forward, mode="reduce-overhead" if device == "cuda" and size < 100 else None)
    called = called if compiled else forward

    def step() -> None:
        index = torch.randint(0, count, (batch,), device=device)
        images = data[index]
        if size < 100:
            row, column = torch.randint(0, 9, (2,)).tolist()
            images = nn.functional.pad(images, (4, 4, 4, 4))[:, :, row : row + size, column : column + size]
            flip = torch.rand(batch, device=device) < 0.5
            images = torch.where(flip[:, None, None, None], images.flip(3), images)
        x = ((images.to(torch.bfloat16) - 127) / 64).contiguous(memory_format=torch.channels_last)
        if compiled:
            torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad(set_to_none=True)
        called(x, index % classes).backward()
        optimizer.step()

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    start = time.perf_counter()
    step()
    wait()
    first = time.perf_counter() - start
    step()
    wait()
    seconds = []
    for _ in range(2 if tiny else 5):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        seconds.append((time.perf_counter() - start) / steps)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return {"images_s": batch / statistics.median(seconds), "first_step_s": first, "peak_gib": peak,
            "multiply_adds": _multiply_adds(net, size, classes)}  # fmt: skip


def checks(tiny: bool) -> dict[str, Any]:
    """The device's crops and flips against NumPy's indexing; the order of an epoch.

    The batches of tf.data cannot be compared where TensorFlow is not installed: tests/test_resident.py does it.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from keras_resnet.data.augment import pad_crop
    from keras_resnet.data.draws import shuffled, uniform

    pixels, draws = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8), uniform((7, 3), (64, 4))
    ours = np.asarray(jax.jit(lambda x, d: pad_crop(x, d, 4, flip=True)[0])(jnp.asarray(pixels), jnp.asarray(draws)))
    padded = np.pad(pixels, ((0, 0), (4, 4), (4, 4), (0, 0)))
    for own, image, (row, column, flip, _) in zip(ours, padded, draws, strict=True):
        top, left = int(row * np.float32(9)), int(column * np.float32(9))
        window = image[top : top + 32, left : left + 32]
        if not (own == (window[:, ::-1] if flip < 0.5 else window)).all():
            raise AssertionError("pad_crop on the device differs from NumPy's")
    if sorted(shuffled((1, 2), 1000).tolist()) != list(range(1000)):
        raise AssertionError("an order does not hold every example once")
    return {"passed": 2}


CIFAR, PHOTOS = (32, 10), (224, 1000)
SECTIONS = (
    Section(name="machine", run=machine, seconds=15),
    Section(name="checks", run=checks, seconds=20),
    Section(name="matrix product 8192, bf16", run=matrix, seconds=15),
    Section(name="ResNet-50, batch 256", run=training, arguments=("resnet50_v1_5", 256, *PHOTOS), seconds=60),
    Section(name="ResNet-20, batch 128", run=training, arguments=("resnet20_cifar", 128, *CIFAR), seconds=45),
    Section(name="ResNet-20, batch 1024", run=training, arguments=("resnet20_cifar", 1024, *CIFAR), seconds=45),
    Section(name="ResNet-50, batch 256, PyTorch compiled", run=pytorch,
            arguments=("resnet50_v1_5", 256, *PHOTOS, True), seconds=80),
    Section(name="ResNet-20, batch 1024, PyTorch compiled", run=pytorch,
            arguments=("resnet20_cifar", 1024, *CIFAR, True), seconds=60),
    Section(name="ResNet-50, batch 256, PyTorch eager", run=pytorch,
            arguments=("resnet50_v1_5", 256, *PHOTOS, False), seconds=25),
    Section(name="ResNet-20, batch 128, PyTorch eager", run=pytorch,
            arguments=("resnet20_cifar", 128, *CIFAR, False), seconds=20),
    Section(name="ResNet-50, batch 256, keras.applications by fit", run=fit, arguments=(256, 224), seconds=60),
    Section(name="ResNet-50, prediction, batch 256", run=prediction, arguments=("resnet50_v1_5", 256, 224), seconds=40),
    Section(name="ResNet-56, batch 256", run=training, arguments=("resnet56_cifar", 256, *CIFAR), seconds=60),
    Section(name="ResNet-50, batch 128", run=training, arguments=("resnet50_v1_5", 128, *PHOTOS), seconds=60),
)  # fmt: skip
BY_NAME = {section.name: section for section in SECTIONS}


def measure(section: Section, args: argparse.Namespace, left: float) -> str | None:
    """Runs a section in a process of its own and keeps what it found; what went wrong, None for nothing.

    Args:
        section: row to measure.
        args: options.
        left: seconds that it may take.
    """
    command = [sys.executable, __file__, "--section", section.name, *(["--smallest"] if args.smallest else [])]
    left = left if args.smallest else min(left, 3 * section.seconds)  # or one that is stuck would take all of the time
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=left)
    except subprocess.TimeoutExpired:
        return f"stopped after {left:.0f} s; a later call begins it again"
    found = [line for line in done.stdout.splitlines() if line.startswith(_SAID)]
    if done.returncode or not found:
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
    keep(args.out, section.name, json.loads(found[-1].removeprefix(_SAID)))
    return None


def environment() -> dict[str, str]:
    """The environment of a child, with this package before what is installed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path, "JAX_TRACEBACK_FILTERING": "off"}  # the last line is then the error's


def keep(out: Path, name: str, value: object) -> None:
    """Adds to the file of figures, written beside and renamed."""
    found = kept(out) | {name: value}
    out.mkdir(parents=True, exist_ok=True)
    beside = out / ".figures.json.partial"
    beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    beside.replace(out / "figures.json")


def kept(out: Path) -> dict[str, Any]:
    """What is measured so far."""
    path = out / "figures.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def train_net(args: argparse.Namespace, left: float) -> str | None:
    """Trains a net by `fast` for the time that is left, and evaluates it where it comes to its end."""
    folder = args.out / args.train
    command = [sys.executable, "-m", "keras_resnet", "train"]
    options = ["--recipe", "fast", "--model", args.train, "--data", f"cifar10:{args.data}", "--set", "hold_out=false"]
    options += ["--epochs", "1", "--set", "subset=256", "--set", "warmup_epochs=0"] if args.smallest else []
    if folder.exists():
        options = ["--data", f"cifar10:{args.data}"]
        command += ["--resume", str(folder)]
    else:
        command += ["-o", str(folder)]
    start = time.monotonic()
    child = subprocess.Popen([*command, *options, "--checkpoint-minutes", "1"], env=environment())
    try:
        status = child.wait(timeout=left)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)  # it writes a checkpoint first
        child.wait()
        return f"{args.train} is not at its end: a later call goes on"
    if status:
        return f"training {args.train} ended with status {status}"
    if args.smallest:  # two steps are not worth a look at the test images
        return None
    scores = folder / "scores.json"
    options = ["--model", str(folder), "--data", f"cifar10:{args.data}", "--no-temperature", "--json", str(scores)]
    left = max(_LEAST, left - (time.monotonic() - start))
    try:
        subprocess.run([sys.executable, "-m", "keras_resnet", "evaluate", *options], env=environment(), timeout=left)
    except subprocess.TimeoutExpired:
        return f"no time to evaluate {args.train}: a later call does"
    if not scores.is_file():
        return f"{args.train} could not be evaluated"
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    found = json.loads(scores.read_text(encoding="utf-8"))
    keep(args.out, f"trained {args.train}", {"top1": found["top1"], "seconds": result["seconds"]})
    return None


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    if not found:
        return "nothing was measured"
    where, ceiling = found.get("machine", {}), found.get("matrix product 8192, bf16", {}).get("tflops")
    versions = ", ".join(f"{name} {version}" for name, version in where.get("versions", {}).items())
    lines = [f"{where['device']}, {where['date']}, {versions}"] if where else []
    lines += [f"matrix product in bf16: {ceiling:,.1f} TFLOP/s"] if ceiling else []
    lines.append(f"{'':48} {'images/s':>10} {'MFU':>6} {'waiting':>8} {'first step':>11} {'peak GiB':>9}")
    for name, each in found.items():
        if "images_s" not in each:
            continue
        passes = 1 if "prediction" in name else 3
        rate = passes * 2 * each["multiply_adds"] * each["images_s"] / 1e12
        mfu = f"{rate / ceiling:.1%}" if ceiling else "–"
        waiting = f"{each['waiting']:.1%}" if "waiting" in each else "–"
        first = f"{each['first_step_s']:.1f} s" if "first_step_s" in each else "–"
        peak = f"{each['peak_gib']:.1f}" if each.get("peak_gib") else "–"
        lines.append(f"{name:48} {each['images_s']:10,.0f} {mfu:>6} {waiting:>8} {first:>11} {peak:>9}")
    lines += [
        f"{name}: {each['top1']:.2%} in {each['seconds']:.0f} s" for name, each in found.items() if "top1" in each
    ]
    return "\n".join(lines)


def device() -> str:
    """Name of the first device, asked by a child, so that its memory stays free."""
    code = "import jax; print(jax.devices()[0].device_kind)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def parse() -> argparse.Namespace:
    """Reads the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=5.0, help="for everything (%(default)s)")
    made.add_argument("--only", action="append", choices=BY_NAME, metavar="NAME", help="this section; repeatable")
    made.add_argument("--anew", action="store_true", help="measure again what is there")
    made.add_argument("--out", type=Path, help="folder of results (runs/accelerator, or accelerator-smallest)")
    made.add_argument("--data", type=Path, default=os.environ.get("CIFAR10_DIR"), help="CIFAR-10's files, for --train")
    made.add_argument("--train", metavar="NET", help="net to train in the time that is left")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    made.add_argument("--smallest", action="store_true", help="tiny sizes, which a CPU can do")
    made.add_argument("--section", choices=BY_NAME, help=argparse.SUPPRESS)
    args = made.parse_args()
    args.out = args.out or Path("runs", "accelerator-smallest" if args.smallest else "accelerator")
    if args.train and not args.data:
        made.error("--train needs --data, the folder of CIFAR-10's files")
    return args


def main() -> int:
    """Measures what there is time for; 1 where a section failed."""
    args, start = parse(), time.monotonic()
    if args.section:
        section = BY_NAME[args.section]
        print(_SAID + json.dumps(section.run(args.smallest, *_sized(section, args.smallest))), flush=True)
        return 0
    failed = []
    if (known := kept(args.out).get("machine")) and (here := device()) != known["device"]:
        print(f"error: {args.out} has figures of {known['device']}, and this is {here}: choose another --out")
        return 2
    for section in SECTIONS:
        if (args.only and section.name not in args.only) or (section.name in kept(args.out) and not args.anew):
            continue
        left = 60 * args.minutes - (time.monotonic() - start)
        if left < max(_LEAST, 0.7 * section.seconds):
            print(f"no time for: {section.name}", flush=True)
            continue
        print(f"{section.name} ...", end=" ", flush=True)
        began = time.monotonic()
        wrong = measure(section, args, left)
        print(f"{time.monotonic() - began:.0f} s" if wrong is None else wrong, flush=True)
        failed += [section.name] if wrong else []
    left = 60 * args.minutes - (time.monotonic() - start)
    if args.train and f"trained {args.train}" not in kept(args.out) and left > _LEAST:
        wrong = train_net(args, left)
        print(wrong or f"{args.train} is trained", flush=True)
        failed += [args.train] if wrong and "later call" not in wrong else []
    found = kept(args.out)
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


def _sized(section: Section, tiny: bool) -> tuple[Any, ...]:
    """The arguments of a section, with photos of 64 pixels where it is tiny."""
    return tuple(64 if tiny and each == PHOTOS[0] else each for each in section.arguments)


if __name__ == "__main__":
    raise SystemExit(main())
