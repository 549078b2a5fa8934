"""timm's and torchvision's side of tests/test_at_peers.py; `.venv-timm` runs it, nothing of ours is imported.

Reads requests from stdin, a JSON object a line, and answers each with one: `{"do": "net", ...}` calls the function of
that name in `COMMANDS`. A new comparison is a function and a row there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision

_NETS: dict[str, torch.nn.Module] = {}  # the last one that `net` made, for `back`


def _create(library: str, name: str, how: dict[str, Any]) -> torch.nn.Module:
    if library == "timm":
        return timm.create_model(name, pretrained=False, **how)
    return torchvision.models.get_model(name, weights=None, **how)


_DEEP = 300  # norms; with residuals of full strength rounding grows from block to block, in ResNet-RS-420 to all


def _perturb(net: torch.nn.Module) -> None:
    """Statistics, scales and offsets that are not zero and one; no residual is left at zero."""
    norms = {name: each for name, each in net.named_modules() if isinstance(each, torch.nn.BatchNorm2d)}
    for name, module in norms.items():
        for tensor, low, high in (
            (module.weight, 0.5, 1.0),
            (module.bias, -0.2, 0.2),
            (module.running_mean, -0.2, 0.2),
            (module.running_var, 0.5, 1.5),
        ):
            torch.nn.init.uniform_(tensor, low, high)
        if len(norms) > _DEEP and name.endswith("bn3"):
            torch.nn.init.uniform_(module.weight, 0.15, 0.3)


def _stages(net: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Modules whose outputs are compared, by name: the stages, the last one behind its closing norm."""
    modules = dict(net.named_modules())
    if "stages" in modules:
        return {"0": modules["stages.0"], "1": modules["stages.1"], "2": modules["stages.2"], "3": modules["norm"]}
    return {str(number): modules[f"layer{number + 1}"] for number in range(4)}


@torch.no_grad()
def net(library: str, name: str, how: dict[str, Any], size: list[int], folder: str) -> dict[str, Any]:
    """Makes a net, and writes its state dict, an image and what it computes of it."""
    torch.manual_seed(0)
    made = _create(library, name, how)
    _perturb(made)
    made.eval()
    _NETS.clear()
    _NETS["last"] = made
    images = torch.randn(2, 3, *size)
    found: dict[str, torch.Tensor] = {"images": images}
    for stage, module in _stages(made).items():
        module.register_forward_hook(lambda _, __, output, stage=stage: found.update({stage: output}))
    found["logits"] = made(images)
    state = {key: value.contiguous() for key, value in made.state_dict().items()}
    safetensors.torch.save_file(state, Path(folder, "state.safetensors"), {"format": "pt"})
    arrays = {key: value.movedim(1, -1).numpy() if value.ndim == 4 else value.numpy() for key, value in found.items()}
    np.savez(Path(folder, "computed.npz"), **arrays)
    return {"parameters": sum(parameter.numel() for parameter in made.parameters())}


@torch.no_grad()
def back(path: str) -> dict[str, Any]:
    """Loads a state dict of ours into the last net, strictly, after its own values are gone."""
    made = _NETS["last"]
    before = {key: value.clone() for key, value in made.state_dict().items()}
    for value in made.state_dict().values():
        value.zero_()
    made.load_state_dict(safetensors.torch.load_file(path), strict=True)
    after = made.state_dict()
    return {"different": [key for key, value in before.items() if not torch.equal(value, after[key])]}


def pickles(state: str, folder: str) -> dict[str, Any]:
    """Writes a state dict as people publish and save them; gives the files' names."""
    own = safetensors.torch.load_file(state)
    parallel = {f"module.{key}": value for key, value in own.items()}
    noise = {key: torch.zeros_like(value) for key, value in own.items()}
    strided = {key: value.movedim(0, -1).contiguous().movedim(-1, 0) for key, value in own.items() if value.ndim > 1}
    whole = torch.cat([value.flatten() for value in own.values() if value.is_floating_point()])
    shared, start = {}, 0
    for key, value in own.items():
        shared[key] = value
        if value.is_floating_point():
            shared[key] = whole[start : start + value.numel()].view(value.shape)
            start += value.numel()
    files: dict[str, Any] = {
        "plain.pth": own,
        "imagenet.pth.tar.pth": {"epoch": 90, "arch": "resnet20", "state_dict": parallel, "best_acc1": 76.1},
        "timm.pth": {"state_dict": noise, "state_dict_ema": own, "args": argparse.Namespace(lr=0.1), "metric": 1.0},
        "deit.pth": {"model": own, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, "epoch": 1},
        "ema.pt": {"model_ema": own, "model": noise},
        "compiled.pt": {f"_orig_mod.module.{key}": value for key, value in own.items()},
        "lightning.ckpt": {"state_dict": {f"model.{key}": value for key, value in own.items()}, "epoch": 1},
        "half.bin": {key: value.half() if value.is_floating_point() else value for key, value in own.items()},
        "bfloat16.bin": {key: value.bfloat16() if value.is_floating_point() else value for key, value in own.items()},
        "strided.pth": {**own, **strided},
        "shared.pth": shared,
        "parameters.pth": {
            key: torch.nn.Parameter(value) if value.is_floating_point() else value for key, value in own.items()
        },
    }
    for name, content in files.items():
        torch.save(content, Path(folder, name))
    # akamaster's files are of 2018: no zip archive yet.
    old = {"state_dict": parallel, "best_prec1": 91.73}
    torch.save(old, Path(folder, "akamaster.th"), _use_new_zipfile_serialization=False)
    return {"files": [*files, "akamaster.th"]}


@torch.no_grad()
def segmenter(name: str, size: list[int], folder: str) -> dict[str, Any]:
    """Makes a segmentation net with its auxiliary head, and writes its state dict, images and both maps of logits."""
    torch.manual_seed(0)
    made = torchvision.models.get_model(name, weights=None, weights_backbone=None, aux_loss=True)
    _perturb(made)
    made.eval()
    _NETS.clear()
    _NETS["last"] = made
    images = torch.randn(1, 3, *size)
    found = {"images": images, **made(images)}
    state = {key: value.contiguous() for key, value in made.state_dict().items()}
    safetensors.torch.save_file(state, Path(folder, "state.safetensors"), {"format": "pt"})
    np.savez(Path(folder, "computed.npz"), **{key: value.movedim(1, -1).numpy() for key, value in found.items()})
    return {"tensors": len(state), "parameters": sum(parameter.numel() for parameter in made.parameters())}


def _perturb_heads(net: torch.nn.Module) -> None:
    """Towers that keep their signal, biases that are not zero."""
    for module in [*net.backbone.fpn.modules(), *net.head.modules()]:
        if isinstance(module, torch.nn.GroupNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.uniform_(module.bias, -0.2, 0.2)


def _spread(net: torch.nn.Module, maps: list[torch.Tensor]) -> None:
    """Scores around the threshold and none at its end, boxes with an area: what a trained net gives."""
    distances = hasattr(net.head.regression_head, "bbox_ctrness")
    raw = net.head(maps)
    for module, key, mean, deviation in (
        (net.head.classification_head.cls_logits, "cls_logits", -3.0, 1.0),
        (net.head.regression_head.bbox_reg, "bbox_regression", 2.0 if distances else 0.0, 0.4),
    ):
        module.weight.mul_(deviation / raw[key].std())
        torch.nn.init.constant_(module.bias, mean)


def _old(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A RetinaNet's state dict by the names of the file that torchvision published in 2020."""
    names = {}
    for name in state:
        old = re.sub(r"(inner_blocks|layer_blocks)\.(\d)\.0\.", r"\1.\2.", name)
        names[name] = re.sub(r"conv\.(\d)\.0\.", lambda match: f"conv.{2 * int(match[1])}.", old)
    return {names[name]: value for name, value in state.items() if "num_batches" not in name}


@torch.no_grad()
def detector(name: str, size: list[int], folder: str, published: bool = False) -> dict[str, Any]:
    """Makes a detection net, and writes its state dict, images, raw outputs and the final detections.

    With `published` its norms are frozen with an epsilon of 0 and small variances, and the names are those of 2020.
    """
    torch.manual_seed(0)
    how = {"min_size": min(size), "max_size": max(size), "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    made = torchvision.models.get_model(name, weights=None, weights_backbone=None, **how)
    _perturb(made)
    _perturb_heads(made)
    if published:
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
                small = torch.rand_like(module.running_var) * 1e-4 + 2e-5
                module.weight.mul_((small / module.running_var).sqrt())
                module.running_var.copy_(small)
    made.eval()
    _NETS.clear()
    _NETS["last"] = made
    images = torch.randn(4, 3, *size)
    maps = list(made.backbone(images).values())
    _spread(made, maps)
    raw = made.head(maps)
    state = {key: value.contiguous() for key, value in made.state_dict().items()}
    safetensors.torch.save_file(
        _old(state) if published else state, Path(folder, "state.safetensors"), {"format": "pt"}
    )
    found = {f"raw_{key}": value for key, value in raw.items()}
    found["images"] = images.movedim(1, -1)
    for number, answer in enumerate(made(list(images))):
        found |= {f"{key}_{number}": value for key, value in answer.items()}
    np.savez(Path(folder, "computed.npz"), **{key: value.numpy() for key, value in found.items()})
    return {"tensors": len(state), "parameters": sum(parameter.numel() for parameter in made.parameters())}


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "net": net,
    "segmenter": segmenter,
    "detector": detector,
    "back": back,
    "pickles": pickles,
}


def main() -> None:
    """Answers until stdin ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = COMMANDS[request.pop("do")](**request)
        except Exception as error:  # the test that asked shows it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
