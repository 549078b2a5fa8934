"""Weights that a training on photos starts from: at hand, or downloaded after a short question to the server."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from keras_resnet import extras
from keras_resnet.errors import InputError
from keras_resnet.weights import PUBLISHED, list_weights
from keras_resnet.weights.hub import is_hub
from keras_resnet.weights.published import Published, is_here

SECONDS = 3.0  # that a server has to say how large a file is
# Nets whose weights are tried where none was named: the smallest that is good on photos first.
_USUAL = ("resnet18", "resnet50")


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        model: name of the net.
        weights: what `load_weights` takes; empty for random values.
        reason: why these, or why none.
    """

    model: str
    weights: str
    reason: str


@dataclass(frozen=True)
class _Candidate:
    model: str
    weights: str
    is_here: Callable[[], bool]
    url: str
    packages: tuple[str, ...] = ()


def find(model: str | None, *, offline: bool, size_of: Callable[[str], int | None] | None = None) -> Start:
    """Finds weights of a net, or of one that is good on photos.

    Args:
        model: name of the net; None for any.
        offline: whether nothing is asked for and nothing downloaded.
        size_of: from an address to the bytes that are there, None for no answer; by default asks the server.

    Returns:
        The start; without weights where none are at hand and none can be had.
    """
    candidates = list(_candidates((model,) if model else _USUAL))
    for each in candidates:
        if each.is_here():
            return Start(each.model, each.weights, "ImageNet weights at hand")
    net = model or ""
    if not candidates:
        return Start(net, "", "no weights of this net are registered or published")
    if offline:
        return Start(net, "", "no weights at hand, and --offline")
    lacking = ""
    for each in candidates:
        if missing := [name for name in each.packages if not extras.is_there(name)]:
            lacking = lacking or f"; more with {extras.line(missing[0])}"
            continue
        size = (size_of or remote_size)(each.url)
        if size:
            return Start(each.model, each.weights, f"a download of {size / 1e6:,.0f} MB")
    return Start(net, "", f"no weights at hand, and no server answered within {SECONDS:g} s{lacking}")


def check_at_hand(model: str, weights: str) -> None:
    """Refuses weights that would have to be downloaded.

    Args:
        model: name of the net.
        weights: what `load_weights` takes.

    Raises:
        InputError: they are not on this machine.
    """
    registered = [row for row in list_weights(model) if row.name == weights]
    there = Published(model, weights, "").is_here if is_hub(weights) else all(map(is_here, registered))
    if not there:
        raise InputError(f"--offline: weights {weights} are not on this machine; give a file, or leave one of both out")


def _candidates(models: tuple[str, ...]) -> Iterator[_Candidate]:
    for model in models:
        for row in list_weights(model):
            if row.dataset == "imagenet":
                yield _Candidate(model, row.name, lambda row=row: is_here(row), row.url or "")  # type: ignore[misc]
        if model in PUBLISHED:
            published = PUBLISHED[model]
            repository = published.address.removeprefix("hf://")
            url = f"https://huggingface.co/{repository}/resolve/main/model.safetensors"
            yield _Candidate(
                model,
                published.address,
                lambda row=published: row.is_here,  # type: ignore[misc]
                url,
                ("huggingface_hub",),
            )


def remote_size(url: str) -> int | None:
    """Bytes of a file on a server; None where it does not answer in time.

    Args:
        url: https address.
    """
    found: list[int] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                found.append(int(answer.headers.get("Content-Length") or 0))
        except (OSError, ValueError):
            return

    # A name that is looked up has no time-out of its own: the thread may outlive the question.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return found[0] if found else None
