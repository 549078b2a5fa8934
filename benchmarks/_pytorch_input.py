"""PyTorch's side of input_pipeline.py: PATHS SIZE BATCH BUFFERED BATCHES, in the environment that has torch.

A DataLoader with two workers and Pillow, which decodes no more than the reduced scale needs (`draft`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from _rates import rates
from PIL import Image

MEAN, STD = (np.float32(value) for value in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))


class Crops(torch.utils.data.Dataset):
    """Random parts of photos, 8 to 100 % of the area."""

    def __init__(self, paths: list[str], size: int):
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths) * 1000

    def __getitem__(self, index: int) -> torch.Tensor:
        rng = np.random.default_rng(index)
        with Image.open(self.paths[index % len(self.paths)]) as image:
            area = rng.uniform(0.08, 1.0) * image.width * image.height
            aspect = np.exp(rng.uniform(*np.log((3 / 4, 4 / 3))))
            width = min(image.width, round((area * aspect) ** 0.5))
            height = min(image.height, round((area / aspect) ** 0.5))
            left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
            box = (left, top, left + width, top + height)
            part = image.convert("RGB").resize((self.size, self.size), Image.BILINEAR, box)
            pixels = np.asarray(part, np.float32)
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray((pixels - MEAN) / STD).transpose(2, 0, 1))


def main() -> None:
    """Takes turns."""
    file, *numbers = sys.argv[1:]
    size, batch, buffered, batches = map(int, numbers)
    paths = Path(file).read_text(encoding="utf-8").splitlines()
    print(json.dumps({"version": torch.__version__}), flush=True)
    for _ in sys.stdin:
        loader = torch.utils.data.DataLoader(Crops(paths, size), batch, shuffle=True, num_workers=2)
        print(json.dumps(rates(lambda loader=loader: iter(loader), batch, buffered, batches)), flush=True)


if __name__ == "__main__":
    main()
