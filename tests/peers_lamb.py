"""timm's LAMB on given variables and gradients; a program for a Python that has torch and timm.

`python peers_lamb.py IN.npz OUT.npz`. IN has `variable_I`, `decayed` (bool, one per variable), `gradient_STEP_I`, and
the numbers `learning_rate`, `decay` and `clip` (0: none); OUT has `after_STEP_I`.
"""

import sys

import numpy as np
import torch
from timm.optim import Lamb


def main(source: str, target: str) -> None:
    """Takes the steps."""
    with np.load(source) as file:
        given = dict(file)
    decayed, decay = given["decayed"], float(given["decay"])
    variables = [torch.nn.Parameter(torch.from_numpy(given[f"variable_{i}"])) for i in range(len(decayed))]
    groups = [
        {"params": [v for v, own in zip(variables, decayed, strict=True) if own == is_decayed], "weight_decay": amount}
        for is_decayed, amount in ((True, decay), (False, 0.0))
    ]
    optimizer = Lamb(
        [group for group in groups if group["params"]],
        lr=float(given["learning_rate"]),
        max_grad_norm=float(given["clip"]) or None,
    )
    steps = sum(name.startswith("gradient_") and name.endswith("_0") for name in given)
    found = {}
    for step in range(steps):
        for i, variable in enumerate(variables):
            variable.grad = torch.from_numpy(given[f"gradient_{step}_{i}"])
        optimizer.step()
        found |= {f"after_{step}_{i}": v.detach().numpy().copy() for i, v in enumerate(variables)}
    np.savez(target, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
