"""Files of PyTorch that are pickles: never opened here; the line that converts one where it is trusted."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".pth", ".pt", ".th", ".bin", ".pkl", ".pickle", ".ckpt")
# Training programs put the state dict below one of these, the averaged weights first; timm looks in this order.
_NESTS = ("state_dict_ema", "model_ema", "state_dict", "model")


def conversion(path: Path) -> str:
    """A line of Python that writes a pickle's tensors to a safetensors file, for an environment that has PyTorch.

    Args:
        path: the pickle.

    Returns:
        A line that runs as it is: messages are printed as one line. A nested state dict is opened; tensors that share
        memory or are not contiguous are copied; what is no tensor is left out. Prefixes and half precision stay, as
        loading takes them.
    """
    return "; ".join(
        (
            "import argparse, torch, safetensors.torch",
            "torch.serialization.add_safe_globals([argparse.Namespace])",
            f"state = torch.load({str(path)!r}, map_location='cpu', weights_only=True)",
            f"state = next((state[key] for key in {_NESTS} if key in state), state)",
            "tensors = {name: each.detach() for name, each in state.items() if torch.is_tensor(each)}",
            "tensors = {name: each.clone(memory_format=torch.contiguous_format) for name, each in tensors.items()}",
            f"safetensors.torch.save_file(tensors, {str(path.with_suffix('.safetensors'))!r})",
        )
    )
