"""PyTorch's side of training.py: NAME NET BATCH SIZE CLASSES STEPS, in the environment that has torch and timm."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    """The basic block of the CIFAR nets; the shortcut skips pixels and adds channels of zeros (option A)."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.stride, self.more = stride, width - channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.more:
            shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return torch.relu(self.second(torch.relu(self.first(x))) + shortcut)


def cifar(blocks: int) -> nn.Module:
    """The CIFAR net of 6 x blocks + 2 layers."""
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for number in range(blocks):
            layers.append(Block(channels, width, 2 if width > 16 and not number else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def main() -> None:
    """Takes turns: answers every line by the seconds of a round's steps."""
    name, net, *numbers = sys.argv[1:]
    batch, size, classes, steps = map(int, numbers)
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    start = time.perf_counter()
    if net == "resnet50_v1_5":
        import timm

        model = timm.create_model("resnet50")
    else:
        model = cifar((int(net.removeprefix("resnet").removesuffix("_cifar")) - 2) // 6)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.randn(steps * batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (steps * batch,))
    half = torch.autocast("cpu", torch.bfloat16) if "bfloat16" in name else contextlib.nullcontext()
    called = torch.compile(model) if "compiled" in name else model

    def step(number: int) -> None:
        part = slice(number * batch, (number + 1) * batch)
        optimizer.zero_grad()
        with half:
            answers = called(images[part])
        nn.functional.cross_entropy(answers.float(), labels[part]).backward()
        optimizer.step()

    made = time.perf_counter()
    step(0)
    first = {"build": made - start, "first": time.perf_counter() - made}
    step(0)
    print(json.dumps({**first, "version": torch.__version__}), flush=True)
    for _ in sys.stdin:
        begin, cpu = time.perf_counter(), time.process_time()
        for number in range(steps):
            step(number)
        wall, used = time.perf_counter() - begin, time.process_time() - cpu
        print(json.dumps({"step": wall / steps, "cpu": used / steps, "around": 0.0}), flush=True)


if __name__ == "__main__":
    main()
