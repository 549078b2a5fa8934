"""timm's and torchvision's own nets beside ours, and files that PyTorch wrote; `make check-timm` fetches both.

Random weights with statistics that are not zero and one, images of odd sizes: all stages and the logits must be equal,
and our export must load there with `strict=True`. Under `make check-timm` a missing environment is a failure,
elsewhere a skip.
"""

import json
import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import InputError, build, stage_taps
from keras_resnet.nets.detection import DETECTORS
from keras_resnet.nets.specs import SPECS
from keras_resnet.tasks import detection
from keras_resnet.weights import pickles, pytorch

pytestmark = [pytest.mark.check, pytest.mark.cold_start]
ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-timm" / "bin" / "python"


class Peer:
    """The process of `peers_torch.py`."""

    def __init__(self):
        """Starts it."""
        self.process = subprocess.Popen(
            [PYTHON, Path(__file__).with_name("peers_torch.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        )

    def __call__(self, do, **arguments):
        """Asks, and waits for the answer."""
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer


@pytest.fixture(scope="module")
def peer():
    if not (ROOT / ".venv-timm" / "complete").exists():
        reason = "no timm here: make check-timm fetches it"
        if os.environ.get("KERAS_RESNET_CHECK") == "timm":
            pytest.fail(reason)
        pytest.skip(reason)
    peer = Peer()
    yield peer
    peer.process.stdin.close()
    peer.process.wait()
    peer.process.stdout.close()


ABSENT = {  # their classes make them, no name does
    "timm": {"resnetv2_200"},
    "torchvision": {"resnet26", "resnet200", "resnext101_32x4d", "resnext101_32x16d", "resnext101_32x32d"},
}
ROWS = [
    (library, name)
    for library in ("timm", "torchvision")
    for name, spec in SPECS.items()
    if pytorch._EXPORTS[library][0](spec) and name not in ABSENT[library]
]
DILATED = [
    *("resnet18", "resnet50_v1_5", "resnext50_32x4d", "seresnet50", "resnetv2_18", "resnetv2_50"),
    *("resnet18d", "resnet50d", "resnet26t", "resnetrs50", "resnetblur18", "resnetblur50d", "resnetaa50d"),
]


def _size(spec):
    """Odd at every stage, but for means against aliasing: timm's accept an odd size in the stem only."""
    return (97, 65) if spec.antialiasing == "mean" else (97, 75)


def _deviations(model, computed):
    """Largest differences of each stage and of the logits, in standard deviations."""
    spec = SPECS[model.name]
    last = model.get_layer("post_relu" if spec.preactivation else f"conv5_block{spec.depths[3]}_out").output
    stages = [model.get_layer(f"conv{n + 2}_block{spec.depths[n]}_out").output for n in range(3)]
    tensors = [*stages, last, model.output]
    received = keras.Model(model.input, tensors)(computed["images"], training=False)
    expected = [computed[name] for name in ("0", "1", "2", "3", "logits")]
    assert [tuple(r.shape) for r in received] == [e.shape for e in expected]
    return [float(np.abs(np.asarray(r) - e).max() / e.std()) for r, e in zip(received, expected, strict=True)]


def _compared(peer, library, name, folder, theirs=None, **ours):
    """The model of ours that has loaded the peer's file and computed what the peer did."""
    spec = SPECS[name]
    size = _size(spec)
    answer = peer(
        "net", library=library, name=name.removesuffix("_v1_5"), how=theirs or {}, size=size, folder=str(folder)
    )
    model = build(
        name,
        weights=folder / "state.safetensors",
        input_shape=(*size, 3),
        classifier_activation=None,
        **ours,
    )
    (folder / "state.safetensors").unlink()
    with np.load(folder / "computed.npz") as computed:
        deviations = _deviations(model, computed)
    print(f"{library} {name} {theirs or ''}: {', '.join(f'{value:.1e}' for value in deviations)} deviations")
    assert max(deviations) <= 1e-4
    return model, answer


@pytest.mark.parametrize(("library", "name"), ROWS, ids=["-".join(row) for row in ROWS])
def test_timm_and_torchvision_compute_the_same_and_take_the_weights_back(library, name, peer, zero_kernels, tmp_path):
    model, answer = _compared(peer, library, name, tmp_path)
    assert answer["parameters"] == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    path = tmp_path / "back.safetensors"
    keras_resnet.export_weights(model, path, layout=library)
    assert peer("back", path=str(path)) == {"different": []}
    path.unlink()


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", DILATED)
def test_timm_computes_the_same_with_an_output_stride(name, output_stride, peer, zero_kernels, tmp_path):
    model, _ = _compared(peer, "timm", name, tmp_path, {"output_stride": output_stride}, output_stride=output_stride)
    assert max(stage_taps(model)) == output_stride


def test_timm_is_accompanied_by_torchvisions_dilation(peer, zero_kernels, tmp_path):
    dilate = [False, True, True]
    theirs = {"replace_stride_with_dilation": dilate}
    _compared(peer, "torchvision", "resnet50_v1_5", tmp_path, theirs, dilate=dilate)


def test_timm_rows_are_all_compared():
    names = {library: [name for each, name in ROWS if each == library] for library in ("timm", "torchvision")}
    assert len(names["torchvision"]) == 10
    assert len(names["timm"]) == len({*names["timm"]}) == 72
    assert {"resnetblur50", "resnetaa50d", "resnetrs200", "resnetv2_152", "seresnextaa101d_32x8d"} <= {*names["timm"]}


def test_timm_environment_runs_the_line_that_converts_pickles(peer, tmp_path):
    """The very line that our message has, on files as they are published and saved."""
    source = build("resnet20_cifar")
    keras_resnet.export_weights(source, tmp_path / "own.safetensors", layout="akamaster")
    files = peer("pickles", state=str(tmp_path / "own.safetensors"), folder=str(tmp_path))["files"]
    assert len(files) == 13
    assert {Path(name).suffix for name in files} >= {".pth", ".th", ".pt", ".bin", ".ckpt"}
    for name in files:
        with pytest.raises(InputError) as error:
            build("resnet20_cifar", weights=tmp_path / name)
        line = str(error.value).partition("safetensors: ")[2]
        assert line == pickles.conversion(tmp_path / name)
        child = subprocess.run([PYTHON, "-c", line], capture_output=True, text=True)
        assert child.returncode == 0, (name, child.stderr)
        model = build("resnet20_cifar", weights=(tmp_path / name).with_suffix(".safetensors"))
        precise = {"half.bin": 1e-3, "bfloat16.bin": 8e-3}.get(name, 0)
        for received, expected in zip(model.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_allclose(received, expected, rtol=precise, atol=1e-4 * precise, err_msg=name)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("fcn_r50", "fcn_resnet50"),
        ("fcn_r101", "fcn_resnet101"),
        ("deeplabv3_r50", "deeplabv3_resnet50"),
        ("deeplabv3_r101", "deeplabv3_resnet101"),
    ],
)
def test_timm_is_accompanied_by_torchvisions_segmentation_nets(name, theirs, peer, zero_kernels, tmp_path):
    size = (97, 75)  # odd at every stride
    answer = peer("segmenter", name=theirs, size=size, folder=str(tmp_path))
    state = tmp_path / "state.safetensors"
    net = keras_resnet.segmenter(name, aux=True, weights=state, input_shape=(*size, 3))
    assert answer["parameters"] == sum(int(np.prod(v.shape)) for v in net.trainable_variables)
    counters = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in net.layers)
    assert answer["tensors"] == len(net.weights) + counters
    plain = keras_resnet.segmenter(name, weights=state, input_shape=(*size, 3))
    with np.load(tmp_path / "computed.npz") as computed:
        both, alone = net(computed["images"], training=False), plain(computed["images"], training=False)
        for received, expected in ((both["logits"], "out"), (both["aux_logits"], "aux"), (alone, "out")):
            expected = computed[expected]
            apart = np.abs(np.asarray(received) - expected).max() / np.abs(expected).max()
            print(f"{name}: {apart:.1e} of the logits' scale")
            assert apart <= 1e-5
    keras_resnet.export_weights(net, tmp_path / "back.safetensors", layout="torchvision")
    assert peer("back", path=str(tmp_path / "back.safetensors")) == {"different": []}


def _raw(found, spec, kind):
    """A net's outputs of one kind, as torchvision has them: all maps behind each other, `(N, priors, numbers)`."""
    priors = spec.head.priors
    maps = [np.asarray(found[f"{kind}_{stride}"]) for stride in spec.neck.strides]
    return np.concatenate([each.reshape(len(each), -1, each.shape[-1] // priors) for each in maps], axis=1)


def _found_again(answers, others):
    """How many boxes the others have too: the same class, IoU at least 0.99, scores at most 1e-4 apart.

    One whose sides lie beyond the same edge of the image has no area and no IoU: its sides are compared.
    """
    found = 0
    for answer, other in zip(answers, others, strict=True):
        same = detection.overlaps(answer.boxes[:, None], other.boxes) >= 0.99
        flat = (answer.boxes[:, 2:] <= answer.boxes[:, :2]).any(axis=1)
        same |= flat[:, None] & (np.abs(answer.boxes[:, None] - other.boxes).max(axis=2) <= 0.01)
        same &= answer.classes[:, None] == other.classes
        same &= np.abs(answer.scores[:, None] - other.scores) <= 1e-4
        found += int(same.any(axis=1).sum())
    return found


@pytest.mark.parametrize(
    ("name", "theirs", "published"),
    [
        ("retinanet_r50_fpn", "retinanet_resnet50_fpn", False),
        ("retinanet_r50_fpn", "retinanet_resnet50_fpn", True),
        ("retinanet_r50_fpn_v2", "retinanet_resnet50_fpn_v2", False),
        ("fcos_r50_fpn", "fcos_resnet50_fpn", False),
    ],
)
def test_timm_is_accompanied_by_torchvisions_detection_nets(name, theirs, published, peer, zero_kernels, tmp_path):
    size, spec = (256, 352), DETECTORS[name]  # maps of 2 x 3 and 4 x 6 cells, whose steps are no powers of two
    answer = peer("detector", name=theirs, size=size, folder=str(tmp_path), published=published)
    state = tmp_path / "state.safetensors"
    net = keras_resnet.detector(name, weights=state, input_shape=(*size, 3))
    assert answer["parameters"] == sum(int(np.prod(v.shape)) for v in net.trainable_variables)
    counters = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in net.layers)
    assert answer["tensors"] == len(net.weights) + counters
    with np.load(tmp_path / "computed.npz") as computed:
        found = {key: np.asarray(each) for key, each in net(computed["images"], training=False).items()}
        kinds = {"scores": "cls_logits", "boxes": "bbox_regression", "centerness": "bbox_ctrness"}
        for kind in [kind for kind in kinds if f"{kind}_8" in found]:
            received, expected = _raw(found, spec, kind), computed[f"raw_{kinds[kind]}"]
            apart = np.abs(received - expected).max() / np.abs(expected).max()
            print(f"{name}, published {published}: {apart:.1e} of the scale of {kind}, deviation {expected.std():.1f}")
            assert received.shape == expected.shape and apart <= 1e-5
        ours = detection.boxes_of(found, name, size)
        keys = {"boxes": "boxes", "scores": "scores", "classes": "labels"}
        others = [
            detection.Boxes(**{ours: computed[f"{theirs}_{n}"] for ours, theirs in keys.items()}) for n in range(4)
        ]
    count, wanted = sum(map(len, ours)), sum(map(len, others))
    shares = _found_again(others, ours) / wanted, _found_again(ours, others) / count
    print(
        f"{name}, published {published}: {wanted} boxes, {shares[0]:.2%} of them ours, {shares[1]:.2%} of ours theirs"
    )
    assert wanted >= 100 and min(shares) >= 0.999
    turned = {key: value[:, ::-1] for key, value in found.items()}  # everything at another height
    assert _found_again(detection.boxes_of(turned, name, size), others) < 0.99 * wanted  # the control
    keras_resnet.export_weights(net, tmp_path / "back.safetensors", layout="torchvision")
    different = peer("back", path=str(tmp_path / "back.safetensors"))["different"]
    assert bool(different) == published  # whose norms were scaled
    assert all(published and ("bn" in key or "downsample.1" in key) for key in different)
