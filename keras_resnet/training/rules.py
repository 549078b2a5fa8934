"""Settings of a recipe that contradict each other, whatever each of them may be alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_resnet.training.recipe import Recipe


def problems(recipe: Recipe) -> Iterator[str]:
    """Contradictions of settings, in words; those of the head are the task's own (`Settings.problems`).

    Args:
        recipe: recipe whose groups hold values within their ranges.
    """
    for rule in (_decay, _schedule, _norms, _steps):
        yield from rule(recipe)
    if hasattr(recipe.head, "problems"):
        yield from recipe.head.problems()


def _decay(recipe: Recipe) -> Iterator[str]:
    how, transfer = recipe.optimization, recipe.transfer
    if how.coupled_decay and how.optimizer != "sgd":
        yield f"coupled_decay goes with optimizer=sgd, not {how.optimizer}"
    if (transfer.layer_decay < 1 or transfer.head_epochs) and not how.coupled_decay:
        yield "layer_decay and head_epochs go with coupled_decay=true"


def _schedule(recipe: Recipe) -> Iterator[str]:
    rate = recipe.rate
    if rate.schedule == "plateau" and not recipe.data.hold_out:
        yield "schedule=plateau watches the validation split; set hold_out=true"
    if rate.stop_patience and not (recipe.data.hold_out and recipe.run.keep == "best"):
        yield "stop_patience watches the validation split and keeps the best epoch: set hold_out=true and keep=best"
    if rate.warmup_epochs >= rate.epochs and rate.warmup_epochs:
        yield (
            f"warmup_epochs={rate.warmup_epochs}, expected less than epochs={rate.epochs}: pass --set warmup_epochs=0 "
            "too, say"
        )


def _norms(recipe: Recipe) -> Iterator[str]:
    transfer = recipe.transfer
    if transfer.head_epochs and not (transfer.freeze_bn or transfer.freeze == "all"):
        yield "head_epochs goes with freeze_bn=true: statistics would move while the rest stays"
    if transfer.freeze_bn and recipe.run.precise_bn:
        yield "freeze_bn keeps the statistics that precise_bn would replace"


def _steps(recipe: Recipe) -> Iterator[str]:
    run = recipe.run
    if run.remat and recipe.regularisation.stochastic_depth:
        yield (
            "remat goes with stochastic_depth=0 only: a block that is computed again would be left out by another draw"
        )
    if run.steps_per_execution > 1 and recipe.optimization.accumulation > 1:
        yield "steps_per_execution goes with accumulation=1 only"
